"""One conversion for a benchmark, in a process of its own: a converter may talk, hang, crash, or load half a world."""

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from torch import nn

from lvunet.benchmark.speeds import drawn
from lvunet.card import Card
from lvunet.export.convert import convert
from lvunet.export.process import Job, Outcome, given_job, run
from lvunet.export.targets import TARGETS, Precision, Target
from lvunet.image import UInt8
from lvunet.runtime.segmenter import load
from lvunet.runtime.square import SquareSegmenter

CALIBRATION = 12  # drawn images for int8: of one alone LiteRT's scales can be 0
LIMIT_S = 900  # the slowest takes one minute on a quiet machine
ONE_BY_ONE = ("onnx", "ncnn")  # these take one image a call

Call = Callable[[], object]


def converted(
    network: nn.Module, card: Card, target: Target, images: UInt8, folder: Path, *, precision: Precision
) -> Path:
    """Return the artefact in `folder`, once it has answered in the process that made it.

    It takes the batch that the images (B, side, side, C) are. Raises `ExportError` and `OutputError`.
    """
    folder.mkdir(parents=True)
    source, stored, path = folder / "network.pickle", folder / "images.npz", folder / f"model{target.suffix}"
    torch.save(network, source)
    np.savez(stored, images=images)
    job = Job(str(source), target.name, str(path), str(stored), card.to_json(), precision)
    run(job, LIMIT_S, __name__)
    return path


def call(path: Path, target: Target, images: UInt8, threads: int) -> Call:
    """Return a call of an artefact with these images."""
    segmenter = load(path, threads)
    if isinstance(segmenter, SquareSegmenter) and target.name not in ONE_BY_ONE:
        answer = segmenter.run
        return lambda: answer(images)
    return lambda: [segmenter(image) for image in images]


def main() -> None:
    """Do the job on standard input; whatever is wrong ends the process."""
    job = given_job()
    target, path = TARGETS[job.target], Path(job.path)
    images: UInt8 = np.load(job.images)["images"]
    network = torch.load(job.source, weights_only=False)  # which `converted` has just written
    convert(
        target,
        network,
        Card.from_json(job.card),
        path,
        batch=len(images),
        precision=job.precision,
        calibration=[*drawn(CALIBRATION, images.shape[1])],
    )
    call(path, target, images, threads=1)()
    job.answer.write_text(json.dumps(asdict(Outcome())), encoding="utf-8")


if __name__ == "__main__":
    main()
