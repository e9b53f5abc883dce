"""One conversion in a process of its own: `python -m lvunet.export.worker` with a job as JSON on standard input.

A converter may crash, hang, or load libraries that do not bear each other; whatever it does ends with this process.
"""

import json
import sys
from dataclasses import asdict
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from lvunet.card import Card
from lvunet.errors import LVUNetError
from lvunet.export.converters import CONVERTERS
from lvunet.export.deployed import Deployed
from lvunet.export.parity import FOLDED_TO_ARTEFACT, compare
from lvunet.export.process import Job, Outcome
from lvunet.export.restore import initial
from lvunet.export.targets import Target, target
from lvunet.fold import fold
from lvunet.image import UInt8
from lvunet.runtime.segmenter import Segmenter, load
from lvunet.runtime.sidecar import write_sidecar
from lvunet.runtime.square import squared
from lvunet.runtime.torch_backend import TorchSegmenter

TIMED = 20  # calls


def work(job: Job) -> Outcome:
    """Convert a model, and hold the artefact against the folded network."""
    wanted, path, card = target(job.target), Path(job.path), Card.from_json(job.card)
    network, _ = initial(job.source)
    folded = fold(network)
    CONVERTERS[wanted.name](folded, Deployed(folded, card), path)
    if not wanted.inside:
        write_sidecar(path, card, [path.with_suffix(suffix) for suffix in wanted.companions])
    if not wanted.executed:
        return Outcome()
    stored = np.load(job.images)
    images = [seen(stored[name], card, wanted) for name in sorted(stored.files)]
    artefact = load(path, threads=1)
    link = compare(f"folded -> {wanted.name}", TorchSegmenter(folded, card), artefact, images, FOLDED_TO_ARTEFACT)
    return Outcome(link=link, median_ms=_median_ms(artefact, squared(images[0], card)))


def seen(image: UInt8, card: Card, wanted: Target) -> UInt8:
    """Return the image as the artefact gets it: at the network's size where it takes no other."""
    return squared(image, card) if wanted.square else image


def _median_ms(artefact: Segmenter, image: UInt8) -> float:
    times_ms = []
    for _ in range(TIMED):
        start = perf_counter()
        artefact(image)
        times_ms.append((perf_counter() - start) * 1e3)
    return median(times_ms)


if __name__ == "__main__":
    request = json.load(sys.stdin)
    answer = Path(request.pop("answer"))
    try:
        outcome = work(Job(**request))
    except (LVUNetError, OSError) as error:
        outcome = Outcome(error=str(error), kind=type(error).__name__)
    answer.write_text(json.dumps(asdict(outcome)), encoding="utf-8")
