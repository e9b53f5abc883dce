"""Draws medical-looking pictures with exact masks from a seed, for the demo and for tests: no patient, no licence."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lvunet.errors import ConfigError
from lvunet.image import UInt8, write_image

Kind = Literal["polyp", "dermoscopy", "ultrasound"]
Plane = NDArray[np.floating[Any]]  # grey levels or a height of each pixel, about 0 to 1
KINDS: tuple[Kind, ...] = get_args(Kind)
EMPTY_EVERY = 10  # of so many consecutive seeds one has nothing to outline
SMALLEST = 16
STRIDE = 100_000  # seeds between two runs of `write_phantoms`


@dataclass(frozen=True)
class Shape:
    """The range of outlines: radius in halves of the image's shorter side, height to width, roughness."""

    radius: tuple[float, float]
    aspect: tuple[float, float]
    rough: float


def phantom(kind: Kind, seed: int, size: tuple[int, int] = (256, 256)) -> tuple[UInt8, UInt8]:
    """Return an image (H, W, 3) and its mask (H, W) of 0 and 1, for `size` = (height, width) from 16 on.

    The same seed gives the same picture at any size. Every tenth seed (9, 19, ...) has an empty mask.
    Raises `ConfigError` for an unknown kind, a negative seed or a smaller size.
    """
    if kind not in KINDS or seed < 0 or min(size) < SMALLEST:
        raise ConfigError(
            f"no phantom {kind!r} of seed {seed} and size {size}: the kinds are {', '.join(KINDS)}, "
            f"the seed is at least 0, the size (height, width) at least {SMALLEST}."
        )
    rng = np.random.default_rng([KINDS.index(kind), seed])
    y, x = _axes(size)
    shape, paint = STYLES[kind]
    distance = _lesion(rng, y, x, shape)
    if seed % EMPTY_EVERY == EMPTY_EVERY - 1:
        distance = np.full_like(distance, np.inf)
    picture = paint(rng, y, x, distance)
    return np.clip(np.rint(picture * 255), 0, 255).astype(np.uint8), (distance < 0).astype(np.uint8)


def write_phantoms(root: Path | str, n: int, seed: int = 0, size: tuple[int, int] = (256, 256)) -> None:
    """Write `n` phantoms of all kinds in turn to `root/images` and `root/masks` as PNG, masks of 0 and 255.

    Different seeds share no picture, up to 100,000 of them. Raises `OutputError`.
    """
    for index in range(n):
        kind = KINDS[index % len(KINDS)]
        image, mask = phantom(kind, seed * STRIDE + index, size)
        write_image(Path(root) / "images" / f"{kind}_{index:05}.png", image)
        write_image(Path(root) / "masks" / f"{kind}_{index:05}.png", mask * np.uint8(255))


def _axes(size: tuple[int, int]) -> tuple[Plane, Plane]:
    """Return y (H, 1) and x (1, W) of the pixels' centres; the shorter side spans -1 to 1."""
    y, x = (((2 * np.arange(side) + 1 - side) / min(size)).astype(np.float32) for side in size)
    return y[:, None], x[None, :]


def _lesion(rng: Generator, y: Plane, x: Plane, shape: Shape) -> Plane:
    """Return for each pixel how far it lies outside a random closed outline, in radii: -1 in its centre, 0 on it."""
    radius, aspect, angle = rng.uniform(*shape.radius), rng.uniform(*shape.aspect), rng.uniform(-0.5, 0.5)
    dy, dx = y - rng.uniform(-0.45, 0.45), x - rng.uniform(-0.45, 0.45)
    u = dx * np.cos(angle) + dy * np.sin(angle)
    v = (dy * np.cos(angle) - dx * np.sin(angle)) / aspect
    reach = np.hypot(u, v)
    turn = (u + 1j * v) / np.maximum(reach, 1e-6)
    power, outline = turn, np.ones_like(reach)
    for wave in range(2, 12):  # a Fourier series of the direction
        power = power * turn
        cosine, sine = rng.normal(scale=shape.rough / wave, size=2)
        outline += cosine * power.real + sine * power.imag
    return np.asarray(reach / (radius * np.maximum(outline, 0.3)) - 1, dtype=np.float32)


