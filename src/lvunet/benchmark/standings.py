"""Who stands where: the records of accuracy in a folder as one table, and what tells one recipe from another."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from lvunet.data.registry import DATASETS, GOAL_SOURCE, PUBLISHED_SOURCE, DataSet
from lvunet.data.selection import UNION
from lvunet.errors import ConfigError, MismatchedPair
from lvunet.evaluate.intervals import VERDICTS, Interval, mean_interval
from lvunet.evaluate.page import Table

Record = dict[str, Any]
Pair = tuple[Record, Record]  # ours and theirs
HEAD = (
    "data set, split",
    "recipe",
    "seed",
    "epochs",
    "n",
    "Dice (95 % interval)",
    "to goal",
    "IoU",
    "HD95 px",
    "paper's IoU (published)",
)
OF_PUBLIC_SETS = {"to goal", "paper's IoU (published)"}  # columns
NOTE = "Means over images, of the ONNX form; intervals draw whole groups, whose number stands after n if there are any."
PUBLIC_NOTE = f" The paper's IoU pools pixels; it was published for another random split ({PUBLISHED_SOURCE})."
APART = (
    "Differences of the same images, bootstrapped: the row of one seed holds the noise of images, not of training. "
    f"Where seeds are pooled, an image under several of them is drawn as one. {VERDICTS}"
)


def read_records(results: Path) -> dict[Path, Record]:
    """Return the records of accuracy in a folder, in order of their names.

    Raises `ConfigError` for what is none.
    """
    records = {}
    for path in sorted(results.glob("accuracy-*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            if not {"recipe", "source_sha256", "forms"} <= record.keys():
                raise ValueError("recipe, source_sha256 or forms are not in it")
        except (OSError, ValueError, AttributeError) as error:
            raise ConfigError(
                f"{path} is no record that lvunet evaluate --all would write: {error}. Remove it."
            ) from error
        records[path] = record
    return records


def standings(records: Iterable[Record]) -> Table:
    """Return a row a record, in the order given, and two more where it tells lesions from normals.

    The note says by how much the forms of any model differ, and what the goals are. Goals and published figures are
    told where there is a public set.
    """
    listed = list(records)
    known = {entry.name: (entry, "lesions" in record) for record in listed if (entry := _known(record))}
    goals = ", ".join(f"{entry.goal_dice:g} for {name}{' lesions' * apart}" for name, (entry, apart) in known.items())
    apart = max((abs(form["minus_trained"]) for record in listed for form in record["forms"].values()), default=0)
    note = NOTE + (PUBLIC_NOTE if known else "")
    note += f" Trained, folded and ONNX form differ by {apart:.0e} in mean Dice at most."
    note += f" Goals of a full training ({GOAL_SOURCE}): Dice {goals}." if goals else ""
    columns = [place for place, title in enumerate(HEAD) if known or title not in OF_PUBLIC_SETS]
    rows = (tuple(row[place] for place in columns) for record in listed for row in _rows(record))
    return Table("Accuracy", tuple(HEAD[place] for place in columns), tuple(rows), note)


def comparisons(records: Iterable[Record]) -> Table:
    """Return a row for each recipe that has the budget and the seed of another: the paired difference in Dice.

    It is to the recipe "paper", or where that lacks to the first by name. A budget is the data set, its split, all
    sets trained on, epochs and images seen; what a model went on from stands behind its recipe. Where a pair has
    several seeds, one more row pools them. Where a set has images with nothing to outline, a row of its lesions and one
    of its normals follow. The note names pairs that were trained with different code.
    """
    pairs = sorted(_pairs(records), key=_same_pair)
    rows = []
    for _, group in groupby(pairs, _same_pair):
        seeds = list(group)
        pooled = [seeds] if len(seeds) > 1 else []
        each_and_all = [*([pair] for pair in seeds), *pooled]
        rows += [_difference_row(part, kind) for some in each_and_all for kind, part in kinds(some)]
    code = "; ".join(dict.fromkeys(_commits(pair) for pair in pairs if len(set(_commits_of(pair))) > 1))
    note = f"{APART} Trained with different code: {code}." if code else APART
    head = ("data set, split", "recipes", "seed", "epochs", "images seen", "n", "Dice (95 % interval)", "differs")
    return Table("Recipe against recipe", head, tuple(rows), note)


def kinds(pairs: Sequence[Pair]) -> Iterator[tuple[str, Sequence[Pair]]]:
    """Yield the pairs under "", and where some images have nothing to outline each kind of image under its name."""
    yield "", pairs
    if all("lesions" in record for pair in pairs for record in pair):
        for kind, outlined in (("lesions", True), ("normals", False)):
            yield kind, [(_only(ours, outlined), _only(theirs, outlined)) for ours, theirs in pairs]


def _only(record: Record, outlined: bool) -> Record:
    """Return a record with those images alone that have something to outline, or those that have nothing."""
    return record | {"images": [row for row in record["images"] if (row["truth_px"] > 0) == outlined]}


def dice_difference(pairs: Sequence[Pair]) -> Interval:
    """Return the mean of ours - theirs in Dice on the same images, of which one under several pairs is drawn as one.

    Raises `MismatchedPair` if the images of a pair are not the same.
    """
    differences, clusters = [], []
    for ours, theirs in pairs:
        rows, others = ({row["id"]: row for row in record["images"]} for record in (ours, theirs))
        if rows.keys() != others.keys():
            raise MismatchedPair(
                f"{ours['model']} and {theirs['model']} were scored on different images of {ours['dataset']}, "
                f"{ours['split']}; score both again on one folder."
            )
        differences += [row["dice"] - others[key]["dice"] for key, row in rows.items()]
        clusters += [row["group"] or key for key, row in rows.items()]
    return mean_interval(differences, clusters)


def _pairs(records: Iterable[Record]) -> Iterator[Pair]:
    """Yield each record with the one of its budget and seed that it is held against, by seed within a budget."""
    for _, group in groupby(sorted(records, key=budget_and_seed), budget_and_seed):
        first, *others = sorted(
            group, key=lambda record: (record["recipe"] != "paper", "before" in record["training"], _recipe(record))
        )
        yield from ((other, first) for other in others)


def _budget(record: Record) -> tuple[Any, ...]:
    return record["dataset"], record["split"], _trained_on(record), record["epochs"], record["images_seen"]


def budget_and_seed(record: Record) -> tuple[Any, ...]:
    """Return what two records have in common that can be compared."""
    return *_budget(record), record["seed"]


def _same_pair(pair: Pair) -> tuple[Any, ...]:
    return *_budget(pair[0]), _recipes(pair)


def _difference_row(pairs: Sequence[Pair], kind: str) -> tuple[str, ...]:
    """Return the row of a pair, or of all its seeds in ascending order; of one kind of images by its name."""
    record, apart = pairs[0][0], dice_difference(pairs)
    seeds = [ours["seed"] for ours, _ in pairs]
    gapless = seeds == list(range(seeds[0], seeds[-1] + 1))
    several = f"seeds {seeds[0]} to {seeds[-1]}" if gapless else f"seeds {', '.join(map(str, seeds))}"
    return (
        f"- {kind}" if kind else _which(record["dataset"], record["split"]),
        _recipes(pairs[0]),
        several if len(seeds) > 1 else str(seeds[0]),
        str(record["epochs"]),
        f"{record['images_seen']:,}",
        _count(apart),
        f"{apart.mean:+.4f} ({apart.range_text(4)})",
        apart.verdict,
    )


def _recipes(pair: Pair) -> str:
    return " - ".join(_recipe(record) for record in pair)


def _recipe(record: Record) -> str:
    """Return the recipe, and what it was trained on and went on from, and a remark: `tuned (from kvasir-seg)`."""
    sets, before = _trained_on(record), record["training"].get("before")
    words = [f"trained on {sets}"] if UNION in sets else []
    words += [f"from {before['name']}"] if before else []
    words += [record["remark"]] if "remark" in record else []
    return f"{record['recipe']} ({', '.join(words)})" if words else str(record["recipe"])


def _trained_on(record: Record) -> str:
    """Return the sets that it was trained on, in order of their names; for a table of splits or a folder its own."""
    names = (record["training"]["config"]["dataset"] or "").split(UNION)
    return UNION.join(sorted({*names})) if DATASETS.keys() >= {*names} else str(record["dataset"])


def _commits_of(pair: Pair) -> list[str]:
    return [record["training_provenance"]["commit"] or "unknown" for record in pair]


def _commits(pair: Pair) -> str:
    """Return who was trained with which code: `ours - paper on busi, paper-0 (3ad150305f04, a75d9eb3a8d4)`."""
    return f"{_recipes(pair)} on {_which(pair[0]['dataset'], pair[0]['split'])} ({', '.join(_commits_of(pair))})"


def _rows(record: Record) -> list[tuple[str, ...]]:
    """Return the row of a record, and those of its lesions and its normals."""
    known, metrics, pooled = _known(record), record["metrics"], record["paper_metric"]
    goal = known.goal_dice if known else None
    published = f" ({known.published.iou:.3f})" if known and known.published else ""
    run = (_recipe(record), str(record["seed"]), str(record["epochs"]))
    more = (f"{metrics['iou']['mean']:.3f}", f"{metrics['hd95_px']['mean']:.1f}")
    paper = f"{pooled['iou']:.3f}{published}" if pooled else ""
    which = _which(record["dataset"], record["split"])
    if "lesions" not in record:
        return [(which, *run, *_dice_cells(metrics["dice"], goal), *more, paper)]
    alarms = f"- normals, {record['false_alarms']} false alarms"
    return [
        (which, *run, *_dice_cells(metrics["dice"]), *more, paper),
        ("- lesions", *run, *_dice_cells(record["lesions"], goal), "", "", ""),
        (alarms, *run, *_dice_cells(record["normals"]), "", "", ""),
    ]


def _known(record: Record) -> DataSet | None:
    """Return what is known of a record's set, if it is of a split for which figures were published and goals set."""
    return DATASETS.get(record["dataset"]) if record["split"].startswith("paper-") else None


def _which(dataset: str, split: str) -> str:
    return f"{dataset}, {split.removesuffix(' test')}"


def _count(mean: Interval) -> str:
    """Return the number of images, and where it is another that of the groups they are in: `123 in 29`."""
    return str(mean.n) if mean.clusters == mean.n else f"{mean.n} in {mean.clusters}"


def _dice_cells(values: Mapping[str, Any], goal: float | None = None) -> tuple[str, str, str]:
    """Return the number of images, Dice with its interval, and how far it is from the goal, if there is one."""
    dice = Interval(*(values[key] for key in ("mean", "low", "high", "n", "clusters")))
    return _count(dice), f"{dice.mean:.3f} ({dice.range_text()})", f"{dice.mean - goal:+.3f}" if goal else ""
