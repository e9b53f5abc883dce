"""The search for a recipe, on validation parts only: `python results/recipe.py SET DATASETS WEIGHTS OUT [NAME...]`.

Trains each experiment (a change to the base, all at one budget), scores its best epoch on the validation part at the
stored size, and adds it to results/recipe-<set>.json: Dice by image, the mean, and the paired difference to the base
with its interval. What is in that file is not run again. DATASETS is the folder of the sets, each by its name.
"""

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch import nn
from torch.optim.swa_utils import update_bn

from lvunet.benchmark.peers import constructor
from lvunet.card import IMAGENET_MEAN, IMAGENET_STD
from lvunet.data.dataset import EpochBatches, SegmentationData
from lvunet.data.registry import Sample
from lvunet.data.selection import task
from lvunet.evaluate.evidence import write_json
from lvunet.evaluate.intervals import Interval, mean_interval
from lvunet.evaluate.provenance import commit, machine
from lvunet.evaluate.scoring import score
from lvunet.learn import start
from lvunet.learn import train as training
from lvunet.learn.config import BEST, LOG, TrainConfig
from lvunet.model import Constructor, load_checkpoint, save_checkpoint
from lvunet.model.backbone import Weights
from lvunet.model.lvunet import pixel_statistic
from lvunet.runtime.segmenter import load

HERE = Path(__file__).parent
BASELINE = "base"  # the experiment that the others are held against
BASE: dict[str, Any] = {"epochs": 12, "size": 192}  # a 25th of the length of `paper`; padded to 256 px
EXPERIMENTS: dict[str, dict[str, Any]] = {
    BASELINE: {},
    "base, seed 1": {"seed": 1},
    "strong augmentation": {"augment": "strong"},
    "tail from 0.6": {"deep_end": 0.6},
    "tail from 0.3": {"deep_end": 0.3},
    "EMA 0.99": {"ema": 0.99},
    "structure loss": {"loss": "structure"},
    "Dice of the batch": {"loss": "batch"},
    "Dice of image and batch": {"loss": "paper+batch"},
    "deep supervision 0.5": {"deep_supervision": 0.5},
    "deep supervision 0.5, seed 1": {"deep_supervision": 0.5, "seed": 1},
    "AdamW 0.05, warm-up": {"optimizer": "adamw", "weight_decay": 0.05, "warmup": 0.05},
    "plain training, slope 0": {"deep": "none"},
    "slope 1 throughout": {"deep": "done"},
    "from scratch": {"weights": None},
    "the original's normalisation": {"recipe": "original normalisation"},
    "the original's normalisation, BGR": {"recipe": "original normalisation, BGR"},
    "batch norms re-estimated": {"recipe": "re-estimated"},
    "256 px": {"size": 256},
    "320 px": {"size": 320},
    "352 px": {"size": 352},
    "three polyp sets": {"dataset": "kvasir-seg+cvc-clinicdb+cvc-colondb", "epochs": 6},  # as many images
    "three polyp sets, then 6 epochs": {"init": "three polyp sets", "epochs": 6},  # joint pretraining
    "base, then 6 epochs": {"init": BASELINE, "epochs": 6},  # what to hold that against
    "taught": {"teacher": "teacher-{}.safetensors"},  # of OUT, by the set: an LV-UNet that was trained for longer
    "taught by U-Net++": {"teacher": "unetplusplus-mobilenetv3-large-{}.safetensors"},  # as of peers.toml
}


def main(dataset: str, data: Path, weights: Path, out: Path, *names: str) -> None:
    """Run the experiments that are named, by default all, and after each add it to what is known."""
    file = HERE / f"recipe-{dataset}.json"
    for name in dict.fromkeys((BASELINE, *(names or EXPERIMENTS))):
        if "dice_by_image" in known(file).get(name, {}):
            continue
        row = run_one(dataset, data, weights, out, name)
        rows = known(file) | {name: row}  # read anew: another experiment may have ended meanwhile
        base = rows[BASELINE]["dice_by_image"]
        row["minus_base"] = asdict(mean_over({key: row["dice_by_image"][key] - base[key] for key in base}, row))
        ordered = [rows[each] for each in EXPERIMENTS if each in rows]
        write_json(
            file,
            {"dataset": dataset, "part": "val", "base": BASE, "experiments": ordered, "machine": asdict(machine())},
        )


