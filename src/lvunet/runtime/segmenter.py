"""The seam: every form of a model, in every runtime, is a `Segmenter`, and everything else knows only that."""

from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Protocol

import numpy as np

from lvunet.card import Card
from lvunet.errors import ArtefactError, ConfigError, InputError, LVUNetError, MissingDependency
from lvunet.image import Float32, Source, UInt8, encode_png, overlay, read_image, write_image
from lvunet.runtime.zoo import model_file

LARGE_PX = 2**22  # pixels; from here on an image is segmented alone, and the memory it took is given back


@dataclass(frozen=True, eq=False)
class Segmentation:
    """What a model found in one image, at the geometry of that image."""

    image: UInt8  # (H, W, C)
    probability: Float32  # (H, W), or (K, H, W) for K classes
    card: Card

    def __repr__(self) -> str:
        height, width = self.mask.shape
        return f"Segmentation({height} x {width}, {self.area_px} px, {100 * self.area_fraction:.1f} %)"

    @cached_property
    def mask(self) -> UInt8:
        """Labels (H, W): 1 where the probability reaches the card's threshold; of K classes the most probable."""
        return self.card.mask(self.probability)

    @property
    def area_px(self) -> int:
        """Number of pixels that are not background."""
        return int(np.count_nonzero(self.mask))

    @property
    def area_fraction(self) -> float:
        """Share of the image that is not background, 0 to 1."""
        return self.area_px / self.mask.size

    @cached_property
    def expected_dice(self) -> float | None:
        """An estimate, 0 to 1, of the Dice of this mask with a true one; None where the model was not calibrated.

        It is what masks of like certainty reached on the validation images of the training, so it holds for images of
        the same kind; on images of another kind a model can be sure and wrong.
        """
        return self.card.expected_dice(self.probability, self.mask)

    def overlay(self, opacity: float = 0.45) -> UInt8:
        """Return the image (H, W, 3) with the mask filled in and outlined; one without RGB raises `InputError`."""
        return overlay(self.image, self.mask, opacity)

    def to_png(self) -> bytes:
        """Return the mask as a PNG file: 0 and 255 for one class, labels for several."""
        return encode_png(self._stored)

    def save(self, path: str | Path) -> None:
        """Write what `to_png` returns, whole or not at all; raises `OutputError`."""
        write_image(path, self._stored)

    @property
    def _stored(self) -> UInt8:
        return self.mask * np.uint8(255) if self.probability.ndim == 2 else self.mask


class Segmenter(Protocol):
    """A function from an image to the probability of each of its pixels, and the card that describes it."""

    card: Card

    def __call__(self, image: UInt8, /) -> Float32:
        """Return the probability, 0 to 1, as (H, W), or (K, H, W) for K classes, of an image (H, W, 3).

        Takes grey pictures as RGB too; a model of n channels, other than 1 and 3, takes (H, W, n).
        Raises `InputError` for anything but uint8 of that shape.
        """
        ...

    def segment(self, source: Source) -> Segmentation:
        """Read an image (path, bytes, Pillow image or array), and return what is in it.

        Raises `UnreadableImage`, `ImageTooLarge` and, for a model of n channels without an array of n, `InputError`.
        """
        of_n_channels = self.card.in_channels not in (1, 3)
        image = source if isinstance(source, np.ndarray) and of_n_channels else read_image(source)
        return Segmentation(image, self(image), self.card)


def checked(image: UInt8, card: Card) -> UInt8:
    """Return the image if a model with this card can take it; raises `InputError`."""
    channels = 3 if card.in_channels == 1 else card.in_channels
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        found = f"{image.dtype} array" if isinstance(image, np.ndarray) else type(image).__name__
        raise InputError(f"{card.name} takes a uint8 array (H, W, {channels}), not {found}; `segment` reads files.")
    if image.ndim != 3 or image.shape[2] != channels or not image.size:
        raise InputError(f"{card.name} takes an image of shape (H, W, {channels}), not {image.shape}.")
    return image


@dataclass(frozen=True)
class Backend:
    """Where the function is that loads files of one suffix, and what to install where it is missing."""

    module: str
    load: str
    extra: str


BACKENDS = {
    ".onnx": Backend("onnx_backend", "OnnxSegmenter", ""),
    ".safetensors": Backend("torch_backend", "load_trained", "train"),
    ".pt2": Backend("program_backend", "load_program", "train"),
    ".xml": Backend("openvino_backend", "load_openvino", "openvino"),
    ".pte": Backend("executorch_backend", "load_executorch", "executorch"),
    ".tflite": Backend("litert_backend", "load_litert", "litert"),
    ".param": Backend("ncnn_backend", "load_ncnn", "ncnn"),
}


def load(name_or_path: str | Path, threads: int | None = None) -> Segmenter:
    """Return a model, ready to segment: an exported one, a trained one (.safetensors), or one of the zoo.

    `threads` is the number of CPU threads of one call, None for all cores. Raises `ConfigError` for a name that is
    neither, `ArtefactError` and `CheckpointError` for a file that is not ours, `MissingDependency` without its runtime.
    """
    if threads is not None and threads < 1:
        raise ConfigError(f"threads = {threads}: give at least 1, or None for all cores.")
    path = model_file(name_or_path)
    if path.suffix == ".mlpackage":
        raise ConfigError(f"{path}: Core ML runs on Apple's systems only. Load another export of the model here.")
    if path.suffix not in BACKENDS:
        raise ConfigError(f"{path}: a model ends in {', '.join(BACKENDS)}.")
    backend = BACKENDS[path.suffix]
    try:
        module = import_module(f"lvunet.runtime.{backend.module}")
    except ImportError as error:
        what = f"needs {error.name}" if isinstance(error, ModuleNotFoundError) else f"cannot be run here ({error})"
        cure = f"pip install 'lvunet[{backend.extra}]', or load its export to .onnx"
        raise MissingDependency(f"{path} {what}: {cure if backend.extra else 'pip install lvunet'}.") from error
    try:
        segmenter: Segmenter = getattr(module, backend.load)(path, threads)
    except LVUNetError:
        raise
    except Exception as error:  # every runtime has errors of its own
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        raise ArtefactError(f"{path} cannot be read by its runtime: {reason}. Export it again.") from error
    return segmenter
