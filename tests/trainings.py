"""Small trainings on phantoms, and what is to be compared of them."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lvunet.learn.config import TrainConfig
from lvunet.learn.train import Run, train
from lvunet.model import load_checkpoint


def configure(phantoms: Path, out: Path, **changes: Any) -> TrainConfig:
    values = {"data": phantoms, "out": out, "weights": None, "size": 64, "epochs": 4, "batch_size": 5, "deep_end": 0.6}
    return TrainConfig(**{**values, **changes})


def run(phantoms: Path, out: Path, tell: Callable[[str], None] = lambda _: None, **changes: Any) -> Run:
    return train(configure(phantoms, out, **changes), progress_bar=False, tell=tell)


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "metrics.csv").open(encoding="utf-8") as file:
        return [{key: value for key, value in row.items() if key != "seconds"} for row in csv.DictReader(file)]


def tensors(path: Path) -> dict[str, torch.Tensor]:
    return load_checkpoint(path)[0].state_dict()


def same(one: Path, other: Path) -> bool:
    return all(torch.equal(a, b) for a, b in zip(tensors(one).values(), tensors(other).values(), strict=True))
