"""The process that a conversion runs in: what goes in, what comes out, and what is said when it dies."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryFile
from threading import Thread
from time import sleep

from lvunet import errors
from lvunet.errors import ExportError, LVUNetError, OutputError
from lvunet.evaluate.intervals import Interval
from lvunet.export.judge import Verdict
from lvunet.export.parity import Link
from lvunet.export.targets import Precision

LAST_WORDS = 12  # lines of a converter that failed
NO_ROOM = tuple(os.strerror(code) for code in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG))
LEAST_ROOM = 2**20  # bytes; a disk with less is full: no artefact is as small


@dataclass(frozen=True)
class Job:
    """What to convert, to what, where, and the images (.npz) to prove it on; paths are absolute."""

    source: str
    target: str
    path: str
    images: str
    card: str
    precision: Precision = "fp32"
    calibration: str = ""  # images (.npz), for int8
    cases: tuple[tuple[str, str, tuple[str, ...], str], ...] = ()  # id, image, masks, group: to judge

    @property
    def answer(self) -> Path:
        """Where the outcome is written."""
        return Path(self.path).parent / "outcome.json"


@dataclass(frozen=True)
class Outcome:
    """What became of a job: the proof and the time of a call, None where it cannot run; or an `error` for a person."""

    link: Link | None = None
    median_ms: float | None = None
    verdict: Verdict | None = None
    whole: Link | None = None  # on images of their own size: what rounding a resized one costs is in it
    error: str = ""
    kind: str = ""  # the class of the error


def run(job: Job, limit_s: float, worker: str = "lvunet.export.worker") -> Outcome:
    """Do a job in a process of its own, which is ended with all that it started after `limit_s` seconds.

    Raises the error of this package that ended it, `OutputError` for a full disk, and `ExportError` for another end.
    """
    with TemporaryFile() as said, TemporaryFile() as given:  # files, since a child that lives on would hold a pipe open
        given.write(json.dumps(asdict(job)).encode())
        given.seek(0)
        process = subprocess.Popen(
            # -P: a file onnx.py where the user stands is not the package
            [sys.executable, "-P", "-m", worker, str(os.getpid())],
            stdin=given,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            process.wait(limit_s)
        except subprocess.TimeoutExpired as error:
            raise ExportError(
                f"--to {job.target}: the converter did not end in {limit_s:g} s and was stopped. No artefact was kept; "
                "--limit gives it longer."
            ) from error
        finally:
            _end(process)
        said.seek(0)
        words = said.read().decode(errors="replace")
    if process.returncode or not job.answer.is_file():
        raise _obituary(job, process.returncode, words)
    outcome = _read(job.answer)
    if outcome.error:
        kind: type[LVUNetError] = getattr(errors, outcome.kind)
        raise kind(outcome.error)
    return outcome


def given_job() -> Job:
    """Return the job of this process, a worker of `run`, which from now on ends with the command, however that ends."""
    job = Job(**json.load(sys.stdin))
    Thread(target=_end_with_the_command, args=[int(sys.argv[1]), Path(job.path).parents[1]], daemon=True).start()
    return job


def _end_with_the_command(parent: int, scratch: Path) -> None:
    """Once the command was killed, end this process with all that it started, and leave nothing behind."""
    while os.getppid() == parent:
        sleep(1)
    shutil.rmtree(scratch, ignore_errors=True)
    os.killpg(0, signal.SIGKILL)


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the process and its children, which it may have left running."""
    with suppress(ProcessLookupError, PermissionError):  # macOS forbids it where only a dead one is left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _obituary(job: Job, code: int, words: str) -> LVUNetError:
    last = "\n".join(words.strip().splitlines()[-LAST_WORDS:])
    folder = job.answer.parent
    if any(reason in last for reason in NO_ROOM) or shutil.disk_usage(folder).free < LEAST_ROOM:
        return OutputError(f"--to {job.target}: no room is left to write it. No artefact was kept; free some disk.")
    how = f"died of {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"
    return ExportError(
        f"--to {job.target}: the converter {how}. No artefact was kept. `lvunet doctor --prove` says whether it works "
        f"with a model of the zoo; its last words were:\n{last}"
    )


def _read(answer: Path) -> Outcome:
    values = json.loads(answer.read_text(encoding="utf-8"))
    link, whole = (Link(**stored) if (stored := values.pop(name)) else None for name in ("link", "whole"))
    if verdict := values.pop("verdict"):
        verdict = Verdict(**verdict | {"dice": Interval(**verdict["dice"])})
    return Outcome(link=link, whole=whole, verdict=verdict, **values)
