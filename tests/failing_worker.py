"""A worker of `lvunet.export.process` that comes to a bad end: the target of its job says to which."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path

from lvunet.export.parity import Link
from lvunet.export.process import Job, Outcome

PROVEN = Outcome(Link("folded -> well", 1e-4, 2e-6, 0.999, 1, 1e-7, 0.9999), 5.5)
REFUSED = Outcome(error="no 5 channels here.", kind="ConfigError")


def hang(job: Job) -> None:
    """Wait with a child for ever; both hold a lock on the file `alive`."""
    with (Path(job.path).parent / "alive").open("w", encoding="utf-8") as alive:
        fcntl.flock(alive, fcntl.LOCK_EX)
        child = subprocess.Popen(["sleep", "1000"], pass_fds=[alive.fileno()], start_new_session=False)
        alive.write("both\n")
        alive.flush()
        child.wait()


def main(job: Job) -> None:
    sys.stdout.write("converting\nalas\n")
    sys.stdout.flush()
    match job.target:
        case "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        case "noise":
            sys.stdout.buffer.write(b"\xff\xfe not of UTF-8\n")
            sys.exit(3)
        case "full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        case "hang":
            hang(job)
        case "leaves":
            subprocess.Popen(["sleep", "1000"])
            job.answer.write_text(json.dumps(asdict(PROVEN)), encoding="utf-8")
        case "refused" | "well":
            outcome = REFUSED if job.target == "refused" else PROVEN
            job.answer.write_text(json.dumps(asdict(outcome)), encoding="utf-8")


if __name__ == "__main__":
    main(Job(**json.load(sys.stdin)))
