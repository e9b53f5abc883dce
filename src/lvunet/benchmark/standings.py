"""Who stands where: the records of accuracy in a folder as one table, and what tells one recipe from another."""

import json
from collections.abc import Iterable, Mapping
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from lvunet.data.registry import DATASETS, GOAL_SOURCE, PUBLISHED_SOURCE, DataSet
from lvunet.errors import ConfigError, MismatchedPair
from lvunet.evaluate.intervals import Interval, mean_interval
from lvunet.evaluate.page import Table

Record = dict[str, Any]
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
NOTE = (
    "Means over images, of the ONNX form; intervals draw whole groups, whose number stands after n if there are any. "
    f"The paper's IoU pools pixels; it was published for another random split ({PUBLISHED_SOURCE})."
)
SAME_RUN = itemgetter("dataset", "split", "seed", "epochs")


def read_records(results: Path) -> dict[Path, Record]:
    """Return the records of accuracy in a folder, in order of their names; raises `ConfigError` for what is none."""
    records = {}
    for path in sorted(results.glob("accuracy-*.json")):
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            if not {"recipe", "source_sha256", "forms"} <= record.keys():
                raise ValueError("recipe, source_sha256 or forms are not in it")
        except (OSError, ValueError, AttributeError) as error:
            raise ConfigError(f"{path} is no record that lvunet evaluate --all wrote: {error}. Remove it.") from error
        records[path] = record
    return records


def standings(records: Iterable[Record]) -> Table:
    """Return a row a record, in the order given, and two more where it tells lesions from normals.

    The note says by how much the forms of any model differ, and what the goals are.
    """
    listed = list(records)
    known = {entry.name: (entry, "lesions" in record) for record in listed if (entry := _known(record))}
    goals = ", ".join(f"{entry.goal_dice:g} for {name}{' lesions' * apart}" for name, (entry, apart) in known.items())
    apart = max((abs(form["minus_trained"]) for record in listed for form in record["forms"].values()), default=0)
    note = f"{NOTE} Trained, folded and ONNX form differ by {apart:.0e} in mean Dice at most."
    note += f" Goals of a full training ({GOAL_SOURCE}): Dice {goals}." if goals else ""
    return Table("Accuracy", HEAD, tuple(row for record in listed for row in _rows(record)), note)


def comparisons(records: Iterable[Record]) -> Table:
    """Return a row for each recipe that has the data set, split, seed and epochs of another: the paired difference.

    It is to the recipe "paper", or where that lacks to the first by name.
    """
    rows = []
    for (dataset, split, seed, epochs), group in groupby(sorted(records, key=SAME_RUN), SAME_RUN):
        first, *others = sorted(group, key=lambda record: (record["recipe"] != "paper", record["recipe"]))
        for other in others:
            apart = dice_difference(other, first)
            seen = [f"{record['images_seen']:,}" for record in (other, first)]
            cells = (str(seed), str(epochs), " against ".join(dict.fromkeys(seen)), _count(apart))
            verdict = "yes" if apart.excludes_zero else "no"
            names = f"{other['recipe']} - {first['recipe']}"
            difference = f"{apart.mean:+.4f} ({apart.range_text(4)})"
            rows.append((_which(dataset, split), names, *cells, difference, verdict))
    head = ("data set, split", "recipes", "seed", "epochs", "images seen", "n", "Dice (95 % interval)", "differs")
    return Table("Recipe against recipe", head, tuple(rows), "Differences of the same images, bootstrapped.")


def dice_difference(ours: Record, theirs: Record) -> Interval:
    """Return the mean of ours - theirs in Dice on the same images; raises `MismatchedPair` if they are not."""
    rows, others = ({row["id"]: row for row in record["images"]} for record in (ours, theirs))
    if rows.keys() != others.keys():
        raise MismatchedPair(
            f"{ours['model']} and {theirs['model']} were scored on different images of {ours['dataset']}, "
            f"{ours['split']}; score both again on one folder."
        )
    differences = [row["dice"] - others[key]["dice"] for key, row in rows.items()]
    return mean_interval(differences, [row["group"] or key for key, row in rows.items()])


def _rows(record: Record) -> list[tuple[str, ...]]:
    """Return the row of a record, and those of its lesions and its normals."""
    known, metrics, pooled = _known(record), record["metrics"], record["paper_metric"]
    goal = known.goal_dice if known else None
    published = f" ({known.published.iou:.3f})" if known and known.published else ""
    run = (record["recipe"], str(record["seed"]), str(record["epochs"]))
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
