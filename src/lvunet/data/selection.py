"""Which samples a job works on: one part of a split of a folder, the same for training and for evaluation."""

from pathlib import Path

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


def pictures(folder: Path | None) -> list[UInt8]:
    """Return up to 12 images (H, W, 3), spread evenly over a folder; phantoms of several sizes where None is given."""
    if folder is None:
        sizes = ((256, 256), (333, 250), (352, 352), (97, 140))
        return [phantom(KINDS[k % len(KINDS)], k, sizes[k % len(sizes)])[0] for k in range(PICTURES)]
    files = find_images([folder])
    spread = np.linspace(0, len(files) - 1, min(PICTURES, len(files))).astype(int)
    return [read_image(files[k]) for k in spread]
