"""Which samples a job works on: one part of a split of a folder, the same for training and for evaluation."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np

from lvunet.data.manifest import Part, Split, load_split, split_samples
from lvunet.data.phantom import KINDS, phantom
from lvunet.data.registry import Sample, find_samples
from lvunet.errors import ConfigError
from lvunet.image import UInt8, find_images, read_image

PICTURES = 12
MOST_SEEN = 0.1  # of a test part, that are left out of it; CVC-ColonDB repeats 34 of its 380 images
UNION = "+"
ORIGIN = "lvunet: sha256 of the original "  # in the comment of a packed JPEG, before the hash


def task(folder: Path, dataset: str | None, protocol: str = "paper", seed: int = 0) -> tuple[list[Sample], Split]:
    """Return the samples of a folder and their split, for training and for evaluation alike.

    `dataset` is a known set, in `folder` or in `folder/<dataset>`; or several of them, joined by `+`, each in
    `folder/<name>` and under its own committed split, ids and groups being `<name>/<id>`; or a table of splits
    (`.csv`); or None: the folder is split anew. Raises what `find_samples` and `load_split` do.
    """
    samples, names = samples_of(folder, dataset), _names(dataset)
    if not names:
        return samples, split_samples(samples, seed)
    splits = {name: load_split(name, protocol, seed) for name in names}
    return samples, splits[names[0]] if len(names) == 1 else _joined(splits, protocol, seed)


def samples_of(folder: Path, dataset: str | None) -> list[Sample]:
    """Return the samples of `task` alone; where no set has a folder of its name, all that `folder` holds."""
    names = _names(dataset)
    there = [name for name in names if (folder / name).is_dir()]
    if len(names) > 1 and there:
        return [_within(name, sample) for name in there for sample in find_samples(folder / name)]
    return find_samples(folder / there[0] if there else folder)


def split_of(folder: Path, dataset: str | None, protocol: str = "paper", seed: int = 0) -> Split:
    """Return the split of `task` alone."""
    return task(folder, dataset, protocol, seed)[1]


def _names(dataset: str | None) -> list[str]:
    """Return the sets of a union, sorted, each once; a set or a table alone; nothing for None."""
    if dataset is None:
        return []
    return [dataset] if dataset.endswith(".csv") else sorted(set(dataset.split(UNION)))


def _within(name: str, sample: Sample) -> Sample:
    return replace(sample, id=f"{name}/{sample.id}", group=f"{name}/{sample.group}" if sample.group else "")


def _joined(splits: Mapping[str, Split], protocol: str, seed: int) -> Split:
    def ids(part: Part) -> tuple[str, ...]:
        return tuple(f"{name}/{key}" for name, split in splits.items() for key in split.part(part))

    groups = {f"{name}/{key}": f"{name}/{group}" for name, of in splits.items() for key, group in of.groups.items()}
    return Split(UNION.join(splits), protocol, seed, ids("train"), ids("val"), ids("test"), groups)


def split_given(
    training: Mapping[str, Any], dataset: str | None, protocol: str | None, seed: int | None
) -> tuple[str | None, str, int]:
    """Return data set, protocol and seed of a split: as given, and for the rest as a model was trained."""
    config = training.get("config", {})
    return (
        config.get("dataset") if dataset is None else dataset,
        config.get("protocol", "paper") if protocol is None else protocol,
        config.get("split_seed", 0) if seed is None else seed,
    )


def choose(
    folder: Path, part: Part | None, dataset: str | None = None, protocol: str = "paper", seed: int = 0
) -> tuple[list[Sample], str]:
    """Return the samples of one part, or of the whole folder, and words that name the choice.

    Raises `ConfigError` where the part is empty or its ids are not in the folder.
    """
    if part is None:
        return samples_of(folder, dataset), "all images"
    samples, split = task(folder, dataset, protocol, seed)
    chosen = split.select(samples, part)
    if not chosen:
        raise ConfigError(f"{folder}: the {part} part of the split is empty; give more images.")
    return chosen, f"{split.protocol}-{split.seed} {part}"


def image_hash(path: Path) -> str:
    """Return the first 12 digits of the SHA-256 of a file, or of that which a packed image was made from.

    They are enough to recognise it among 10,000.
    """
    data = path.read_bytes()
    packed = re.search(ORIGIN.encode() + rb"([0-9a-f]{12})", data[:512])
    return packed[1].decode() if packed else sha256(data).hexdigest()[:12]


def seen_in_training(training: Mapping[str, Any], samples: Iterable[Sample]) -> list[str]:
    """Return the ids of the samples whose very file a model was trained or validated on, by its card's `training`."""
    seen = set(training.get("seen", ()))
    return [sample.id for sample in samples if image_hash(sample.image) in seen] if seen else []


def unseen(training: Mapping[str, Any], samples: Sequence[Sample]) -> tuple[list[Sample], list[str]]:
    """Return the samples of a test part that a model has not seen in training, and the ids of those that it has.

    BUSI and CVC-ColonDB repeat images, so a random split has some on both sides. Raises `ConfigError` where more than
    a tenth was seen: that is no test part of this model.
    """
    seen = seen_in_training(training, samples)
    if len(seen) > MOST_SEEN * len(samples):
        raise ConfigError(
            f"{len(seen)} of the {len(samples)} test images, such as {seen[0]}, were seen in training, its own or that "
            "of a model that it went on from: this is no test. Score under the split of that training, or every image "
            "all the same: `lvunet evaluate MODEL --part all`."
        )
    return [sample for sample in samples if sample.id not in set(seen)], seen


def held_out(folder: Path, training: Mapping[str, Any]) -> list[Sample]:
    """Return the samples with masks of a folder that a model was not trained on; none if it has no masks."""
    if not (folder / "masks").is_dir():
        return []
    seen = set(seen_in_training(training, samples := find_samples(folder)))
    return [sample for sample in samples if sample.masks and sample.id not in seen]


def pictures(folder: Path | None, in_channels: int = 3, at_most: int = PICTURES) -> list[UInt8]:
    """Return images spread evenly over a folder, or phantoms of several sizes where None is given.

    They are (H, W, 3), or (H, W, n) for a network of other than 1 or 3 channels: their colours, repeated in turn.
    """
    if folder is None:
        sizes = ((256, 256), (333, 250), (352, 352), (97, 140))
        images = [phantom(KINDS[k % len(KINDS)], k, sizes[k % len(sizes)])[0] for k in range(at_most)]
    else:
        files = find_images([inside if (inside := folder / "images").is_dir() else folder])  # not the masks beside it
        spread = np.linspace(0, len(files) - 1, min(at_most, len(files))).astype(int)
        images = [read_image(files[k]) for k in spread]
    colours = np.arange(3 if in_channels == 1 else in_channels) % 3
    return [np.ascontiguousarray(image[:, :, colours]) for image in images]
