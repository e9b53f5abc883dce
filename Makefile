# Two commands matter: `make demo` and `make test`.  The rest is for developers.
PYTHON ?= python3
BIN    := .venv/bin
DATA   ?=
OUT    ?= demo

.PHONY: demo test test-slow check format numbers clean
.DEFAULT_GOAL := demo

demo: .venv/installed       ## train, fold, export, prove, evaluate, segment; DATA=folder takes your own images and masks
	$(BIN)/lvunet demo $(if $(DATA),--data "$(DATA)") --out "$(OUT)"

test: .venv/installed       ## the tests, with one real example of everything
	$(BIN)/python -m pytest

test-slow: .venv/installed  ## long training, interruption, timing
	$(BIN)/python -m pytest -m slow

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
	$(BIN)/python -m pip install --quiet --editable ".[dev]"
	touch $@

clean:
	rm -rf .venv demo runs .mypy_cache .ruff_cache .pytest_cache

numbers: .venv/installed    ## write the tables of the README and docs/results.md from results/
	$(BIN)/python -m results.readme
