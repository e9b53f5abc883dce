"""The section of what is left of a model across data sets and under corruptions, from robustness-<recipe>.json."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from results.section import Section, by_preset, counted, difference, found, interval_of, score

from lvunet.benchmark.accuracy import recipe_name
from lvunet.benchmark.standings import Record, read_records
from lvunet.card import Card
from lvunet.data.manifest import load_split, load_splits
from lvunet.data.selection import UNION
from lvunet.evaluate.intervals import Interval, mean_interval
from lvunet.evaluate.page import Table

ALL = "all images"
DICE, SPOILT, DROP = "Dice", "Dice on spoilt images", "mean corruption drop"
TEXT = (
    "What is left of a model's Dice on sets that it was not trained on, and on pictures that are spoilt? Rows say what "
    "was trained on, columns what was tested on: of its own sets (bold) the test part, of the others the test part and "
    "all images. A drop is the Dice of the clean image less that of the spoilt one, on the test part of its own sets."
)


def robustness(results: Path) -> Section:
    """Return for each recipe the matrix of the polyp sets and the drops, then what tells one recipe from another."""
    records = found(results, "robustness-*.json")
    of_each = ((matrix(record, "test parts"), matrix(record, ALL), drops(record)) for record in records)
    tables = (*chain(*of_each), recipes_apart(lines_of(records, read_records(results).values())))
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
    """What a model of a record has on each image, by the image's id; lines of one `key` can be compared."""

    record: Record
    model: str
    tested_on: str
    split: str
    what: str
    values: Mapping[str, float]

    @property
    def config(self) -> dict[str, Any]:
        """How the model was trained."""
        return _config(self.record, self.model)

    @property
    def key(self) -> tuple[str, ...]:
        """What it was trained on and how long, and what it was tested on."""
        return _budget(self.config), self.tested_on, self.split, self.what

    @property
    def recipe(self) -> str:
        """The name of its recipe, and of its record of robustness."""
        return f"{recipe_name(self.config)} ({self.record['recipe']})"

    @property
    def weights(self) -> str:
        """What tells one training from another."""
        return str(self.record["models"][self.model]["source_sha256"])

    @property
    def mean(self) -> float:
        """The mean over its images."""
        return sum(self.values.values()) / len(self.values)

    def minus(self, other: Self) -> Interval:
        """Return the mean difference on the images that both have, which are drawn by group where there are groups."""
        owners = members(self.tested_on, self.split)
        both = [key for key in owners if key in self.values and key in other.values]
        return mean_interval([self.values[key] - other.values[key] for key in both], [owners[key] for key in both])


def recipes_apart(lines: Iterable[Line]) -> Table:
    """Return the paired differences of recipes to "paper" at its own size, or where that lacks to the first by name."""
    order = sorted(lines, key=lambda line: (line.key, not by_preset(line.config), line.config["size"], line.recipe))
    rows = []
    for (trained, tested_on, split, what), same in groupby(order, lambda line: line.key):
        first, *others = trained_once(same)
        for other in others:
            apart, names = other.minus(first), f"{other.recipe} - {first.recipe}"
            rows.append((trained, f"{tested_on}, {split}", what, names, counted(apart), *difference(apart)))
    head = ("trained on", "tested on", "what", "recipes", "n", "difference", "differs")
    note = (
        "Models of one split, seed and number of epochs, on the same images, without those that either was trained or "
        "validated on; one at 384 px costs 2.25 times the multiply-adds. Better is above 0 for Dice, below 0 for the "
        "drop."
    )
    return Table("Recipe against recipe", head, tuple(rows), note)


def ours_and_preset(lines: Iterable[Line], is_ours: Callable[[Record], bool]) -> tuple[Table, Sequence[Record]]:
    """Return how our networks stand to the preset away from home, and the records that say so.

    That is on all images of sets that they have not seen, and on spoilt images of their own, against the preset at
    their size and its own, of as many epochs and more. `is_ours` is asked of the model of a record.
    """
    away = trained_once(line for line in lines if (line.split == ALL) == (line.what == DICE) and line.what != DROP)
    presets = [line for line in away if by_preset(line.config)]
    presets.sort(key=lambda line: (line.config["size"], line.config["epochs"]))
    rows, shown = [], list[Record]()
    made_by_us = (line for line in away if is_ours(line.record["models"][line.model]))
    for ours in sorted(made_by_us, key=lambda line: line.key):
        for preset in (each for each in presets if alike(ours, each)):
            apart = ours.minus(preset)
            tested = (
                f"{ours.config['dataset']}, {_split(ours.config)}, seed {ours.config['seed']}",
                *(ratio(ours.config[key], preset.config[key]) for key in ("size", "epochs")),
                f"{ours.tested_on}, {ours.split if ours.split == ALL else ours.what.removeprefix('Dice on ')}",
            )
            rows.append((*tested, counted(apart), f"{ours.mean:.3f}", f"{preset.mean:.3f}", *difference(apart)))
            shown += ours.record, preset.record
    head = ("trained on", "px", "epochs", "tested on", "n", "ours", "preset", "difference (95 % interval)", "differs")
    note = (
        "Two numbers: ours / preset. Spoilt: the mean over ten corruptions in three severities, of test images that "
        "neither has seen. One training each; what each corruption costs each network: "
        "[results](docs/results.md#across-data-sets-and-under-corruptions)."
    )
    return Table("", head, tuple(rows), note), shown


