"""Images in and out: the one definition of reading, resizing and writing, on NumPy and Pillow only."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from glob import glob
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageFilter, ImageOps, UnidentifiedImageError

from lvunet.errors import EmptyInput, ImageTooLarge, InputError, MismatchedPair, OutputError, UnreadableImage

UInt8 = NDArray[np.uint8]
Float32 = NDArray[np.float32]
Source = str | Path | bytes | Image.Image | UInt8

IMAGE_SUFFIXES = frozenset({".bmp", ".gif", ".jpeg", ".jpg", ".pgm", ".png", ".ppm", ".tif", ".tiff", ".webp"})
LUMA = (0.299, 0.587, 0.114)  # ITU-R BT.601, as in Pillow's "L" and in JPEG
FOREGROUND = 128  # a mask stored as 0/255, perhaps through JPEG or a resize, is foreground from here on
# Okabe and Ito's colours, which people with any colour vision tell apart; blue first, as tissue is red and brown.
COLOURS = ((86, 180, 233), (230, 159, 0), (240, 228, 66), (0, 158, 115), (213, 94, 0), (204, 121, 167), (0, 114, 178))
ROWS = 256  # rows converted at once: a photograph of 30 megapixels exists twice in memory, never three times


def read_image(source: Source) -> UInt8:
    """Return the pixels as RGB, uint8 (H, W, 3), upright (EXIF orientation applied); of several frames the first.

    Transparency is laid on white; more than 8 bits a channel are stretched from the range used to 0..255.
    Raises `UnreadableImage` and `ImageTooLarge` (Pillow's limit, `PIL.Image.MAX_IMAGE_PIXELS`).
    """
    if isinstance(source, np.ndarray):
        if (
            source.dtype != np.uint8
            or source.ndim not in (2, 3)
            or source.shape[2:] not in ((), (3,))
            or not source.size
        ):
            raise UnreadableImage(
                f"array of {source.dtype} {source.shape}: give uint8 of shape (H, W, 3) in RGB, or (H, W)."
            )
        return source if source.ndim == 3 else np.stack([source] * 3, axis=-1)
    with _pillow(source) as image:
        return _by_rows(_to_8_bit(_upright(image)), _rgb)


def image_size(source: str | Path | bytes | Image.Image) -> tuple[int, int]:
    """Return (height, width) as stored, before EXIF orientation, from the header alone; raises as `read_image`."""
    with _pillow(source) as image:
        return image.height, image.width


def read_mask(source: Source, classes: int = 1) -> UInt8:
    """Return a mask as labels, uint8 (H, W).

    For one class 0 or 1: values 0/1 stay, any other mask is foreground where its brightest channel is at least 128.
    For K classes the stored values (of a palette image the indices), which must be below K.
    Raises `UnreadableImage`, also for a label that is too high.
    """
    stored: NDArray[Any]
    if isinstance(source, np.ndarray):
        stored = source
    else:
        with _pillow(source) as image:
            upright = _upright(image)
            stored = np.asarray(upright if _holds_labels(image, classes) else upright.convert("RGB"))
    if stored.ndim == 3:
        stored = stored.max(axis=2)
    if stored.ndim != 2 or stored.dtype.kind not in "bui" or not stored.size:
        raise UnreadableImage(f"{_name(source)}: mask of {stored.dtype} {stored.shape}; give whole numbers, (H, W).")
    highest = int(stored.max())
    if classes > 1 and highest >= classes:
        raise UnreadableImage(
            f"{_name(source)}: label {highest} in a mask of labels 0 to {classes - 1}. "
            "Is it of 0 and 255? Then one class is meant."
        )
    if classes == 1 and 1 < highest < FOREGROUND:
        raise UnreadableImage(
            f"{_name(source)}: its values end at {highest}, so it is no mask of 0 and 1, nor of 0 and 255. "
            f"If they are labels, {highest + 1} classes are meant (--classes {highest + 1})."
        )
    if classes == 1 and highest > 1:
        stored = stored >= (FOREGROUND if highest <= 255 else FOREGROUND * 256)
    return stored.astype(np.uint8)


def read_masks(sources: Sequence[Source], classes: int = 1) -> UInt8:
    """Return the union (H, W) of the masks of one image, as BUSI has them; of labels the larger one wins.

    Raises `MismatchedPair` if there is none, or if their sizes differ.
    """
    masks = [read_mask(source, classes) for source in sources]
    if not masks:
        raise MismatchedPair("an image has no mask. Where there is nothing to outline, give an empty one.")
    if len(sizes := {mask.shape for mask in masks}) > 1:
        raise MismatchedPair(f"{', '.join(map(_name, sources))}: masks of one image, but of sizes {sorted(sizes)}.")
    return np.maximum.reduce(masks)


def resize(array: UInt8 | Float32, size: tuple[int, int]) -> Float32:
    """Return (H, W) or (H, W, C) at `size` = (height, width), float32, by antialiased bilinear interpolation.

    This is *the* resize, of images on the way in and of probabilities on the way out. Nothing is rounded, so it equals
    torch's `interpolate(mode="bilinear", antialias=True)` and ONNX's antialiased `Resize` up to float rounding.
    """
    if array.ndim == 3:
        return np.stack([resize(array[:, :, channel], size) for channel in range(array.shape[2])], axis=-1)
    plane = Image.fromarray(np.ascontiguousarray(array, dtype=np.float32))
    return _by_rows(plane.resize(size[::-1], Image.Resampling.BILINEAR), np.asarray)


def to_channels(pixels: Float32, channels: int) -> Float32:
    """Return (H, W, C) as the (H, W, channels) that a network sees: the same, or luma of RGB for one channel."""
    if channels == 1 and pixels.shape[2] == 3:
        return (pixels @ np.array(LUMA, dtype=np.float32))[:, :, None]  # (H, W, 1)
    if pixels.shape[2] != channels:
        raise InputError(f"image with {pixels.shape[2]} channels for a network of {channels}.")
    return pixels


def overlay(image: UInt8, mask: UInt8, opacity: float = 0.45) -> UInt8:
    """Return the image (H, W, 3) with every label above 0 filled in its colour and outlined; an empty mask: a copy."""
    if image.shape != (*mask.shape, 3):
        raise InputError(f"overlay of a mask {mask.shape} on an image {image.shape}: give (H, W) and (H, W, 3).")
    reach = max(1, round(min(mask.shape) / 350))
    painted = image.copy()
    for label in range(1, int(mask.max(initial=0)) + 1):
        inside = (mask == label).astype(np.uint8)
        left, top, right, bottom = Image.fromarray(inside).getbbox() or (0, 0, 0, 0)
        if right == 0:
            continue
        around = slice(max(top - reach, 0), bottom + reach), slice(max(left - reach, 0), right + reach)
        inside = inside[around]
        nearby = np.asarray(Image.fromarray(inside * 255).filter(ImageFilter.BoxBlur(reach)))
        contour = (nearby > 0) & (nearby < 255)
        paint = np.where(contour, np.uint8(255), inside * np.uint8(round(255 * opacity)))
        part = Image.fromarray(painted[around])
        part.paste(COLOURS[(label - 1) % len(COLOURS)], mask=Image.fromarray(paint))
        painted[around] = np.asarray(part)
    return painted


def encode_png(array: UInt8) -> bytes:
    """Return (H, W) or (H, W, 3) as the bytes of a PNG file."""
    buffer = BytesIO()
    Image.fromarray(array).save(buffer, "PNG", compress_level=1)  # 6 takes 3 times as long for 5 to 30 % less
    return buffer.getvalue()


def write_image(path: str | Path, array: UInt8) -> None:
    """Write (H, W) or (H, W, 3) as PNG, whole or not at all; raises `OutputError`."""
    data = encode_png(array)
    with atomic_write(path) as partial:
        partial.write_bytes(data)


@contextmanager
def atomic_write(path: str | Path) -> Iterator[Path]:
    """Give a temporary name in the folder of `path` to write to; it becomes `path` if the block ends well.

    Whatever else happens, an interruption included, nothing half-written stays, and a file that was at `path` before
    is still there. Folders are made. Raises `OutputError` for any `OSError`.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield partial
        partial.replace(path)
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}. Choose another output.") from error
    finally:
        if partial.is_file():
            partial.unlink()


