"""Folders of training runs as `lvunet train` leaves them, around a network that was not trained."""

import json
from dataclasses import asdict
from pathlib import Path

from lvunet.card import Card
from lvunet.evaluate.provenance import provenance
from lvunet.learn.config import TrainConfig
from lvunet.model import LVUNet, save_checkpoint
from models import trained_model

SIZE = 64  # of the network's input: small is fast, and the forms have to agree at any
EPOCHS, TRAINING_IMAGES, SECONDS = 2, 7, (3.5, 4.25)


def write_run(
    folder: Path, dataset: str, *, recipe: str = "paper", planned: int = EPOCHS, model: LVUNet | None = None
) -> Path:
    """Write a run of two epochs, of so many planned, under split `paper-0` of a data set, or under a table."""
    config = TrainConfig(dataset=dataset, recipe=recipe, epochs=planned, size=SIZE, out=folder).model_dump(mode="json")
    card = Card(size=SIZE, training={"config": config, "epoch": 1, "val_dice": 0.5, "seen": []})
    save_checkpoint(folder / "best.safetensors", model or trained_model(1, 3), card)
    split = {"train": [str(n) for n in range(TRAINING_IMAGES)], "val": [], "test": []}
    manifest = {"config": config, "split": split, "provenance": asdict(provenance())}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    rows = [f"{epoch},{seconds}" for epoch, seconds in enumerate(SECONDS)]
    (folder / "metrics.csv").write_text("\n".join(["epoch,seconds", *rows]), encoding="utf-8")
    return folder
