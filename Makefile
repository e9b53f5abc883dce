# Two commands matter: `make demo` and `make test`.  The rest is for developers.
PYTHON ?= python3
BIN    := .venv/bin
DATA   ?=
OUT    ?= demo

.PHONY: demo test test-slow check format numbers clean web test-web test-web-slow test-web-engines
.DEFAULT_GOAL := demo

demo: .venv/installed       ## train, fold, export, prove, evaluate, segment; DATA=folder takes your own images and masks
	$(BIN)/lvunet demo $(if $(DATA),--data "$(DATA)") --out "$(OUT)"

test: .venv/installed       ## the tests, with one real example of everything
	$(BIN)/python -m pytest

test-slow: .venv/installed  ## long training, interruption, timing
	$(BIN)/python -m pytest -m slow

web: .venv/installed web/node_modules/.package-lock.json  ## the page, into the package: then `lvunet demo --web`; web/dist/ is for any static host
	cd web && npm run --silent models && npm run --silent build
	rm -rf src/lvunet/page && cp -r web/dist src/lvunet/page

test-web: web               ## the page: style and types, units, and all of it in headless Chromium
	cd web && npm run --silent check && npm test --silent && npm run --silent test:browser

test-web-slow: web          ## a thousand frames of a camera
	cd web && LVUNET_SLOW=1 npm run --silent test:browser

test-web-engines: web       ## the page in Firefox and in WebKit, the engine of Safari: apt-get install firefox-esr webkit2gtk-driver xvfb
	cd web && npm run --silent test:engines

check: .venv/installed      ## style, format, types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

format: .venv/installed
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

.venv/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "lvunet needs Python 3.11 or newer: make PYTHON=python3.12")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade pip
	@echo 'installing PyTorch and the rest into .venv: several GB, some minutes'
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

web/node_modules/.package-lock.json: web/package-lock.json web/package.json
	cd web && npm ci --no-audit --no-fund --loglevel=error

clean:
	rm -rf .venv demo runs web/node_modules web/dist web/public/models web/public/ort src/lvunet/page .mypy_cache .ruff_cache .pytest_cache

numbers: .venv/installed    ## write the tables of the README, docs/results.md, the cards and heads of configs/ from results/
	$(BIN)/python -m results.readme
