"""Which samples a job works on: one part of a split of a folder, the same for training and for evaluation."""

from collections.abc import Iterable, Mapping
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


def split_of(folder: Path, dataset: str | None, protocol: str = "paper", seed: int = 0) -> Split:
    """Return the committed split of a known data set, that of a table (`.csv`), or one made from the folder itself."""
    return load_split(dataset, protocol, seed) if dataset else split_samples(find_samples(folder), seed)


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
    samples = find_samples(folder)
    if part is None:
        return samples, "all images"
    split = split_of(folder, dataset, protocol, seed)
    chosen = split.select(samples, part)
    if not chosen:
        raise ConfigError(f"{folder}: the {part} part of the split is empty; give more images.")
    return chosen, f"{split.protocol}-{split.seed} {part}"


def image_hash(path: Path) -> str:
    """Return the first 12 digits of the SHA-256 of a file: enough to recognise it among 10,000."""
    return sha256(path.read_bytes()).hexdigest()[:12]


def seen_in_training(training: Mapping[str, Any], samples: Iterable[Sample]) -> list[str]:
    """Return the ids of the samples whose very file a model was trained or validated on, by its card's `training`."""
    seen = set(training.get("seen", ()))
    return [sample.id for sample in samples if image_hash(sample.image) in seen] if seen else []


def pictures(folder: Path | None, in_channels: int = 3) -> list[UInt8]:
    """Return up to 12 images, spread evenly over a folder, or phantoms of several sizes where None is given.

    They are (H, W, 3), or (H, W, n) for a network of other than 1 or 3 channels: their colours, repeated in turn.
    """
    if folder is None:
        sizes = ((256, 256), (333, 250), (352, 352), (97, 140))
        images = [phantom(KINDS[k % len(KINDS)], k, sizes[k % len(sizes)])[0] for k in range(PICTURES)]
    else:
        files = find_images([folder])
        spread = np.linspace(0, len(files) - 1, min(PICTURES, len(files))).astype(int)
        images = [read_image(files[k]) for k in spread]
    colours = np.arange(3 if in_channels == 1 else in_channels) % 3
    return [np.ascontiguousarray(image[:, :, colours]) for image in images]
