"""The search for a recipe, on validation parts only: `python results/recipe.py SET DATASETS WEIGHTS OUT [NAME...]`.

Trains each experiment (a change to the base, all at one budget), scores its best epoch on the validation part at the
stored size, and writes results/recipe-<set>.json: the mean, and the paired difference to the base with its interval.
A finished experiment is not run again. DATASETS is the folder of the sets, each by its name.
"""

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any
from unittest.mock import patch

import torch
from torch.optim.swa_utils import update_bn

from lvunet.card import IMAGENET_STD
from lvunet.data.dataset import EpochBatches, SegmentationData
from lvunet.data.registry import Sample
from lvunet.data.selection import task
from lvunet.evaluate.evidence import write_json
from lvunet.evaluate.intervals import mean_interval
from lvunet.evaluate.provenance import provenance
from lvunet.evaluate.scoring import score
from lvunet.learn import train as training
from lvunet.learn.config import BEST, LOG, TrainConfig
from lvunet.model import load_checkpoint, save_checkpoint
from lvunet.model.lvunet import pixel_statistic
from lvunet.runtime.segmenter import load

HERE = Path(__file__).parent
BASE: dict[str, Any] = {"epochs": 12, "size": 192}  # a 25th of the length of `paper`, at 0.56 of the pixels
TAIL: dict[str, Any] = {"deep_end": 0.6}
EXPERIMENTS: dict[str, dict[str, Any]] = {
    "base": {},
    "base, seed 1": {"seed": 1},
    "strong augmentation": {"augment": "strong"},
    "tail from 0.6": TAIL,
    "EMA 0.99": {"ema": 0.99},
    "tail and EMA": {**TAIL, "ema": 0.99},
    "structure loss": {"loss": "structure"},
    "Dice of the batch": {"loss": "batch"},
    "Dice of image and batch": {"loss": "paper+batch"},
    "deep supervision 0.5": {"deep_supervision": 0.5},
    "deep supervision 0.5, seed 1": {"deep_supervision": 0.5, "seed": 1},
    "AdamW 0.05, warm-up": {"optimizer": "adamw", "weight_decay": 0.05, "warmup": 0.05},
    "plain training, slope 0": {"deep": "none"},
    "slope 1 throughout": {"deep": "done"},
    "linear slope": {"deep": "linear"},
    "from scratch": {"weights": None},
    "the original's normalisation": {"recipe": "original normalisation"},
    "batch norms re-estimated": {"recipe": "re-estimated"},
    "batch 16": {"batch_size": 16},
    "rate 2e-3": {"learning_rate": 2e-3},
    "256 px": {"size": 256},
    "320 px": {"size": 320},
    "three polyp sets": {"dataset": "kvasir-seg+cvc-clinicdb+cvc-colondb", "epochs": 6},  # as many images
    "taught": {"teacher": "teacher-{}.safetensors"},  # of OUT, by the set: an LV-UNet that was trained for longer
    "ours": {"recipe": "ours"},
}


def main(dataset: str, data: Path, weights: Path, out: Path, *names: str) -> None:
    """Run the experiments that are named, by default all, and write what is known after each."""
    for name in names or tuple(EXPERIMENTS):
        run_one(dataset, data, weights, out, name)
        write_json(HERE / f"recipe-{dataset}.json", summary(dataset, out))


def run_one(dataset: str, data: Path, weights: Path, out: Path, name: str) -> None:
    """Train and score one experiment, unless its scores are there."""
    folder = out / f"{dataset}-{name.replace(' ', '-').replace(',', '')}"
    if (folder / "scores.json").exists():
        return
    chosen = {"data": data, "dataset": dataset, "weights": str(weights), "out": folder, **BASE, **EXPERIMENTS[name]}
    if "teacher" in chosen:
        chosen["teacher"] = out / chosen["teacher"].format(dataset)
    named = chosen.get("recipe", "paper") in ("paper", "ours")
    config = TrainConfig.read(None, chosen) if named else TrainConfig.model_validate(chosen)
    samples, split = task(data, dataset, config.protocol, config.split_seed)
    if config.recipe == "re-estimated":
        reestimate(out / f"{dataset}-base", folder, split.select(samples, "train"))
    else:
        twice = config.recipe == "original normalisation"  # but for its BGR
        with patch.object(training, "IMAGENET_STD", tuple(std * (255 if twice else 1) for std in IMAGENET_STD)):
            training.train(config, progress_bar=False)
    scores = score(load(folder / BEST), split.select(samples, "val"))
    log = folder / LOG
    rows = log.read_text(encoding="utf-8").splitlines()[1:] if log.exists() else []
    images = task(data, config.dataset, config.protocol, config.split_seed)[1].part("train")
    record = {
        "experiment": name,
        "change": {key: str(value) for key, value in EXPERIMENTS[name].items()},
        "images_seen": config.epochs * len(images),
        "minutes": round(sum(float(row.rpartition(",")[2]) for row in rows) / 60, 1),
        "dice": {image.id: round(image.mean.dice, 4) for image in scores.images},
        "groups": {image.id: image.group or image.id for image in scores.images},
        **asdict(provenance()),
    }
    write_json(folder / "scores.json", record)


def reestimate(base: Path, folder: Path, samples: Sequence[Sample]) -> None:
    """Write the base's network with its batch statistics measured anew, on all training images as they are."""
    network, card = load_checkpoint(base / BEST)
    images = SegmentationData(samples, card, "none", seed=0)
    mean, std = pixel_statistic(card.mean), pixel_statistic(card.std)
    with torch.no_grad():
        update_bn(((images[key][0].float() - mean) / std for key in EpochBatches(len(images), 8, seed=0)), network)
    save_checkpoint(folder / BEST, network, card)


def summary(dataset: str, out: Path) -> dict[str, Any]:
    """Return every finished experiment beside the base."""
    done = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(out.glob(f"{dataset}-*/scores.json"))]
    base = next((each["dice"] for each in done if each["experiment"] == "base"), None)
    rows = []
    for each in sorted(done, key=lambda each: list(EXPERIMENTS).index(each["experiment"])):
        values = list(each["dice"].values())
        row = {key: each[key] for key in ("experiment", "change", "images_seen", "minutes", "commit")}
        groups = [each.get("groups", {}).get(key, key) for key in each["dice"]]
        row["dice"] = asdict(mean_interval(values, groups))
        if base:
            row["minus_base"] = asdict(
                mean_interval([value - base[key] for key, value in each["dice"].items()], groups)
            )
        rows.append(row)
    return {"dataset": dataset, "part": "val", "base": BASE, "experiments": rows, "machine": done[0]["machine"]}


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), Path(sys.argv[4]), *sys.argv[5:])