def alike(ours: Line, preset: Line) -> bool:
    """Whether both were trained on the same images, with the same seed, and tested on the same."""
    same = ("dataset", "protocol", "split_seed", "seed")
    trained = all(ours.config[key] == preset.config[key] for key in same)
    tested = (ours.tested_on, ours.split, ours.what) == (preset.tested_on, preset.split, preset.what)
    size = preset.config["size"] in (Card().size, ours.config["size"])
    return trained and tested and size and preset.config["epochs"] >= ours.config["epochs"]


def trained_once(lines: Iterable[Line]) -> list[Line]:
    """Return the lines without those of a model that is in another record, too."""
    once: dict[tuple[str, ...], Line] = {}
    for line in lines:
        once.setdefault((line.weights, *line.key), line)
    return [*once.values()]


def ratio(ours: int, preset: int) -> str:
    """Return ``40``, or where they are two ``40 / 300``."""
    return " / ".join(map(str, dict.fromkeys((ours, preset))))


def lines_of(records: Iterable[Record], accuracies: Iterable[Record]) -> list[Line]:
    """Return for every model its Dice in every cell of the matrix, on spoilt images, and the mean drop of these.

    Left out is a whole set of which the model, or the one that it began with, was shown a part, and of its own test
    part what its record of accuracy leaves out. Where that has images with nothing to outline, they are told apart.
    """
    scored = {(each["source_sha256"], each["dataset"], each["split"]): each for each in accuracies}
    return [line for record in records for line in _lines(record, scored)]


def _lines(record: Record, scored: Mapping[tuple[str, str, str], Record]) -> Iterator[Line]:
    for cell in record["matrix"]:
        where = cell["model"], cell["tested_on"], cell["split"]
        if not (cell["split"] == ALL and cell["seen"]):
            yield Line(record, *where, DICE, _kept(record, where, scored, _values(cell)))
    for name, model in record["corruptions"].items():
        where = name, model["dataset"], model["split"]
        clean, each = _values(model["clean"]), np.mean([_values(row) for row in model["conditions"]], axis=0)
        spoilt = _kept(record, where, scored, each)
        yield Line(record, *where, DICE, _kept(record, where, scored, clean))
        yield Line(record, *where, DROP, _kept(record, where, scored, clean - each))
        yield Line(record, *where, SPOILT, spoilt)
        for kind, ids in _kinds(scored.get((record["models"][name]["source_sha256"], *where[1:]))).items():
            yield Line(record, *where, f"{SPOILT}, {kind}", {key: spoilt[key] for key in ids})


def _kept(
    record: Record,
    where: tuple[str, str, str],
    scored: Mapping[tuple[str, str, str], Record],
    values: NDArray[np.float64],
) -> dict[str, float]:
    """Return the values by id, without the images that the model's record of accuracy on that part leaves out."""
    model, tested_on, split = where
    accuracy = scored.get((record["models"][model]["source_sha256"], tested_on, split), {})
    left_out = {f"{tested_on}/{key}" for key in accuracy.get("test_images_left_out", ())}
    named = zip(members(tested_on, split), values.tolist(), strict=True)
    return {key: value for key, value in named if key not in left_out}


def _kinds(accuracy: Record | None) -> dict[str, list[str]]:
    """Return the ids of lesions and of normals, where a record of accuracy has both."""
    if accuracy is None or "lesions" not in accuracy:
        return {}
    outlined = {f"{accuracy['dataset']}/{image['id']}": image["truth_px"] > 0 for image in accuracy["images"]}
    return {kind: [key for key in outlined if outlined[key] == has] for kind, has in (("lesions", 1), ("normals", 0))}


@cache
def members(dataset: str, split: str) -> dict[str, str]:
    """Return the group of each image of a test part, such as `paper-0 test`, or of all images, in their order."""
    owners: dict[str, str] = {}
    for name in sorted(dataset.split(UNION)):
        protocol, _, seed = split.removesuffix(" test").rpartition("-")
        whole = load_splits(name)[0] if split == ALL else load_split(name, protocol, int(seed))
        ids = sorted(whole.parts()) if split == ALL else whole.test
        owners |= {f"{name}/{key}": f"{name}/{whole.groups.get(key, key)}" for key in ids}
    return owners


def _values(tested: Record) -> NDArray[np.float64]:
    return np.array([float(dice) for dice in tested["per_image"].split()])


def _bold_if_sure(drop: Interval) -> str:
    return f"**{drop.mean:+.3f}**" if drop.differs else f"{drop.mean:+.3f}"


def _config(record: Record, model: str) -> dict[str, Any]:
    config: dict[str, Any] = record["models"][model]["training"]["config"]
    return config


def _trained(record: Record, model: str) -> str:
    """Return what a model was trained on, how long and by which recipe."""
    config = _config(record, model)
    return f"{_budget(config)}: {recipe_name(config)}"


def _budget(config: Record) -> str:
    """Return what a model was trained on, under which split, and how long: equal for models that can be compared."""
    return f"{config['dataset']} ({_split(config)}, seed {config['seed']}, {config['epochs']} epochs)"


def _split(config: Record) -> str:
    return f"{config['protocol']}-{config['split_seed']}"
