"""Finds the image and mask pairs of a folder."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lvunet.errors import EmptyInput, MismatchedPair

IMAGE_SUFFIXES = {".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp"}


@dataclass(frozen=True)
class Sample:
    """One image and its ground truth; `masks` are merged by union, and the empty tuple means that none was given."""

    id: str
    image: Path
    masks: tuple[Path, ...] = ()
    group: str = ""


def find_samples(root: Path | str) -> list[Sample]:
    """Return the samples under `root`, sorted by id."""
    root = Path(root)
    images = _by_stem(root / "images")
    masks = _by_stem(root / "masks")
    if not images:
        raise EmptyInput(f"{root}: no images/ folder with images in it")
    odd = sorted(images.keys() ^ masks.keys())
    if odd:
        raise MismatchedPair(f"{root}: {len(odd)} ids lack their image or mask: {', '.join(odd[:5])}")
    return [Sample(key, images[key], (masks[key],)) for key in sorted(images)]


def _by_stem(folder: Path) -> dict[str, Path]:
    paths: Sequence[Path] = sorted(folder.iterdir()) if folder.is_dir() else []
    return {path.stem: path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES}
