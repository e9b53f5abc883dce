"""The process that a conversion runs in: what goes in, what comes out, and what is said when it dies."""

import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from lvunet import errors
from lvunet.errors import ExportError, LVUNetError
from lvunet.export.parity import Link

LAST_WORDS = 12  # lines of a converter that failed


@dataclass(frozen=True)
class Job:
    """What to convert, to what, where, and the images (.npz) to prove it on."""

    source: str
    target: str
    path: str
    images: str
    card: str


@dataclass(frozen=True)
class Outcome:
    """What became of a job: `error` for a person, or the proof and the time of a call (none where it cannot run)."""

    error: str = ""
    kind: str = ""
    link: Link | None = None
    median_ms: float | None = None


def run(job: Job, limit_s: float, worker: str = "lvunet.export.worker") -> Outcome:
    """Do a job in a process of its own, which is ended with all that it started after `limit_s` seconds.

    Raises the error of this package that ended it, or `ExportError` for any other end.
    """
    answer = Path(job.path).parent / "outcome.json"
    process = subprocess.Popen(
        [sys.executable, "-m", worker],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        words, _ = process.communicate(json.dumps(asdict(job) | {"answer": str(answer)}), timeout=limit_s)
    except subprocess.TimeoutExpired as error:
        raise ExportError(
            f"--to {job.target}: the converter did not end in {limit_s:g} s and was stopped. No artefact was kept."
        ) from error
    finally:
        _end(process)
    if process.returncode or not answer.is_file():
        raise ExportError(_obituary(job.target, process.returncode, words))
    outcome = _read(answer)
    if outcome.error:
        kind = getattr(errors, outcome.kind, ExportError)
        raise (kind if issubclass(kind, LVUNetError) else ExportError)(outcome.error)
    return outcome


def _end(process: subprocess.Popen[str]) -> None:
    """End the process and its children, which it may have left running."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    process.wait()


def _obituary(target: str, code: int, words: str) -> str:
    how = f"died of signal {-code}" if code < 0 else f"ended with code {code}"
    last = "\n".join(words.strip().splitlines()[-LAST_WORDS:])
    return (
        f"--to {target}: the converter {how}. No artefact was kept. `lvunet doctor` says whether its packages work; "
        f"its last words were:\n{last}"
    )


def _read(answer: Path) -> Outcome:
    values = json.loads(answer.read_text(encoding="utf-8"))
    return Outcome(**values | {"link": Link(**values["link"]) if values["link"] else None})
