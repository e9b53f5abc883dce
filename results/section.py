"""What the pages of results are made of: sections, and how an interval reads in a cell of their tables."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from lvunet.benchmark.accuracy import recipe_name
from lvunet.benchmark.standings import Record
from lvunet.card import Card
from lvunet.evaluate.intervals import Interval
from lvunet.evaluate.page import Table


@dataclass(frozen=True)
class Section:
    """What was asked and how it was measured, the files of that, their tables, and each measurement with its origin."""

    title: str
    text: str
    files: str
    tables: Sequence[Table]
    measurements: Sequence[Record]

    @property
    def shown(self) -> list[Table]:
        """The tables that have rows."""
        return [table for table in self.tables if table.rows]

    def body(self) -> str:
        """Return the tables, each below its title."""
        return "\n".join(f"**{table.title}**\n\n{table.markdown()}" for table in self.shown)

    def markdown(self) -> str:
        """Return the section under a heading."""
        source = f"From `results/{self.files}`. {origin(*self.measurements)}"
        return f"## {self.title}\n\n{self.text}\n\n{self.body()}\n{source}\n"


def origin(*measurements: Record) -> str:
    """Return commits, dates and machines of measurements, for the line below a table; dates where they are known."""
    machines = {f"{each['machine']['cpu']}, {each['machine']['cores']} cores" for each in measurements}
    facts = {each["commit"] for each in measurements}, {each.get("date", "") for each in measurements} - {""}, machines
    return f"*Commit {'; '.join(', '.join(sorted(values)) for values in facts if values)}.*"


def found(results: Path, files: str) -> list[Record]:
    """Return what is in the files of a pattern, in the order of their names."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob(files))]


def interval_of(record: Mapping[str, Any]) -> Interval:
    """Return the interval that a record holds, perhaps among other values."""
    return Interval(**{field.name: record[field.name] for field in fields(Interval)})


def score(interval: Interval, sign: str = "") -> str:
    """Return ``0.883 (0.862 to 0.903)``."""
    return f"{interval.mean:{sign}.3f} ({interval.range_text()})"


def counted(interval: Interval) -> str:
    """Return ``123``, or of images that come in groups ``123 in 29``."""
    return f"{interval.n}" if interval.clusters == interval.n else f"{interval.n} in {interval.clusters}"


def difference(interval: Interval) -> tuple[str, str]:
    """Return ``+0.0084 (-0.0020 to 0.0194)``, and whether it differs from 0; see `Interval.verdict`."""
    return f"{interval.mean:+.4f} ({interval.range_text(4)})", interval.verdict


def by_preset(config: Mapping[str, Any]) -> bool:
    """Whether a training was by the paper's preset, at any size of image and for any number of epochs."""
    return recipe_name({**config, "size": Card().size}) == "paper"


def leaks() -> dict[tuple[Any, str], str]:
    """Return by set and test part how many of its images have their like in the training or validation part."""
    splits = json.loads((Path(__file__).parent / "data-leaks.json").read_text(encoding="utf-8"))["splits"]
    parts = {(each["dataset"], f"{each['protocol']}-{each['seed']} test"): each for each in splits}
    return {part: f"{each['test_leaks']['any']} of {each['n_test']}" for part, each in parts.items()}
