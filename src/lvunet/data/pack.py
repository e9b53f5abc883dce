"""A small copy of data folders, at the size of the network, for a machine without room or network."""

import csv
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from lvunet.data.registry import CHECK, DATASETS, Sample, find_samples
from lvunet.data.selection import ORIGIN, image_hash
from lvunet.errors import ConfigError, EmptyInput, MismatchedPair, OutputError
from lvunet.image import read_image, read_masks, resize

MB = 1_000_000
# Colour at full resolution: at half, the zoo model of polyps lost 0.004 Dice at quality 92; at full, 0.0005 at quality
# 90, a tenth larger (200 test images of Kvasir-SEG at 256 px, standard error 0.002, 2026-11-23).
FULL_COLOUR = 0  # Pillow's name for 4:4:4


@dataclass(frozen=True)
class Packing:
    """How a pack is made: side in pixels, JPEG quality (1 to 95), and the size that it must not exceed."""

    size: int = 256
    quality: int = 90
    limit_mb: float = 60


@dataclass(frozen=True)
class Pack:
    """What was packed: the number of images of each set, and the sum of all file sizes."""

    images: dict[str, int]
    total_bytes: int


def pack(
    folders: Sequence[Path],
    output: Path,
    packing: Packing = Packing(),
    progress: Callable[[int, int], None] | None = None,
) -> Pack:
    """Write `output/<set>/images/<id>.jpg` and `masks/<id>.png`, sets named as their folders, or nothing at all.

    The ids are those of `find_samples`, so committed splits apply; groups go with them. `progress` is called with the
    images done and their number. Raises what reading does, and `OutputError` above the limit or if `output` is there.
    """
    sets = _sets(folders)
    count = sum(map(len, sets.values()))
    done = total_bytes = 0
    with _whole_folder(output) as unfinished, ThreadPoolExecutor() as pool:
        for name, samples in sets.items():
            for kind in ("images", "masks"):
                (unfinished / name / kind).mkdir(parents=True)
            total_bytes += _write_groups(unfinished / name / "groups.csv", samples)
            for sample, files in zip(samples, pool.map(lambda each: pack_sample(each, packing), samples), strict=True):
                for path, data in zip((f"images/{sample.id}.jpg", f"masks/{sample.id}.png"), files, strict=True):
                    total_bytes += (unfinished / name / path).write_bytes(data)
                done += 1
                if total_bytes > packing.limit_mb * MB:
                    raise OutputError(
                        f"{output}: over {packing.limit_mb:g} MB after {done:,} of {count:,} images, so it would have "
                        f"about {total_bytes / done * count / MB:.0f} MB. Give fewer folders, a lower --quality or "
                        "--size, or a higher --limit-mb."
                    )
                if progress:
                    progress(done, count)
    return Pack({name: len(samples) for name, samples in sets.items()}, total_bytes)


def side_of(folder: Path) -> int | None:
    """Return the side in pixels of the images of a packed set, or None for a folder that is none."""
    for path in sorted((folder / "images").glob("*.jpg"))[:1]:
        with Image.open(path) as image:
            if str(image.info.get("comment", b""), "latin-1").startswith(ORIGIN):
                return image.width
    return None


def pack_sample(sample: Sample, packing: Packing) -> tuple[bytes, bytes]:
    """Return image and mask at the size of the pack, as the bytes of a JPEG and of a PNG of one bit.

    A mask pixel is foreground where at least half of it is. The JPEG's comment names the file that it was made from,
    so that `image_hash` knows both as one image. Raises what reading does, and `MismatchedPair` for unlike sizes.
    """
    image, truth = read_image(sample.image), read_masks(sample.masks)
    if truth.shape != image.shape[:2]:
        raise MismatchedPair(f"{sample.id}: the mask is {truth.shape}, but the image {image.shape[:2]}. {CHECK}")
    size = (packing.size, packing.size)
    pixels = np.rint(resize(image, size)).astype(np.uint8)  # (size, size, 3)
    mask = resize(truth.astype(np.float32), size) >= 0.5  # (size, size)
    comment = ORIGIN + image_hash(sample.image)
    jpeg, png = BytesIO(), BytesIO()
    Image.fromarray(pixels).save(
        jpeg, "JPEG", quality=packing.quality, subsampling=FULL_COLOUR, progressive=True, comment=comment
    )
    Image.fromarray(mask).save(png, "PNG", optimize=True)
    return jpeg.getvalue(), png.getvalue()


def _sets(folders: Sequence[Path]) -> dict[str, list[Sample]]:
    """Return the samples of each folder by the name of its set, which a known set has in lower case."""
    sets: dict[str, list[Sample]] = {}
    for folder in folders:
        name = folder.resolve().name
        name = name.lower() if name.lower() in DATASETS else name
        if name in sets:
            raise ConfigError(f"{folder}: two folders are named {name}; rename one.")
        sets[name] = find_samples(folder)
    if not sets:
        raise EmptyInput("nothing to pack: give at least one folder of images and masks.")
    return sets


def _write_groups(path: Path, samples: Sequence[Sample]) -> int:
    """Write what belongs together, if anything does, and return the number of bytes."""
    rows = [(sample.id, sample.group) for sample in samples if sample.group]
    if not rows:
        return 0
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([("id", "group"), *rows])
    return path.stat().st_size


@contextmanager
def _whole_folder(output: Path) -> Iterator[Path]:
    """Give a temporary folder that becomes `output` if the block ends well, and else vanishes."""
    if output.exists():
        raise OutputError(f"{output} is there already. Delete it, or choose another output.")
    unfinished = output.with_name(f".{output.name}.{os.getpid()}.partial")
    try:
        unfinished.mkdir(parents=True)
        yield unfinished
        unfinished.rename(output)
    except OSError as error:
        raise OutputError(f"cannot write {output}: {error.strerror or error}. Choose another output.") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
