"""What libraries say as they start is kept back, what goes wrong is not; and by themselves they get all cores."""

import logging
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from unittest.mock import MagicMock

import pytest

from lvunet.card import Card
from lvunet.runtime.batch import cores
from lvunet.runtime.talk import muted, without_lines

NATIVE = b"INFO: ready\nERROR: no memory\n"


def test_lines_that_start_so_are_kept_back_and_all_others_are_said(capfd: pytest.CaptureFixture[str]) -> None:
    with without_lines(b"INFO: ", b"[pool"):
        os.write(2, NATIVE + b"[pool.cpp:3] made\n")
    os.write(2, b"INFO: later\n")
    assert capfd.readouterr().err == "ERROR: no memory\nINFO: later\n"


def test_what_was_said_before_an_exception_is_said(capfd: pytest.CaptureFixture[str]) -> None:
    def fail() -> None:
        with without_lines(b"INFO: "):
            os.write(2, NATIVE)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert capfd.readouterr().err == "ERROR: no memory\n"


def test_threads_give_standard_error_back(capfd: pytest.CaptureFixture[str]) -> None:
    def load(_: int) -> None:
        with without_lines(b"INFO: "):
            os.write(2, NATIVE)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(load, range(8)))
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "ERROR: no memory\n" * 8 + "after\n"


def test_where_nobody_listens_the_block_runs() -> None:
    code = (
        "import os; os.close(2); from lvunet.runtime.talk import without_lines\nwith without_lines(b'a'): print('ran')"
    )
    assert subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, check=True).stdout == b"ran\n"


def test_a_muted_logger_warns_again_afterwards(caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("lvunet.test")
    with muted("lvunet.test"):
        logger.warning("kept back")
        logger.error("said")
    logger.warning("said too")
    assert caplog.messages == ["said", "said too"]


def test_litert_gets_all_cores_where_no_number_is_given(monkeypatch: pytest.MonkeyPatch) -> None:
    backend = pytest.importorskip("lvunet.runtime.litert_backend")
    interpreter = MagicMock()
    monkeypatch.setattr(backend, "Interpreter", interpreter)
    monkeypatch.setattr(backend, "read_sidecar", lambda path: Card())
    for threads in (None, 1):
        backend.load_litert(Path("model.tflite"), threads)
    assert [made.kwargs["num_threads"] for made in interpreter.call_args_list] == [cores(), 1]
