"""Splits as committed lists of ids: which sample trains, which validates, which is kept for the test."""

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Literal

from lvunet.data.registry import Sample
from lvunet.errors import ConfigError, did_you_mean

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = ("train", "val", "test")


@dataclass(frozen=True)
class Split:
    """Three disjoint, sorted tuples of ids; `groups` maps an id to what it must not be separated from."""

    dataset: str
    protocol: str
    seed: int
    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]
    groups: Mapping[str, str] = field(default_factory=dict, repr=False)

    def part(self, name: Part) -> tuple[str, ...]:
        """Return the ids of one part."""
        return {"train": self.train, "val": self.val, "test": self.test}[name]

    def select(self, samples: Iterable[Sample], part: Part) -> list[Sample]:
        """Return the samples of one part, in the order of its ids; an id without a sample raises `ConfigError`."""
        found = {sample.id: sample for sample in samples}
        missing = [key for key in self.part(part) if key not in found]
        if missing:
            raise ConfigError(
                f"{self.dataset}, split {self.protocol} {self.seed}: {len(missing)} of {len(self.part(part))} ids "
                f"of the {part} part are not in the folder, such as {', '.join(missing[:3])}."
            )
        return [found[key] for key in self.part(part)]


def load_split(dataset: str, protocol: str = "paper", seed: int = 0) -> Split:
    """Return a committed split."""
    table = files("lvunet.data") / "splits" / f"{dataset}.csv"
    with table.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    column = f"{protocol}-{seed}"
    if column not in rows[0]:
        raise ConfigError(f"{dataset} has no split {column!r}." + did_you_mean(column, list(rows[0])[2:]))
    ids = {part: tuple(row["id"] for row in rows if row[column] == part) for part in PARTS}
    groups = {row["id"]: row["group"] for row in rows if row["group"]}
    return Split(dataset, protocol, seed, ids["train"], ids["val"], ids["test"], groups)
