"""Splits as lists of ids: which samples train, which choose the best epoch, which are kept for the test.

`splits/<data set>.csv` holds a row an id, its group, and a column a split, so that no id can be in two parts.
"""

import csv
from bisect import bisect
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial
from importlib.resources import as_file, files
from itertools import chain
from pathlib import Path
from types import ModuleType
from typing import Literal, get_args

from lvunet.data.duplicates import SCENE_DETAIL, SCENE_RMSE, connected, find_pairs, fingerprint
from lvunet.data.registry import Sample, dataset, find_samples
from lvunet.errors import ConfigError, MissingDependency, did_you_mean
from lvunet.image import atomic_write, read_image

Part = Literal["train", "val", "test"]
PARTS: tuple[Part, ...] = get_args(Part)
Parts = tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...]]  # the ids of train, val, test
SEEDS = (0, 1, 2)
FOLDS = 5  # a fifth is kept for the test, a fifth of the rest validates

# First frames of the 15 sequences of CVC-ColonDB, seen in a contact sheet (2026-11-23); the archive does not give them,
# the owner's page gives their number. Where a cut was in doubt there is none, so that no polyp can be in two groups.
COLONDB_STARTS = (1, 39, 61, 77, 98, 149, 156, 204, 209, 264, 274, 301, 321, 341, 361)
# BUSI is dense in repeats. Detail alike by half joins 239 pairs, all of them right where looked at, whatever the tone.
SCENE_LIMITS = {"busi": (255.0, 0.5)}


@dataclass(frozen=True)
class Split:
    """Three disjoint, sorted lists of ids.

    `groups` names what belongs together, by id; ids that stand alone are not in it. Protocol "paper" ignores groups,
    "grouped" keeps each in one part.
    """

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

    def parts(self) -> dict[str, Part]:
        """Return the part of each id."""
        return {key: name for name in PARTS for key in self.part(name)}

    def select(self, samples: Iterable[Sample], part: Part) -> list[Sample]:
        """Return the samples of one part, in the order of its ids and with their groups; those in no part are left out.

        Raises `ConfigError` for an id without a sample.
        """
        found = {sample.id: sample for sample in samples}
        missing = [key for key in self.part(part) if key not in found]
        if missing:
            raise ConfigError(
                f"this folder is not {self.dataset}, or not the whole set under its official names: "
                f"{len(missing)} of the {len(self.part(part))} {part} ids of {self.protocol}-{self.seed} are not in "
                f"it, such as {', '.join(missing[:3])}. For images of your own: `train --dataset none`, "
                "`evaluate --part all`."
            )
        groups = self.groups
        return [replace(found[key], group=found[key].group or groups.get(key, "")) for key in self.part(part)]


def load_split(source: str | Path, protocol: str = "paper", seed: int = 0) -> Split:
    """Return a committed split of a known data set, or one of a table that `write_splits` wrote (`.csv`)."""
    splits = {f"{split.protocol}-{split.seed}": split for split in load_splits(source)}
    wanted = f"{protocol}-{seed}"
    if str(source).endswith(".csv") and len(splits) == 1:
        return next(iter(splits.values()))
    if wanted not in splits:
        raise ConfigError(f"{source} has no split {wanted}." + did_you_mean(wanted, splits))
    return splits[wanted]


def load_splits(source: str | Path) -> list[Split]:
    """Return all splits of a known data set or of a table, as `load_split` does one."""
    if str(source).endswith(".csv"):
        return read_splits(Path(source))
    with as_file(files("lvunet.data") / "splits" / f"{dataset(str(source)).name}.csv") as path:
        return read_splits(path)


