"""Where a number comes from."""

import os
import platform
import re
import subprocess
from pathlib import Path

import numpy as np
import pytest

from lvunet.evaluate.provenance import commit, machine, provenance


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=tester", "-c", "user.email=tester@example.org")
    command = ["git", "-C", str(folder), *identity, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()


def test_the_commit_is_that_of_the_code_and_says_when_it_was_edited(tmp_path: Path) -> None:
    source = tmp_path / "code.py"
    source.write_text("one = 1\n")
    git(tmp_path, "init", "--quiet")
    assert commit(source) == ""
    git(tmp_path, "add", "code.py")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    head = git(tmp_path, "rev-parse", "HEAD")
    assert commit(source) == head[:12]
    source.write_text("one = 2\n")
    assert commit(source) == f"{head[:12]}-dirty"


def test_a_model_of_the_zoo_is_no_code(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    (tmp_path / "zoo").mkdir()
    source, model = tmp_path / "code.py", tmp_path / "zoo" / "model.onnx"
    for path in (source, model):
        path.write_text("one", encoding="utf-8")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "-m", "first")
    model.write_text("two", encoding="utf-8")
    assert not commit(source).endswith("-dirty")


def test_code_installed_inside_another_repository_has_no_commit(tmp_path: Path) -> None:
    tracked, installed = tmp_path / "theirs.py", tmp_path / "ours.py"
    for path in (tracked, installed):
        path.write_text("")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "theirs.py")
    git(tmp_path, "commit", "--quiet", "-m", "theirs")
    assert commit(installed) == ""


def test_a_copy_without_its_repository_is_told_its_commit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "code.py").touch()
    monkeypatch.setenv("LVUNET_COMMIT", "abc")
    assert commit(tmp_path / "code.py") == "abc"


def test_code_without_a_repository_has_no_commit(tmp_path: Path) -> None:
    assert commit(tmp_path / "nowhere" / "code.py") == ""


def test_the_machine_is_described() -> None:
    here = machine()
    assert here.cpu
    assert 1 <= here.cores <= (os.cpu_count() or 1)
    assert here.python == platform.python_version()
    assert here.versions["numpy"] == np.__version__
    assert all(here.versions.values())
    assert here.cpu in here.sentence


def test_the_date_is_a_day() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", provenance().date)
