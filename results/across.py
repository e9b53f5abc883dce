"""The section of what is left of a model across data sets and under corruptions, from robustness-<recipe>.json."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from results.section import Section, counted, difference, found, interval_of, score

from lvunet.benchmark.standings import Record
from lvunet.card import Card
from lvunet.data.manifest import load_split, load_splits
from lvunet.data.selection import UNION
from lvunet.evaluate.intervals import Interval, mean_interval
from lvunet.evaluate.page import Table

ALL, DROP = "all images", "mean corruption drop"
TEXT = (
    "What is left of a model's Dice on sets that it was not trained on, and on pictures that are spoilt? Rows say what "
    "was trained on, columns what was tested on: of its own sets (bold) the test part, of the others the test part and "
    "all images. A drop is the Dice of the clean image less that of the spoilt one, on the test part of its own sets."
)


def robustness(results: Path) -> Section:
    """Return for each recipe the matrix of the polyp sets and the drops, then what tells one recipe from another."""
    records = found(results, "robustness-*.json")
    of_each = ((matrix(record, "test parts"), matrix(record, ALL), drops(record)) for record in records)
    tables = (*chain(*of_each), recipes_apart(records))
    return Section("Across data sets and under corruptions", TEXT, "robustness-*.json", tables, records)


def matrix(record: Record, images: str) -> Table:
    """Return a row a model and a column a set that it was tested on, of the test parts or of all images."""
    columns = tuple(dict.fromkeys(cell["tested_on"] for cell in record["matrix"]))
    chosen = [cell for cell in record["matrix"] if (cell["split"] == ALL) == (images == ALL)]
    cells: dict[str, dict[str, str]] = {}
    for cell in chosen:
        text = _scored(cell["dice"], cell["seen"])
        own = cell["tested_on"] in _config(record, cell["model"])["dataset"].split(UNION)
        cells.setdefault(cell["model"], {})[cell["tested_on"]] = f"**{text}**" if own else text
    rows = ((_trained(record, model), *(row.get(to, "") for to in columns)) for model, row in cells.items())
    known = [cell["seen"] for cell in chosen if cell["seen"] is not None]
    note = f"Images that the model was trained or validated on: {sum(known)} in {len(known)} cells"
    note += f", not known of {len(chosen) - len(known)}." if len(known) < len(chosen) else "."
    return Table(f"{record['recipe']}: Dice on {images}", ("trained on", *columns), tuple(rows), note)


def drops(record: Record) -> Table:
    """Return a row a corruption and a column a model: the drops in three severities."""
    models = record["corruptions"].values()
    cells: dict[str, list[str]] = {}
    for model in models:
        for name, group in groupby(model["conditions"], itemgetter("corruption")):
            severities = list(group)
            row = cells.setdefault(name, ["; ".join(each["amount"] for each in severities)])
            row.append(" / ".join(_bold_if_sure(interval_of(each["drop"])) for each in severities))
    rows = (
        ("clean: Dice", "", *(_scored(model["clean"], model.get("seen_in_training")) for model in models)),
        *((name, *row) for name, row in cells.items()),
        ("mean corruption drop", "", *(score(interval_of(model["mean_drop"]), "+") for model in models)),
    )
    head = ("drop in Dice", "mild / medium / severe", *(_trained(record, name) for name in record["corruptions"]))
    note = "Bold: it differs from 0. Pixels are those of a picture of 256 x 256."
    return Table(f"{record['recipe']}: under corruptions", head, rows, note)


def _scored(measured: Record, seen: int | None) -> str:
    """Return ``0.883 (0.862 to 0.903), n 200``, and how many of the images the model was shown in training."""
    dice = interval_of(measured)
    return f"{score(dice)}, n {counted(dice)}" + (f", {seen} of them seen" if seen else "")


@dataclass(frozen=True)
class Line:
    """One value an image, (N,), of a model by one recipe; lines of one `key` can be compared."""

    key: tuple[str, str, str, str]  # trained on; data set and split tested on; what the values are
    record: Record
    model: str  # of the record
    recipe: str
    weights: str  # what tells one training from another
    is_paper: bool
    values: NDArray[np.float64]
    grouped: bool


def recipes_apart(records: Iterable[Record]) -> Table:
    """Return the paired differences of recipes to "paper", or where that lacks to the first by name."""
    rows = []
    for first, *others in comparable(records):
        trained, dataset, split, what = first.key
        for other in others:
            apart = minus(other, first)
            names = f"{other.recipe} - {first.recipe}"
            rows.append((trained, f"{dataset}, {split}", what, names, counted(apart), *difference(apart)))
    head = ("trained on", "tested on", "what", "recipes", "n", "difference", "differs")
    note = (
        "Models of one split, seed and number of epochs, on the same images; one at 384 px costs 2.25 times the "
        "multiply-adds. Better is above 0 for Dice, below 0 for the drop."
    )
    return Table("Recipe against recipe", head, tuple(rows), note)


def ours_and_preset(records: Iterable[Record], is_ours: Callable[[Record], bool]) -> tuple[Table, Sequence[Record]]:
    """Return how our networks stand to the preset of their budget away from home, and the records that say so.

    That is on all images of sets that they have not seen, and by the mean drop under corruptions. `is_ours` is asked of
    the model of a record.
    """
    rows, shown = [], list[Record]()
    for preset, *others in comparable(records):
        trained, dataset, split, what = preset.key
        ours = [line for line in others if is_ours(line.record["models"][line.model])]
        if not (ours and preset.is_paper and (split == ALL or what == DROP)):
            continue
        tested = f"{dataset}, {split}" if split == ALL else f"{dataset}, {split}, spoilt: drop in Dice"
        for line in ours:
            apart = minus(line, preset)
            means = (f"{each.values.mean():.3f}" for each in (line, preset))
            rows.append((trained, tested, counted(apart), *means, *difference(apart)))
            shown += line.record, preset.record
    head = ("trained on", "tested on", "n", "ours", "preset", "difference (95 % interval)", "differs")
    note = (
        "Better is above 0 for Dice, below 0 for a drop, which is the mean over ten corruptions in three severities. "
        "One training each. [Each of them](docs/results.md#across-data-sets-and-under-corruptions)."
    )
    return Table("", head, tuple(rows), note), shown


def comparable(records: Iterable[Record]) -> Iterator[list[Line]]:
    """Yield what two or more trainings of one budget have on the same images, "paper" first, then by name."""
    order = [line for record in records for line in lines(record)]
    order.sort(key=lambda line: (line.key, not line.is_paper, line.recipe))
    for _, same in groupby(order, lambda line: line.key):
        trained_once: dict[str, Line] = {}  # a model may be in two records
        for line in same:
            trained_once.setdefault(line.weights, line)
        yield [*trained_once.values()]


def minus(line: Line, other: Line) -> Interval:
    """Return the mean of the differences on the same images, which are drawn by group where there are groups."""
    _, dataset, split, _ = line.key
    return mean_interval(line.values - other.values, groups(dataset, split) if line.grouped else None)


def lines(record: Record) -> Iterator[Line]:
    """Return the Dice of every cell of the matrix, and the mean drop over all corruptions of every model.

    Left out is a whole set of which the model, or the one that it began with, was shown a part.
    """
    for cell in record["matrix"]:
        if cell["split"] == ALL and cell["seen"]:
            continue
        yield _line(record, cell["model"], (cell["tested_on"], cell["split"], "Dice"), _values(cell), cell["dice"])
    for name, model in record["corruptions"].items():
        drop = _values(model["clean"]) - np.mean([_values(each) for each in model["conditions"]], axis=0)
        what = (model["dataset"], model["split"], DROP)
        yield _line(record, name, what, drop, model["clean"])


def groups(dataset: str, split: str) -> list[str]:
    """Return what each image of a test part, such as `paper-0 test`, or of all images belongs to, in their order."""
    owners = []
    for name in sorted(dataset.split(UNION)):
        protocol, _, seed = split.removesuffix(" test").rpartition("-")
        whole = load_splits(name)[0] if split == ALL else load_split(name, protocol, int(seed))
        ids = sorted(whole.parts()) if split == ALL else whole.test
        owners += [f"{name}/{whole.groups.get(key, key)}" for key in ids]
    return owners


def _line(
    record: Record, model: str, what: tuple[str, str, str], values: NDArray[np.float64], interval: Mapping[str, Any]
) -> Line:
    config, weights = _config(record, model), record["models"][model]["source_sha256"]
    is_paper, grouped = config.get("recipe", "paper") == "paper", interval["clusters"] < interval["n"]
    recipe = f"{record['recipe']}{_size(config)}"
    return Line((_budget(config), *what), record, model, recipe, weights, is_paper, values, grouped)


def _values(tested: Record) -> NDArray[np.float64]:
    return np.array([float(dice) for dice in tested["per_image"].split()])


def _bold_if_sure(drop: Interval) -> str:
    return f"**{drop.mean:+.3f}**" if drop.differs else f"{drop.mean:+.3f}"


def _config(record: Record, model: str) -> dict[str, Any]:
    config: dict[str, Any] = record["models"][model]["training"]["config"]
    return config


def _trained(record: Record, model: str) -> str:
    """Return what a model was trained on, how long and at which size."""
    config = _config(record, model)
    return f"{_budget(config)}{_size(config)}"


def _budget(config: Record) -> str:
    """Return what a model was trained on, under which split, and how long: equal for models that can be compared."""
    split = f"{config['protocol']}-{config['split_seed']}"
    return f"{config['dataset']} ({split}, seed {config['seed']}, {config['epochs']} epochs)"


def _size(config: Record) -> str:
    return f" (at {config['size']} px)" if config["size"] != Card().size else ""
