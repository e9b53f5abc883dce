"""Looks for what spoils a training or a score: files that cannot be used, duplicates, and leaks between the parts."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np

from lvunet.data.duplicates import Fingerprint, Kind, Pair, find_pairs, fingerprint
from lvunet.data.manifest import PARTS, Part, Split, load_splits
from lvunet.data.registry import DATASETS, Folder, Sample, scan
from lvunet.errors import InputError, MismatchedPair
from lvunet.image import read_image, read_masks

Relation = Kind | Literal["group"]
RELATIONS: tuple[Relation, ...] = (*get_args(Kind), "group")  # the strongest first
Fault = Literal["unreadable", "wrong_size", "not_binary"]
TITLES: dict[Kind, str] = {"exact": "equal", "near": "nearly equal", "scene": "same-scene"}
NAMED = 5  # ids in a line of the report


@dataclass(frozen=True)
class Problem:
    """A sample that cannot be used, or not without thought, and why."""

    id: str
    reason: str


@dataclass(frozen=True)
class Leak:
    """An image to validate or test on whose like was seen earlier: `twin`, in a part that comes before its own."""

    id: str
    part: Part
    relation: Relation
    twin: str
    twin_part: Part


@dataclass(frozen=True)
class Findings:
    """What `check` found in `samples` pairs of image and mask; in a clean set every list is empty.

    `conflicts` are the exact pairs whose masks differ. With a split, `unlisted` are samples that are in no part of it,
    `absent` its ids that have no sample.
    """

    samples: int
    without_mask: tuple[str, ...] = ()
    without_image: tuple[str, ...] = ()
    unreadable: tuple[Problem, ...] = ()
    wrong_size: tuple[Problem, ...] = ()
    not_binary: tuple[Problem, ...] = ()
    empty_masks: tuple[str, ...] = ()
    pairs: tuple[Pair, ...] = ()
    conflicts: tuple[Pair, ...] = ()
    leaks: tuple[Leak, ...] = ()
    unlisted: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    @property
    def unusable(self) -> int:
        """The number of images, masks and ids that training or evaluation would stop at."""
        return sum(map(len, (self.without_mask, self.without_image, self.unreadable, self.wrong_size, self.absent)))

    def to_dict(self) -> dict[str, Any]:
        """Return everything as values that JSON can hold."""
        return asdict(self)

    def lines(self) -> list[str]:
        """Return the report: the number of samples, then a line a kind of finding, and its first ids."""
        leaks = {part: [f"{x.id} ({x.relation}: {x.twin})" for x in self.leaks if x.part == part] for part in PARTS}
        found = (
            ("images without a mask (add one, empty if there is nothing to outline)", self.without_mask),
            ("masks without an image (add it, or remove them)", self.without_image),
            ("unreadable (replace or remove)", _reasons(self.unreadable)),
            ("mask of another size than the image", _reasons(self.wrong_size)),
            ("mask not binary (foreground counts from 128 on)", _reasons(self.not_binary)),
            ("empty masks (right where there is nothing to outline)", self.empty_masks),
            *((f"{title} pairs of images", self._named(kind)) for kind, title in TITLES.items()),
            ("equal images with different masks", [f"{pair.first} = {pair.second}" for pair in self.conflicts]),
            ("validation images whose like is in training", leaks["val"]),
            ("test images whose like is in training or validation", leaks["test"]),
            ("samples in no part of the split", self.unlisted),
            ("ids of the split without a sample", self.absent),
        )
        lines = [f"{what}: {len(items)}: {_some(items)}" for what, items in found if items]
        return [f"{self.samples} samples", *(lines or ["nothing found"])]

    def _named(self, kind: Kind) -> list[str]:
        return [f"{pair.first} = {pair.second}" for pair in self.pairs if pair.kind == kind]


def check(
    source: str | Path | Sequence[Sample],
    split: Split | None = None,
    classes: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Findings:
    """Read every image and mask of a folder, or of given samples, and return what is wrong with them.

    `progress` is called with the samples done and their number. Raises what `scan` does, never for a bad file.
    """
    folder = scan(source) if isinstance(source, str | Path) else _given(source)
    samples = folder.samples
    seen: dict[str, _Seen] = {}
    with ThreadPoolExecutor() as pool:
        for sample, one in zip(samples, pool.map(partial(_inspect, classes=classes), samples), strict=True):
            seen[sample.id] = one
            if progress:
                progress(len(seen), len(samples))
    pairs = find_pairs({key: one.image for key, one in seen.items() if one.image})
    groups = {sample.id: sample.group for sample in samples if sample.group}
    listed = split.parts() if split else {}

    def problems(fault: Fault) -> tuple[Problem, ...]:
        return tuple(Problem(key, one.reason) for key, one in seen.items() if one.fault == fault)

    return Findings(
        samples=len(samples),
        without_mask=folder.without_mask,
        without_image=folder.without_image,
        unreadable=problems("unreadable"),
        wrong_size=problems("wrong_size"),
        not_binary=problems("not_binary"),
        empty_masks=tuple(key for key, one in seen.items() if one.empty),
        pairs=tuple(pairs),
        conflicts=tuple(p for p in pairs if p.kind == "exact" and seen[p.first].truth != seen[p.second].truth),
        leaks=find_leaks(split, pairs, groups) if split else (),
        unlisted=tuple(sorted(seen.keys() - listed)) if split else (),
        absent=tuple(sorted(listed.keys() - seen)),
    )


def find_leaks(split: Split, pairs: Iterable[Pair], groups: Mapping[str, str] | None = None) -> tuple[Leak, ...]:
    """Return each validation or test id that has a duplicate, or a member of its group, in an earlier part.

    One leak an id, by its strongest relation. `groups`, by id, add to those of the split.
    """
    groups = {**(groups or {}), **split.groups}
    part = split.parts()
    links: dict[str, list[tuple[Relation, str]]] = defaultdict(list)
    for pair in pairs:
        links[pair.first].append((pair.kind, pair.second))
        links[pair.second].append((pair.kind, pair.first))
    members: dict[str, list[str]] = defaultdict(list)
    for key, group in groups.items():
        members[group].append(key)
    leaks = []
    for key in (*split.val, *split.test):
        mates: list[tuple[Relation, str]] = [("group", mate) for mate in members[groups[key]]] if key in groups else []
        earlier = [
            (RELATIONS.index(relation), PARTS.index(part[twin]), twin)
            for relation, twin in links[key] + mates
            if twin in part and PARTS.index(part[twin]) < PARTS.index(part[key])
        ]
        if earlier:
            relation, place, twin = min(earlier)
            leaks.append(Leak(key, part[key], RELATIONS[relation], twin, PARTS[place]))
    return tuple(leaks)


def count_leaks(split: Split, leaks: Iterable[Leak]) -> dict[str, Any]:
    """Return how many validation and test images leak, by relation, with the sizes of the parts."""
    counts = Counter((leak.part, leak.relation) for leak in leaks)
    row: dict[str, Any] = {"dataset": split.dataset, "protocol": split.protocol, "seed": split.seed}
    for part in PARTS:
        row[f"n_{part}"] = len(split.part(part))
    for part in PARTS[1:]:
        found = {relation: counts[part, relation] for relation in RELATIONS}
        row[f"{part}_leaks"] = {**found, "any": sum(found.values())}
    return row


def leak_table(root: Path) -> list[dict[str, Any]]:
    """Return the rows of `results/data-leaks.json`: every committed split of the sets in `root/<name>`."""
    rows = []
    for name in DATASETS:
        pairs = check(root / name).pairs
        rows += [count_leaks(split, find_leaks(split, pairs)) for split in load_splits(name)]
    return rows


@dataclass(frozen=True)
class _Seen:
    """One sample after reading: fingerprint of the image and digest of the mask, if both could be read."""

    image: Fingerprint | None = None
    truth: str = ""
    empty: bool = False
    fault: Fault | None = None
    reason: str = ""


def _inspect(sample: Sample, classes: int) -> _Seen:
    try:
        pixels = read_image(sample.image)
        truth = read_masks(sample.masks, classes)
        grey = sum(_grey_share(mask) for mask in sample.masks) if classes == 1 else 0.0
    except MismatchedPair as error:
        return _Seen(fault="wrong_size", reason=str(error))
    except InputError as error:
        return _Seen(fault="unreadable", reason=str(error))
    seen = _Seen(fingerprint(pixels), sha256(truth.tobytes()).hexdigest(), not truth.any())
    if truth.shape != pixels.shape[:2]:
        sizes = (f"{array.shape[1]} x {array.shape[0]}" for array in (pixels, truth))
        return replace(seen, fault="wrong_size", reason="image {}, mask {}".format(*sizes))
    if grey:
        return replace(seen, fault="not_binary", reason=f"{grey:.2%} of the pixels are between the two values")
    return seen


def _grey_share(mask: Path) -> float:
    """Return the share of pixels that are neither 0 nor the one other value, 1 or 255, that a binary mask has."""
    red, green, blue = read_image(mask).transpose(2, 0, 1)
    stored = np.maximum(np.maximum(red, green), blue)  # (H, W)
    counts = np.bincount(stored.ravel(), minlength=256)
    foreground = 1 if stored.max() <= 1 else 255
    return float(1 - (counts[0] + counts[foreground]) / stored.size)


def _given(samples: Sequence[Sample]) -> Folder:
    return Folder(
        tuple(sample for sample in samples if sample.masks),
        tuple(sample.id for sample in samples if not sample.masks),
        (),
    )


def _reasons(problems: Iterable[Problem]) -> list[str]:
    return [f"{problem.id} ({problem.reason})" for problem in problems]


def _some(items: Sequence[str]) -> str:
    return ", ".join(items[:NAMED]) + (f" and {len(items) - NAMED} more" if len(items) > NAMED else "")
