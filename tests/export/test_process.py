"""The process of a conversion: whatever becomes of it, its caller gets an outcome or one sentence, in time."""

import fcntl
import os
import time
from pathlib import Path

import pytest

import failing_worker
from lvunet.errors import ConfigError, ExportError, OutputError
from lvunet.export.process import Job, Outcome, run

TESTS = Path(failing_worker.__file__).parent
LIMIT_S = 100.0  # for what ends by itself
SHORT_S = 4.0  # time to start two processes on a busy core
GONE_S = 10.0  # in which the system has surely ended what was killed


@pytest.fixture(autouse=True)
def _findable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")])))


def ended(target: str, folder: Path, limit_s: float = LIMIT_S) -> Outcome:
    return run(Job("", target, str(folder / "model"), "", ""), limit_s, worker="failing_worker")


def test_an_outcome_arrives_as_it_was_sent(tmp_path: Path) -> None:
    assert ended("well", tmp_path) == failing_worker.PROVEN


def test_a_child_that_lives_on_does_not_hold_the_outcome_back(tmp_path: Path) -> None:
    assert ended("leaves", tmp_path) == failing_worker.PROVEN  # and not its time limit


def test_an_error_of_ours_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"^no 5 channels here\.$"):
        ended("refused", tmp_path)


def test_a_crash_is_told_by_its_signal_and_the_last_words(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"(?s)--to crash: the converter died of SIGSEGV.*No artefact.*alas$"):
        ended("crash", tmp_path)


def test_an_end_with_a_code_and_words_in_no_encoding_are_told(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match=r"(?s)--to noise: the converter ended with code 3.*not of UTF-8$"):
        ended("noise", tmp_path)


def test_an_end_without_an_answer_is_no_success(tmp_path: Path) -> None:
    with pytest.raises(ExportError, match="ended with code 0"):
        ended("silent", tmp_path)


def test_a_full_disk_is_called_so(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="no room is left"):
        ended("full", tmp_path)


def test_the_time_limit_ends_a_worker_and_its_child(tmp_path: Path) -> None:
    begin = time.monotonic()
    with pytest.raises(ExportError, match=r"did not end in 4 s and was stopped.*--limit"):
        ended("hang", tmp_path, SHORT_S)
    assert time.monotonic() - begin < SHORT_S + GONE_S
    assert (tmp_path / "alive").read_text(encoding="utf-8") == "both\n"  # it had come so far
    with (tmp_path / "alive").open(encoding="utf-8") as alive:
        while time.monotonic() - begin < SHORT_S + GONE_S:
            try:
                fcntl.flock(alive, fcntl.LOCK_EX | fcntl.LOCK_NB)
                return
            except BlockingIOError:
                time.sleep(0.05)
    pytest.fail("the worker or its child is still alive")


def test_a_file_of_the_user_is_not_taken_for_a_library(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "json.py").write_text("raise RuntimeError('not the library')", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    assert ended("well", tmp_path) == failing_worker.PROVEN
