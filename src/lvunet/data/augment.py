"""What may happen to a batch of images and masks in training, on the device where it lies.

torchvision.transforms.v2 draws one set of parameters a call, so a batch would have to go image by image; here each
image of a batch has parameters of its own (docs/decisions/0004).
"""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from lvunet.image import LUMA

Preset = Literal["paper", "strong", "none"]
Batch = tuple[Tensor, Tensor]  # pixels (B, C, H, W) of 0..255, class indices (B, 1, H, W)

# Of the preset "strong": the share of the images that it happens to, and how much of it.
WARPED, TURN_DEGREES, ZOOM, STRETCH, SHIFT = 0.8, 45.0, 1.35, 1.15, 0.12  # zoom and stretch are factors, up or down
COLOURED, LIGHT, CONTRAST, SATURATION, CAST = 0.8, 1.35, 1.35, 1.5, 1.1  # factors, up or down
BLURRED, BLUR_PX = 0.2, 2.0  # standard deviation at 256 px
NOISY, NOISE = 0.2, 10.0  # grey levels


def augmented(preset: Preset, batch: Batch, generator: Generator) -> Batch:
    """Return what training sees of uint8 pixels (B, C, H, W) and class indices (B, 1, H, W), which are square.

    "paper" is the paper's: quarter turns and flips, of uint8. "strong" adds what cameras, probes and light do: free
    rotation, zoom, stretch, shift, colour, blur and noise, and returns float pixels of 0..255. `generator`, on the CPU,
    decides everything but the single values of the noise, which are drawn where the pixels are.
    """
    if preset == "none":
        return batch
    batch = turned(batch, generator)
    if preset == "paper":
        return batch
    pixels, masks = warped((batch[0].float(), batch[1]), generator)
    pixels = coloured(pixels, generator)
    blurred, noisy = (_chosen(len(pixels), share, generator) for share in (BLURRED, NOISY))
    pixels[blurred] = smoothed(pixels[blurred], _uniform(len(blurred), 0.2, BLUR_PX, generator))
    strength = _uniform(len(noisy), 0, NOISE, generator)
    local = Generator(pixels.device).manual_seed(int(torch.randint(2**62, (), generator=generator)))
    pixels[noisy] += _each(strength, pixels) * torch.randn(pixels[noisy].shape, generator=local, device=pixels.device)
    return pixels.clamp_(0, 255), masks


def turned(batch: Batch, generator: Generator) -> Batch:
    """Return each image and its mask in one of the eight positions of a square."""
    coins = torch.rand(3, len(batch[0]), generator=generator) < 0.5

    def turn(x: Tensor) -> Tensor:
        transposed, mirrored, upside_down = (_each(coin, x) for coin in coins)
        x = torch.where(transposed, x.mT, x)
        x = torch.where(mirrored, x.flip(-1), x)
        return torch.where(upside_down, x.flip(-2), x)

    return turn(batch[0]), turn(batch[1])


def warped(batch: Batch, generator: Generator) -> Batch:
    """Return most images, float, and their masks turned, zoomed, stretched and shifted; what comes in is black.

    Black is what lies around the round field of a dermatoscope or endoscope, and around a scan. A mirrored image, as it
    was before, taught a network of skin to outline the dark corners too (docs/lab-notes.md, 2026-11-23).
    """
    pixels, masks = batch
    count = len(pixels)
    angle = torch.deg2rad(_uniform(count, -TURN_DEGREES, TURN_DEGREES, generator))
    zoom, stretch = _factor(count, ZOOM, generator), _factor(count, math.sqrt(STRETCH), generator)
    shift = _uniform(2 * count, -2 * SHIFT, 2 * SHIFT, generator).view(count, 2, 1)  # the grid goes from -1 to 1
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(count, 2, 2)
    scale = torch.stack([zoom * stretch, zoom / stretch], 1).view(count, 1, 2)
    where = torch.cat([turn * scale, shift], 2)  # (B, 2, 3)
    still = torch.rand(count, generator=generator) >= WARPED
    where[still] = torch.eye(2, 3)
    grid = F.affine_grid(where.to(pixels.device), list(pixels.shape), align_corners=False)
    moved = F.grid_sample(pixels, grid, "bilinear", "zeros", align_corners=False)
    labels = F.grid_sample(masks.float(), grid, "nearest", "zeros", align_corners=False)
    return moved, labels.to(masks.dtype)


def coloured(pixels: Tensor, generator: Generator) -> Tensor:
    """Return most images, float, in other light: saturation, contrast, brightness and a cast of colour."""
    count, channels = pixels.shape[:2]
    saturation, contrast, light = (_factor(count, most, generator) for most in (SATURATION, CONTRAST, LIGHT))
    cast = _factor(count * channels, CAST, generator).view(count, channels, 1, 1).to(pixels.device)
    weights = torch.tensor(LUMA if channels == 3 else [1 / channels] * channels, device=pixels.device)
    luma = (pixels * weights.view(1, -1, 1, 1)).sum(1, keepdim=True)  # (B, 1, H, W)
    vivid = torch.lerp(luma, pixels, _each(saturation, pixels))
    lit = torch.lerp(luma.mean((2, 3), keepdim=True), vivid, _each(contrast, pixels)) * _each(light, pixels) * cast
    return torch.where(_each(torch.rand(count, generator=generator) < COLOURED, pixels), lit, pixels)


def smoothed(pixels: Tensor, sigma_px: Tensor) -> Tensor:
    """Return float images (B, C, H, W), each blurred by a Gaussian of its own standard deviation, (B,)."""
    count, channels, height, width = pixels.shape
    if not count:
        return pixels
    reach = math.ceil(3 * BLUR_PX)
    offsets = torch.arange(-reach, reach + 1, device=pixels.device)
    kernel = torch.softmax(-(offsets**2) / (2 * sigma_px.to(pixels.device).view(-1, 1) ** 2), dim=1)  # (B, 2 reach + 1)
    kernel = kernel.repeat_interleave(channels, 0)[:, None, None]  # (B C, 1, 1, 2 reach + 1)
    x = pixels.reshape(1, count * channels, height, width)
    for weight, pad in ((kernel, (reach, reach, 0, 0)), (kernel.mT, (0, 0, reach, reach))):
        x = F.conv2d(F.pad(x, pad, mode="replicate"), weight, groups=count * channels)
    return x.view_as(pixels)


def _uniform(count: int, low: float, high: float, generator: Generator) -> Tensor:
    return low + (high - low) * torch.rand(count, generator=generator)


def _factor(count: int, most: float, generator: Generator) -> Tensor:
    """Return factors between 1 / `most` and `most`, as often below 1 as above."""
    return _uniform(count, -math.log(most), math.log(most), generator).exp()


def _chosen(count: int, share: float, generator: Generator) -> Tensor:
    return (torch.rand(count, generator=generator) < share).nonzero()[:, 0]


def _each(values: Tensor, pixels: Tensor) -> Tensor:
    """Return one value an image, (B,), in the shape (B, 1, 1, 1) and on the device of the pixels."""
    return values.view(-1, 1, 1, 1).to(pixels.device, non_blocking=True)