def _noise(rng: Generator, size: tuple[int, ...], cells: tuple[int, int], octaves: int = 1) -> Plane:
    """Return smooth noise (H, W) of mean 0 and deviation about 1, with `cells` (down, across) in the image."""
    total = np.zeros(size, dtype=np.float32)
    for octave in range(octaves):
        knots = rng.standard_normal([side * 2**octave + 3 for side in cells], dtype=np.float32)
        smooth = Image.fromarray(knots).resize((size[1], size[0]), Image.Resampling.BICUBIC)
        total += np.asarray(smooth) * np.float32(1.5 / 2**octave)
    return total


def _step(value: Plane, width: float) -> Plane:
    """Return 0 to 1 as `value` rises through 0, over about `width`."""
    return np.asarray(0.5 + 0.5 * np.tanh(value / width), dtype=np.float32)


def _ridges(noise: Plane, width: float) -> Plane:
    """Return 1 along the lines where smooth noise crosses 0, falling to 0 beside them."""
    return np.asarray(np.exp(-((noise / width) ** 2)), dtype=np.float32)


def _colour(rng: Generator, mean: tuple[float, float, float], warmth: float) -> Plane:
    """Return RGB near `mean`: lighter or darker in green and blue by `warmth`, and a little in each channel."""
    spread = rng.normal(0, warmth) * np.array([0.4, 1, 1]) + rng.normal(0, 0.02, size=3)
    return (np.array(mean) + spread).astype(np.float32)


def _paint(grey: Plane, colour: Plane | tuple[float, float, float]) -> Plane:
    """Return grey (H, W) times a colour: (H, W, 3)."""
    return np.asarray(grey[:, :, None] * np.asarray(colour, dtype=np.float32))


def _polyp(rng: Generator, y: Plane, x: Plane, distance: Plane) -> Plane:
    """A wet dome on a folded wall, lit from the camera; the lumen is dark, the frame an octagon."""
    size = distance.shape
    away = rng.uniform(0, 2 * np.pi)
    depth = np.hypot(y - 0.95 * np.sin(away), x - 0.95 * np.cos(away)) + 0.10 * _noise(rng, size, (2, 2), 2)
    depth = np.maximum(depth, 0.05)
    folds = 0.05 * np.sin(rng.uniform(5, 8) * np.log(depth + 0.25) + rng.uniform(0, 6)) ** 4
    dome = rng.uniform(0.15, 0.32) * (1 - (1 - np.clip(-distance, 0, 1)) ** 2) ** rng.uniform(0.6, 1.0)
    height = folds + dome + 0.018 * _noise(rng, size, (3, 3), 2) + 0.0012 * _noise(rng, size, (36, 36), 2)
    slope_y, slope_x = np.gradient(height, float(y[1, 0] - y[0, 0]))
    light_y, light_x = rng.uniform(-0.4, 0.4, size=2)
    steepness = np.sqrt((1 + slope_y**2 + slope_x**2) * (1 + light_y**2 + light_x**2))
    towards = np.clip((1 - slope_y * light_y - slope_x * light_x) / steepness, 0, 1)  # cosine to the light
    outside = _step(distance, 0.04)
    shade = (0.35 + 0.65 * towards) * np.clip(depth / 0.8, 0.10, 1) ** 0.8 * (1.08 - 0.3 * (y**2 + x**2))
    shade *= 1 - rng.uniform(0, 0.4) * np.exp(-np.maximum(distance, 0) / 0.15) * outside
    albedo = _colour(rng, (0.93, 0.53, 0.42), warmth=0.05)
    albedo = albedo + _paint(1 - outside, _colour(rng, (0.02, -0.04, -0.03), warmth=0.03))
    albedo -= _paint(_ridges(_noise(rng, size, (4, 4), 3), 0.06) * outside * rng.uniform(0, 1), (0.06, 0.16, 0.13))
    shade *= 1 + 0.035 * _noise(rng, size, (5, 5), 4)
    wet = towards**60 * np.clip(_noise(rng, size, (20, 20), 2) - 1.5, 0, 0.5) * rng.uniform(0.5, 2)
    octagon = np.maximum(np.maximum(np.abs(y), np.abs(x)), (np.abs(y) + np.abs(x)) / 1.66)
    return (albedo * shade[:, :, None] + wet[:, :, None]) * _step(0.97 - octagon, 0.01)[:, :, None]