def demand_writable(path: Path) -> None:
    """Raise `OutputError` unless a file can be made at `path`, in folders that may have to be made: before the work.

    A file that is there may be replaced, and so may an .mlpackage, which is a folder, and one artefact.
    """
    if not path.name or (path.is_dir() and path.suffix != ".mlpackage"):
        raise OutputError(f"{path} is a folder, and the output is a file. Choose another output.")
    place = next(parent for parent in path.absolute().parents if parent.exists())
    if not place.is_dir():
        raise OutputError(f"{place} is a file, and the output needs a folder there. Choose another output.")
    try:
        with TemporaryFile(dir=place):
            pass
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}. Choose another output.") from error


def find_images(sources: Iterable[str | Path]) -> list[Path]:
    """Return the image files that paths, globs and folders (searched to any depth) name: sorted, each once.

    A file that is named outright is taken whatever its suffix. Raises `EmptyInput` for a source that gives none.
    """
    found: set[Path] = set()
    for source in map(Path, sources):
        files = {source} if source.is_file() else set(_images_under(source))
        if not files:
            known = ", ".join(sorted(IMAGE_SUFFIXES))
            what = "no image in" if source.is_dir() else "no file"
            raise EmptyInput(f"{what} {source}. Give a file, a folder or a glob of images ({known}).")
        found |= files
    return sorted(found)


