"""Folders of training runs as `lvunet train` leaves them, around a network that was not trained."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lvunet.card import Card
from lvunet.evaluate.provenance import provenance
from lvunet.learn.config import TrainConfig
from lvunet.model import LVUNet, save_checkpoint
from models import trained_model

EPOCHS, TRAINING_IMAGES, SECONDS = 2, 7, (3.5, 4.25)
NOTHING: Mapping[str, Any] = {}


def write_run(
    folder: Path,
    dataset: str,
    *,
    planned: int = EPOCHS,
    model: LVUNet | None = None,
    choices: Mapping[str, Any] = NOTHING,
    training: Mapping[str, Any] = NOTHING,
) -> Path:
    """Write a run of two epochs, of so many planned, under split `paper-0` of a data set, or under a table.

    `choices` are further keys of its configuration, `training` of what its card says of the training.
    """
    given = {"dataset": dataset, "epochs": planned, "out": folder, **choices}
    config = TrainConfig.read(None, given).model_dump(mode="json")
    past = {"config": config, "epoch": 1, "val_dice": 0.5, "seen": [], **training}
    save_checkpoint(folder / "best.safetensors", model or trained_model(1, 3), Card(size=config["size"], training=past))
    split = {"train": [str(n) for n in range(TRAINING_IMAGES)], "val": [], "test": []}
    manifest = {"config": config, "split": split, "provenance": asdict(provenance())}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    rows = [f"{epoch},{seconds}" for epoch, seconds in enumerate(SECONDS)]
    (folder / "metrics.csv").write_text("\n".join(["epoch,seconds", *rows]), encoding="utf-8")
    return folder
