"""One conversion in a process of its own, for `process.run`.

A converter may crash, hang, or load libraries that do not bear each other; whatever it does ends with this process.
"""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from lvunet.card import Card
from lvunet.errors import ExportError, LVUNetError
from lvunet.evaluate.latency import measure
from lvunet.export.convert import convert
from lvunet.export.judge import judge
from lvunet.export.parity import FOLDED_TO_ARTEFACT, HALF_DICE, compare
from lvunet.export.process import Job, Outcome, given_job
from lvunet.export.restore import initial
from lvunet.export.targets import TARGETS
from lvunet.fold import fold
from lvunet.image import UInt8
from lvunet.runtime.segmenter import load
from lvunet.runtime.square import squared
from lvunet.runtime.torch_backend import TorchSegmenter

TIMED = 2  # rounds of ten calls
JUDGED = ("bf16", "int8")  # which are for speed; fp16 is for size
ALLOWED = {"fp32": (FOLDED_TO_ARTEFACT, 0.0), "fp16": (1.0, HALF_DICE), "bf16": (1.0, HALF_DICE), "int8": (1.0, 0.0)}


@dataclass(frozen=True)
class Held:
    """An image with its masks, to judge on."""

    id: str
    image: str
    masks: tuple[str, ...]
    group: str


def work(job: Job) -> Outcome:
    """Convert a model, and hold the artefact against the folded network."""
    target, path, card = TARGETS[job.target], Path(job.path), Card.from_json(job.card)
    folded = fold(initial(job.source)[0])
    calibration = [squared(image, card) for image in _read(job.calibration)] if job.calibration else []
    convert(target, folded, card, path, precision=job.precision, calibration=calibration)
    if not path.exists():
        raise ExportError(f"--to {job.target}: the converter ended, but wrote nothing. No artefact was kept.")
    if not target.executed:
        return Outcome()
    given = _read(job.images)
    images = [squared(image, card) for image in given] if target.square else given
    artefact, wanted = load(path, threads=1), TorchSegmenter(folded, card)
    link = compare(f"folded -> {target.name}", wanted, artefact, images, *ALLOWED[job.precision])
    whole = compare(f"folded -> {target.name}, its resize included", wanted, artefact, given, 1.0)
    verdict = None
    if job.precision in JUDGED:
        in_float = path.parent / "float" / path.name
        in_float.parent.mkdir()
        convert(target, folded, card, in_float)
        verdict = judge(load(in_float, threads=1), artefact, [Held(*case) for case in job.cases], images)
    square = squared(images[0], card)
    (time,) = measure({target.name: lambda: artefact(square)}, threads=1, rounds=TIMED)
    return Outcome(link, time.median_ms, verdict, whole)


def _read(npz: str) -> list[UInt8]:
    stored = np.load(npz)
    return [stored[name] for name in stored.files]


def main() -> None:
    """Do the job on standard input, and leave its outcome; a full disk or memory ends the process with its words."""
    job = given_job()
    try:
        outcome = work(job)
    except LVUNetError as error:
        outcome = Outcome(error=str(error), kind=type(error).__name__)
    except (OSError, MemoryError):
        raise  # a full disk is told by its words
    except Exception as error:  # of a converter: an operator that it does not know, say
        reason = f"{type(error).__name__}: {(str(error).strip() or 'no reason given').splitlines()[0][:300]}"
        words = f"--to {job.target}: the converter failed. No artefact was kept. It says: {reason}"
        outcome = Outcome(error=words, kind="ExportError")
    job.answer.write_text(json.dumps(asdict(outcome)), encoding="utf-8")


if __name__ == "__main__":
    main()