def read_splits(path: Path) -> list[Split]:
    """Return the splits of a table, in the order of its columns; raises `ConfigError` if it is not one."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, strict=True))
        groups = {row["id"]: row["group"] for row in rows if row["group"]}
        columns = [name for name in rows[0] if name not in ("id", "group")]
        if strange := {row[name] for row in rows for name in columns} - {*PARTS, ""}:
            raise ValueError(f"{sorted(map(str, strange))[0]!r} is no part ({', '.join(PARTS)})")
        return [_from_column(path.stem, name, rows, groups) for name in columns]
    except (OSError, ValueError, LookupError, csv.Error) as error:
        raise ConfigError(f"{path} is no table of splits (id,group,paper-0,...): {error}") from error


def _from_column(name: str, column: str, rows: Sequence[Mapping[str, str]], groups: Mapping[str, str]) -> Split:
    protocol, _, seed = column.rpartition("-")
    train, val, test = (tuple(sorted(row["id"] for row in rows if row[column] == part)) for part in PARTS)
    return Split(name, protocol, int(seed), train, val, test, groups)


def write_splits(path: Path, splits: Sequence[Split]) -> None:
    """Write splits of the same samples as one table; raises `OutputError`."""
    parts = [split.parts() for split in splits]
    with atomic_write(path) as unfinished, unfinished.open("w", encoding="utf-8", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["id", "group", *(f"{split.protocol}-{split.seed}" for split in splits)])
        for key in sorted(set(chain.from_iterable(parts))):
            table.writerow([key, splits[0].groups.get(key, ""), *(part.get(key, "") for part in parts)])


def paper_split(ids: Sequence[str], seed: int, test: Iterable[str] = ()) -> Parts:
    """Return train, val, test as the paper draws them: a fifth, then a fifth of the rest, of the sorted ids.

    An official `test` part is kept. What belongs together is not: that is the paper's, and why it leaks.
    """
    draw = partial(_sklearn().train_test_split, test_size=1 / FOLDS, random_state=seed)
    kept = sorted(test)
    rest = sorted(set(ids) - set(kept))
    if not kept:
        rest, kept = draw(rest)
    train, val = draw(rest)
    return tuple(sorted(train)), tuple(sorted(val)), tuple(sorted(kept))


def grouped_split(
    ids: Sequence[str], seed: int, groups: Mapping[str, str], classes: Mapping[str, str], test: Iterable[str] = ()
) -> Parts:
    """Return train, val, test of about the same sizes as `paper_split`, with no group in two parts.

    The shares of the `classes`, by id, are kept as far as the groups allow; {} means one class.
    """
    kept = sorted(test)
    rest = sorted(set(ids) - set(kept))
    if not kept:
        rest, kept = _fold(rest, seed, groups, classes)
    train, val = _fold(rest, seed, groups, classes)
    return tuple(train), tuple(val), tuple(kept)


def _fold(
    ids: Sequence[str], seed: int, groups: Mapping[str, str], classes: Mapping[str, str]
) -> tuple[list[str], list[str]]:
    """Return what stays and a fifth that does not: of up to five folds the one whose size is nearest to a fifth."""
    labels = [classes.get(key, "") for key in ids]
    together = [groups.get(key, key) for key in ids]
    count = min(FOLDS, len(set(together)))
    folds = _sklearn().StratifiedGroupKFold(count, shuffle=True, random_state=seed).split(ids, labels, together)
    out = min((fold for _, fold in folds), key=lambda fold: abs(len(fold) - len(ids) / FOLDS))
    taken = {ids[index] for index in out}
    return sorted(set(ids) - taken), sorted(taken)


def _sklearn() -> ModuleType:
    """Return `sklearn.model_selection`, which takes a second to load."""
    try:
        from sklearn import model_selection
    except ImportError as error:
        raise MissingDependency("drawing a split needs scikit-learn: pip install 'lvunet[train]'") from error
    return model_selection


def split_samples(samples: Sequence[Sample], seed: int = 0) -> Split:
    """Return a split of a user's own samples in which neither a group nor what shows the same is in two parts.

    Reads every image. Raises `ConfigError` below 5 samples that are independent of each other.
    """
    groups = find_groups(samples)
    independent = {groups.get(sample.id, sample.id) for sample in samples}
    if len(independent) < FOLDS:
        raise ConfigError(
            f"{len(samples)} samples, {len(independent)} of them independent, cannot be split into training, "
            f"validation and test: give at least {FOLDS}."
        )
    return Split("", "grouped", seed, *grouped_split([sample.id for sample in samples], seed, groups, {}), groups)


def with_groups(samples: Sequence[Sample], path: Path) -> list[Sample]:
    """Return samples with the groups, such as patients, of a table with the columns id and group.

    Raises `ConfigError` if it is no such table, has an id that no sample has, or lacks one.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            groups = {row["id"]: row["group"] or "" for row in csv.DictReader(file, strict=True)}
    except (OSError, UnicodeDecodeError, LookupError, csv.Error) as error:
        raise ConfigError(f"{path} is no table with the columns id and group: {error}.") from error
    if strange := groups.keys() - {sample.id for sample in samples}:
        raise ConfigError(f"{path}: no image has the id {min(strange)!r}. An id is the file's name without its suffix.")
    if lacking := [sample.id for sample in samples if not groups.get(sample.id)]:
        raise ConfigError(
            f"{path}: {len(lacking)} of {len(samples)} images have no group, such as {lacking[0]}. "
            "Give each one, of its own where it stands alone."
        )
    return [replace(sample, group=groups[sample.id]) for sample in samples]


def find_groups(
    samples: Sequence[Sample], scene_rmse: float = SCENE_RMSE, scene_detail: float = SCENE_DETAIL
) -> dict[str, str]:
    """Return the group of each sample that has one: by `Sample.group`, or because the images show the same."""
    with ThreadPoolExecutor() as pool:
        prints = pool.map(lambda sample: fingerprint(read_image(sample.image)), samples)
        pairs = find_pairs(dict(zip((sample.id for sample in samples), prints, strict=True)), scene_rmse, scene_detail)
    first: dict[str, str] = {}
    stated = [(first.setdefault(sample.group, sample.id), sample.id) for sample in samples if sample.group]
    return connected([sample.id for sample in samples], [*stated, *((pair.first, pair.second) for pair in pairs)])


def committed_splits(name: str, root: Path) -> list[Split]:
    """Return the six splits of a known set that `splits/` holds, made anew from the data in our layout at `root`.

    `root/index.csv` gives the official part, the sequence and the class of each id where there are any.
    """
    with (root / "index.csv").open(encoding="utf-8", newline="") as file:
        facts = {row["id"]: row for row in csv.DictReader(file)}
    samples = [replace(sample, group=_sequence(name, facts[sample.id])) for sample in find_samples(root)]
    ids = [sample.id for sample in samples]
    groups = find_groups(samples, *SCENE_LIMITS.get(name, (SCENE_RMSE, SCENE_DETAIL)))
    classes = {key: row.get("class", "") for key, row in facts.items()}
    official = [key for key, row in facts.items() if row.get("split") == "test"]
    drawn = [("paper", seed, paper_split(ids, seed, official)) for seed in SEEDS]
    drawn += [("grouped", seed, grouped_split(ids, seed, groups, classes, official)) for seed in SEEDS]
    return [Split(name, protocol, seed, *parts, groups) for protocol, seed, parts in drawn]


def _sequence(name: str, row: Mapping[str, str]) -> str:
    """Return the sequence that a frame is known to be of, or ""."""
    if name == "cvc-colondb":
        return str(bisect(COLONDB_STARTS, int(row["id"])))
    return row.get("sequence", "")