def _images_under(source: Path) -> Iterator[Path]:
    for match in [source] if source.exists() else map(Path, glob(str(source), recursive=True)):  # noqa: PTH207 - Path.glob takes no absolute pattern
        for path in match.rglob("*") if match.is_dir() else [match]:
            hidden = any(part.startswith(".") for part in path.relative_to(match).parts)
            if path.suffix.lower() in IMAGE_SUFFIXES and not hidden and path.is_file():
                yield path


@contextmanager
def _pillow(source: str | Path | bytes | Image.Image) -> Iterator[Image.Image]:
    """Give the opened image; what Pillow raises within the block becomes ours."""
    try:
        with nullcontext(source) if isinstance(source, Image.Image) else _open(source) as image:
            if Image.MAX_IMAGE_PIXELS is not None and image.width * image.height > Image.MAX_IMAGE_PIXELS:
                raise Image.DecompressionBombError
            yield image
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        limit = f"{Image.MAX_IMAGE_PIXELS or 0:,}"
        raise ImageTooLarge(f"{_name(source)}: more than {limit} pixels; crop or shrink it.") from error
    except FileNotFoundError as error:
        raise UnreadableImage(f"{_name(source)}: no such file.") from error
    except Exception as error:  # on damaged bytes decoders raise anything: OSError, SyntaxError, struct.error, ...
        why = "its content is none" if isinstance(error, UnidentifiedImageError) else error
        raise UnreadableImage(f"{_name(source)} is not a readable image: {why}") from error


def _open(source: str | Path | bytes) -> Image.Image:
    size = len(source) if isinstance(source, bytes) else Path(source).stat().st_size
    if size == 0:
        raise ValueError("it is empty, 0 bytes")
    return Image.open(BytesIO(source) if isinstance(source, bytes) else source)


def _upright(image: Image.Image) -> Image.Image:
    upright = image.getexif().get(ExifTags.Base.Orientation, 1) == 1
    return image if upright else ImageOps.exif_transpose(image)  # which would copy an upright one too


def _holds_labels(image: Image.Image, classes: int) -> bool:
    """Whether the stored numbers are the labels; a palette's indices only where there are several classes."""
    return image.mode in ("1", "L", "I", "F") or image.mode.startswith("I;16") or (image.mode == "P" and classes > 1)


def _to_8_bit(image: Image.Image) -> Image.Image:
    """Return an image of at most 8 bits a channel as it is, any other stretched from its lowest to its highest."""
    if image.mode not in ("I", "F") and not image.mode.startswith("I;16"):
        return image
    values = np.asarray(image)
    low, high = float(values.min()), float(values.max())
    if not np.isfinite(high - low):
        raise ValueError("it holds values that are not finite")
    if image.mode == "F" or low < 0 or high > 255:
        values = np.rint((values.astype(np.float32) - low) * (255 / (high - low or 1)))
    return Image.fromarray(values.astype(np.uint8))


def _rgb(image: Image.Image) -> UInt8:
    if image.has_transparency_data:
        white = Image.new("RGBA", image.size, "white")
        white.alpha_composite(image.convert("RGBA"))
        image = white
    return np.asarray(image.convert("RGB"))


def _by_rows(image: Image.Image, convert: Callable[[Image.Image], NDArray[Any]]) -> NDArray[Any]:
    """Return `convert(image)`, a writable (H, W) or (H, W, C), without a second copy of the image on the way."""
    pixel = convert(image.crop((0, 0, 1, 1)))
    array = np.empty((image.height, image.width, *pixel.shape[2:]), pixel.dtype)
    for top in range(0, image.height, ROWS):
        array[top : top + ROWS] = convert(image.crop((0, top, image.width, min(top + ROWS, image.height))))
    return array


def _name(source: object) -> str:
    return str(source) if isinstance(source, str | Path) else f"image in memory ({type(source).__name__})"