def known(file: Path) -> dict[str, Any]:
    """Return the finished experiments of a set by name."""
    rows = json.loads(file.read_text(encoding="utf-8"))["experiments"] if file.exists() else []
    return {row["experiment"]: row for row in rows}


def run_one(dataset: str, data: Path, weights: Path, out: Path, name: str) -> dict[str, Any]:
    """Train and score one experiment."""
    folder = run_of(out, dataset, name)
    chosen = {"data": data, "dataset": dataset, "weights": str(weights), "out": folder, **BASE, **EXPERIMENTS[name]}
    if "teacher" in chosen:
        chosen["teacher"] = out / chosen["teacher"].format(dataset)
    if "init" in chosen:
        chosen["init"] = str(run_of(out, dataset, chosen["init"]) / BEST)
    config = TrainConfig.model_validate(chosen) if "recipe" in chosen else TrainConfig.read(None, chosen)
    samples, split = task(data, dataset, config.protocol, config.split_seed)
    if config.recipe == "re-estimated":
        reestimate(run_of(out, dataset, BASELINE), folder, split.select(samples, "train"))
    else:
        with as_normalised_by(config.recipe):
            training.train(config, progress_bar=False, constructor=bgr if "BGR" in config.recipe else constructor)
    scores = score(load(folder / BEST), split.select(samples, "val"))
    log = folder / LOG
    rows = log.read_text(encoding="utf-8").splitlines()[1:] if log.exists() else []
    images = task(data, config.dataset, config.protocol, config.split_seed)[1].part("train")
    row: dict[str, Any] = {
        "experiment": name,
        "change": {key: str(value) for key, value in EXPERIMENTS[name].items()},
        "images_seen": config.epochs * len(images),
        "minutes": round(sum(float(line.rpartition(",")[2]) for line in rows) / 60, 1),
        "commit": commit(),
        "dice_by_image": {image.id: round(image.mean.dice, 4) for image in scores.images},
        "groups": {image.id: image.group for image in scores.images if image.group},
    }
    return row | {"dice": asdict(mean_over(row["dice_by_image"], row))}


def run_of(out: Path, dataset: str, name: str) -> Path:
    """Return the folder of an experiment."""
    return out / f"{dataset}-{name.replace(' ', '-').replace(',', '')}"


@contextmanager
def as_normalised_by(recipe: str) -> Iterator[None]:
    """Let trainings begin with the normalisation of the original authors' code, if a recipe is of that name.

    They divide by 255 twice, and give OpenCV's blue, green and red the mean and deviation of red, green and blue.
    """
    if "original normalisation" not in recipe:
        yield
        return
    order = -1 if "BGR" in recipe else 1
    std = tuple(255 * each for each in IMAGENET_STD[::order])
    with patch.multiple(start, IMAGENET_MEAN=IMAGENET_MEAN[::order], IMAGENET_STD=std):
        yield


def bgr(name: str) -> Constructor:
    """Return what makes a network whose backbone takes for red what is blue."""
    make = constructor(name)

    def made(classes: int = 1, in_channels: int = 3, weights: Weights = None) -> nn.Module:
        network = make(classes, in_channels, weights)
        first = next(network.parameters())  # (16, 3, 3, 3)
        first.data = first.data.flip(1)
        return network

    return made


def mean_over(values: Mapping[str, float], row: Mapping[str, Any]) -> Interval:
    """Return the mean of values by image, drawn by the groups of a row where there are groups."""
    return mean_interval([*values.values()], [row["groups"].get(key, key) for key in values])


def reestimate(base: Path, folder: Path, samples: Sequence[Sample]) -> None:
    """Write the base's network with its batch statistics measured anew, on all training images as they are."""
    network, card = load_checkpoint(base / BEST)
    images = SegmentationData(samples, card, "none", seed=0)
    mean, std = pixel_statistic(card.mean), pixel_statistic(card.std)
    with torch.no_grad():
        update_bn(((images[key][0].float() - mean) / std for key in EpochBatches(len(images), 8, seed=0)), network)
    save_checkpoint(folder / BEST, network, card)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]), *sys.argv[5:])
