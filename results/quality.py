"""Does a model know when it is wrong: `python results/quality.py RUN/best.safetensors DATA`; writes quality-RUN.json.

Fitted on the validation part of the split of the training, judged on its test part; the checkpoint stays as it is.
"""

import sys
from dataclasses import asdict, replace
from pathlib import Path
from shutil import copy
from tempfile import TemporaryDirectory

from torch import split as in_batches

from lvunet.data.dataset import SegmentationData
from lvunet.data.selection import choose, split_given, unseen
from lvunet.evaluate.evidence import write_json
from lvunet.evaluate.provenance import provenance
from lvunet.evaluate.quality import judge
from lvunet.learn.calibrate import calibrate
from lvunet.model import load_checkpoint
from lvunet.runtime.torch_backend import TorchSegmenter

BATCH = 8


def main(checkpoint: Path, data: Path) -> None:
    """Write what the calibration of a checkpoint is worth on images that it has not seen."""
    _, card = load_checkpoint(checkpoint)
    asked = split_given(card.training, None, None, None)
    (val, _), (test, split) = choose(data, "val", *asked), choose(data, "test", *asked)
    test, left_out = unseen(card.training, test)
    fitted_on = SegmentationData(val, card, "none", seed=0)
    batches = zip(in_batches(fitted_on.pixels, BATCH), in_batches(fitted_on.masks, BATCH), strict=True)
    with TemporaryDirectory() as folder:
        fitted = calibrate(Path(copy(checkpoint, folder)), batches)
        model, calibrated = load_checkpoint(Path(folder) / checkpoint.name)
    calibrated = replace(calibrated, name=checkpoint.resolve().parent.name)
    before = judge(TorchSegmenter(model, replace(calibrated, temperature=1.0)), test)
    after = judge(TorchSegmenter(model, calibrated), test)
    record = {
        "dataset": asked[0],
        "split": split,
        "test_images_left_out": left_out,
        **after.record(),
        "ece_at_temperature_1": before.ece,
        "dice_at_temperature_1": float(before.dice.mean()),
        "dice": float(after.dice.mean()),
        "fitted_on_validation": asdict(fitted),
        "source_sha256": card.source_sha256,
        **asdict(provenance()),
    }
    write_json(Path(__file__).parent / f"quality-{calibrated.name}.json", record)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