def _dermoscopy(rng: Generator, y: Plane, x: Plane, distance: Plane) -> Plane:
    """A pigmented spot on skin under a round lens, with network, dots and hair."""
    size = distance.shape
    skin = 1 + 0.05 * _noise(rng, size, (3, 3), 2) + 0.025 * _noise(rng, size, (40, 40), 2)
    skin *= _step(rng.uniform(1.0, 1.6) - np.hypot(y, x), 0.14) * (1 - 0.12 * (y**2 + x**2))  # lens
    density = _step(-distance, rng.uniform(0.05, 0.22))
    network = _ridges(_noise(rng, size, (26, 26)), 0.5) * rng.uniform(0, 0.5)
    dots = np.clip(_noise(rng, size, (30, 30)) - 1.9, 0, 0.6) * rng.uniform(0, 1.2)
    pigment = density * np.clip(0.75 + 0.22 * _noise(rng, size, (5, 5), 3) + network + dots, 0.1, 1.6)
    passed = np.exp(-_paint(pigment * rng.uniform(0.4, 1.3), (0.55, 0.95, 1.25)))  # melanin takes blue first
    skin *= 1 - 0.8 * _hair(rng, size)
    return _paint(skin, _colour(rng, (0.87, 0.68, 0.59), warmth=0.06)) * passed


def _hair(rng: Generator, size: tuple[int, ...]) -> Plane:
    """Return the opacity (H, W) of 0 to 14 curved hairs, drawn at twice the size."""
    height, width = size
    sheet = Image.new("L", (2 * width, 2 * height))
    draw = ImageDraw.Draw(sheet)
    for _ in range(min(int(rng.exponential(4)), 14)):
        start, bend, end = rng.uniform(-0.1, 1.1, size=(3, 2)) * (2 * width, 2 * height)
        along = np.linspace(0, 1, 24)[:, None]
        path = (1 - along) ** 2 * start + 2 * along * (1 - along) * bend + along**2 * end
        thick = max(1, round(min(size) * rng.uniform(0.004, 0.013)))
        draw.line([tuple(point) for point in path], fill=int(rng.integers(110, 255)), width=thick, joint="curve")
    return np.asarray(sheet.resize((width, height), Image.Resampling.BOX), dtype=np.float32) / 255


def _ultrasound(rng: Generator, y: Plane, x: Plane, distance: Plane) -> Plane:
    """A dark lesion in layers of fat, gland and muscle, with speckle and its shadow or enhancement, in decibels."""
    size = distance.shape
    down = (y - y.min()) / (y.max() - y.min())
    layer = down + 0.06 * _noise(rng, size, (2, 3), 2)
    gland = _step(layer - rng.uniform(0.12, 0.3), 0.04) * _step(rng.uniform(0.55, 0.8) - layer, 0.05)
    echo = 0.30 + 0.22 * gland + 0.06 * _noise(rng, size, (16, 7), 3)
    echo += 0.20 * (1 - 0.6 * gland) * _ridges(_noise(rng, size, (9, 3), 2), 0.12)  # septa and fasciae
    echo += 0.35 * _ridges(down, 0.03)
    soft = _step(-distance, rng.uniform(0.02, 0.12))
    core = rng.uniform(0.02, 0.25) + 0.05 * _noise(rng, size, (9, 9), 2)
    echo = echo * (1 - soft) + core * soft + rng.uniform(0, 0.18) * _ridges(distance, 0.10)
    below = np.clip(np.cumsum(soft, axis=0) / (0.2 * size[0]), 0, 1) * (1 - soft)
    echo += rng.uniform(-0.25, 0.18) * below - 0.20 * down**2
    speckle = np.hypot(_noise(rng, size, (110, 64)), _noise(rng, size, (110, 64)))
    echo += 0.10 * np.log(speckle + 0.05)
    if rng.random() < 0.3:  # a convex probe sees a fan
        echo *= _step(rng.uniform(0.45, 0.7) - np.abs(x) / (y + 2.6), 0.003)
    return np.repeat(echo[:, :, None], 3, axis=2)


STYLES: dict[Kind, tuple[Shape, Callable[[Generator, Plane, Plane, Plane], Plane]]] = {
    "polyp": (Shape((0.18, 0.45), (0.65, 1.0), 0.07), _polyp),
    "dermoscopy": (Shape((0.25, 0.70), (0.60, 1.0), 0.16), _dermoscopy),
    "ultrasound": (Shape((0.15, 0.50), (0.45, 0.9), 0.11), _ultrasound),
}
