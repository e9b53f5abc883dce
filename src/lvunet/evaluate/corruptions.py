"""A fixed set of ways in which a picture is spoilt, each in three severities, the same for every picture and machine.

What has a size in pixels is given for a picture of 256 x 256 and grows with the side of the picture, the root of its
area: so a photograph of 1920 px and one of 256 px are hurt alike. Chance is seeded by the pixels of the picture itself.
The result has the geometry of the picture, so its mask still holds. Only `cast` gives colour to a grey picture.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from io import BytesIO
from typing import Any, Literal, get_args
from zlib import crc32

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFilter

from lvunet.image import UInt8, resize, to_channels

Severity = Literal["mild", "medium", "severe"]
SEVERITIES: tuple[Severity, ...] = get_args(Severity)
REFERENCE_PX = 256
BLOB_PX = 3  # how smooth the field is whose peaks are highlights: spots of some 4 to 12 px

Change = Callable[[UInt8, float, np.random.Generator], NDArray[Any]]


@dataclass(frozen=True)
class Corruption:
    """One way to spoil a picture: its name, a measure to fill in, and the amounts that are mild, medium and severe."""

    name: str
    measure: str
    amounts: tuple[float, float, float]
    change: Change

    def __call__(self, image: UInt8, severity: Severity) -> UInt8:
        """Return a spoilt copy of an image (H, W, 3)."""
        random = np.random.default_rng([crc32(image.tobytes()), crc32(self.name.encode())])
        changed = self.change(image, self.amount(severity), random)
        return np.clip(np.rint(changed), 0, 255).astype(np.uint8)

    def amount(self, severity: Severity) -> float:
        """Return how much of it a severity is."""
        return self.amounts[SEVERITIES.index(severity)]

    def measured(self, severity: Severity) -> str:
        """Return the same with its unit, as ``sigma 1.5 px``."""
        return self.measure.format(self.amount(severity))


def _defocus(image: UInt8, sigma_px: float, _: np.random.Generator) -> UInt8:
    return _filtered(image, ImageFilter.GaussianBlur(sigma_px * _side(image) / REFERENCE_PX))


def _motion(image: UInt8, length_px: float, random: np.random.Generator) -> UInt8:
    radius = max(0.0, (length_px * _side(image) / REFERENCE_PX - 1) / 2)
    return _filtered(image, ImageFilter.BoxBlur((radius, 0) if random.integers(2) else (0, radius)))


def _noise(image: UInt8, deviation: float, random: np.random.Generator) -> NDArray[Any]:
    grey = bool((image == image[:, :, :1]).all())
    grain = random.standard_normal((*_reduced(image, REFERENCE_PX), 1 if grey else 3), dtype=np.float32)
    noise = resize(grain, image.shape[:2])  # (H, W, 1 or 3)
    return image + np.float32(deviation) * noise / (noise.std() or 1)


def _jpeg(image: UInt8, quality: float, _: np.random.Generator) -> NDArray[Any]:
    """Add what JPEG does to the picture at 256 px: its blocks are 8 px wide, however large the picture."""
    stored = np.rint(resize(image, _reduced(image, REFERENCE_PX))).astype(np.uint8)
    buffer = BytesIO()
    Image.fromarray(stored).save(buffer, "JPEG", quality=round(quality))
    artefacts = np.asarray(Image.open(buffer)).astype(np.float32) - stored
    return image + resize(artefacts, image.shape[:2])


def _exposure(image: UInt8, gain: float, _: np.random.Generator) -> NDArray[Any]:
    return image * np.float32(gain)


def _contrast(image: UInt8, gain: float, _: np.random.Generator) -> NDArray[Any]:
    mean = np.float32(image.mean())
    return mean + (image - mean) * np.float32(gain)


def _cast(image: UInt8, gain: float, random: np.random.Generator) -> NDArray[Any]:
    red = gain if random.integers(2) else 1 / gain
    return image * np.array([red, 1, 1 / red], dtype=np.float32)


def _resolution(image: UInt8, side_px: float, _: np.random.Generator) -> NDArray[Any]:
    return resize(resize(image, _reduced(image, side_px)), image.shape[:2])


def _highlights(image: UInt8, percent: float, random: np.random.Generator) -> NDArray[Any]:
    """Burn white spots with soft rims into so much of the picture, where it is bright and a random field peaks."""
    from scipy.ndimage import gaussian_filter

    grid = _reduced(image, REFERENCE_PX)
    lit = to_channels(resize(image, grid), 1)[:, :, 0] + 1  # (h, w)
    gloss = gaussian_filter(random.standard_normal(grid), BLOB_PX * min(1, _side(image) / REFERENCE_PX))
    field = np.maximum(gloss, 0) * lit
    rim, core = np.quantile(field, (1 - percent / 100, 1 - percent / 200))
    opacity = np.clip((field - rim) / max(core - rim, 1e-9), 0, 1).astype(np.float32)
    return image + resize(opacity, image.shape[:2])[:, :, None] * (255 - image)


CORRUPTIONS = (
    Corruption("defocus", "sigma {:g} px", (0.75, 1.5, 3), _defocus),
    Corruption("motion", "path {:g} px", (4, 8, 16), _motion),
    Corruption("noise", "deviation {:g} grey levels", (6, 15, 30), _noise),
    Corruption("jpeg", "quality {:g}", (40, 20, 10), _jpeg),
    Corruption("darker", "grey levels x {:g}", (0.7, 0.5, 0.3), _exposure),
    Corruption("brighter", "grey levels x {:g}", (1.15, 1.3, 1.6), _exposure),
    Corruption("contrast", "contrast x {:g}", (0.7, 0.5, 0.3), _contrast),
    Corruption("cast", "red x {0:g}, blue / {0:g}, or reverse", (1.1, 1.2, 1.35), _cast),
    Corruption("resolution", "{:g} px a side left", (128, 64, 32), _resolution),
    Corruption("highlights", "{:g} % of the picture", (0.5, 1.5, 3.5), _highlights),
)


def _side(image: UInt8) -> float:
    return math.sqrt(image.shape[0] * image.shape[1])


def _reduced(image: UInt8, side_px: float) -> tuple[int, int]:
    """Return the size of the picture shrunk to `side_px` a side; its own where it is not larger."""
    times = max(1.0, _side(image) / side_px)
    return max(1, round(image.shape[0] / times)), max(1, round(image.shape[1] / times))


def _filtered(image: UInt8, by: ImageFilter.Filter) -> UInt8:
    return np.asarray(Image.fromarray(image).filter(by))
