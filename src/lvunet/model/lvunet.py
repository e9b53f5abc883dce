"""LV-UNet (arXiv 2408.16886): MobileNetV3-Large encoder, fusible blocks, additive skips."""

from typing import Protocol

import torch.nn.functional as F
from torch import Tensor, nn

from lvunet.card import LVUNET
from lvunet.errors import ConfigError, InputError
from lvunet.model.backbone import Weights, mobilenet_features
from lvunet.model.blocks import DeepActivation, decoder_block, encoder_block

STRIDE = 128  # the deepest map is 1/128 of the input
SMALLEST_SIDE = 32


class LVUNet(nn.Module):
    """Image to logits: normalised float (B, in_channels, H, W) to (B, classes, H, W), H and W at least 32.

    Sides that are not multiples of 128 are padded by their last row and column, and the result is cropped back.
    With one class the logit is that of the foreground (sigmoid); with more, one logit a class (softmax, 0: background).
    `weights` initialises the backbone: "imagenet" downloads, a path reads a file, None starts from scratch.
    """

    def __init__(self, classes: int = 1, in_channels: int = 3, weights: Weights = None) -> None:
        super().__init__()
        if classes < 1 or in_channels < 1:
            raise ConfigError(f"classes and in_channels must be at least 1, not {classes} and {in_channels}.")
        self.classes, self.in_channels = classes, in_channels
        features = mobilenet_features(in_channels, weights)
        self.stem = features[0]  # 16 channels, 1/2
        self.groups = nn.ModuleList(
            nn.Sequential(*features[a:b]) for a, b in ((1, 3), (3, 6), (6, 10))
        )  # 24, 40, 80 channels
        self.encoder = nn.ModuleList([encoder_block(80, 160), encoder_block(160, 240), encoder_block(240, 480)])
        self.decoder = nn.ModuleList(
            [
                *(decoder_block(480, 240), decoder_block(240, 160), decoder_block(160, 80)),
                *(decoder_block(80, 40), decoder_block(40, 24), decoder_block(24, 16)),
            ]
        )
        self.head = nn.Sequential(decoder_block(16, 16), nn.Conv2d(16, classes, 1))

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        x = self.stem(self._checked_and_padded(image))  # (B, 16, H/2, W/2)
        skips = []
        for stage in (*self.groups, *self.encoder):
            x = stage(x)
            skips.append(x)  # 24, 40, 80, 160, 240, 480 channels at 1/4 ... 1/128
        x = skips.pop()
        for stage in self.decoder:
            x = stage(x)
            x = x + skips.pop() if skips else x  # the last, at 1/2, has no skip
        return self.head(x)[..., :height, :width]  # (B, classes, H, W)

    def set_slope(self, slope: float) -> None:
        """Set the slope of every deep-training activation: 0 is a ReLU, 1 the identity."""
        if not 0 <= slope <= 1:
            raise ConfigError(f"the slope of deep training lies between 0 and 1, not {slope}.")
        for module in self.modules():
            if isinstance(module, DeepActivation):
                module.slope.fill_(slope)

    @property
    def slope(self) -> float:
        """The slope of the deep-training activations, which share one value; 1 in a folded network, which has none."""
        return next((m.slope.item() for m in self.modules() if isinstance(m, DeepActivation)), 1.0)

    def _checked_and_padded(self, image: Tensor) -> Tensor:
        batch, channels, height, width = image.shape
        if channels != self.in_channels:
            raise InputError(f"this network takes {self.in_channels} channels, not {channels}.")
        if min(height, width) < SMALLEST_SIDE:
            raise InputError(f"image of {height} x {width}: both sides must be at least {SMALLEST_SIDE} pixels.")
        right, bottom = -width % STRIDE, -height % STRIDE
        if self.training and batch * (height + bottom) * (width + right) == STRIDE**2:
            raise InputError(
                f"one image of {height} x {width} cannot train: its deepest map is a single pixel, whose batch norm "
                "has no variance. Use two images a batch, or a side above 128."
            )
        if right or bottom:
            image = F.pad(image, (0, right, 0, bottom), mode="replicate")
        return image


class Constructor(Protocol):
    """What makes a new network of normalised pixels to logits: `LVUNet`, or a peer of it."""

    def __call__(self, classes: int = 1, in_channels: int = 3, weights: Weights = None) -> nn.Module: ...


def only_lvunet(name: str) -> Constructor:
    """Return what makes LV-UNet; raises `ConfigError` for the name of a peer: those are of `benchmark.peers`."""
    if name != LVUNET:
        raise ConfigError(
            f"only {LVUNET} is known here, not {name}: give constructor=lvunet.benchmark.peers.constructor."
        )
    return LVUNet


class PixelsToProbability(nn.Module):
    """What an artefact computes: pixels 0..255, float (B, C, H, W), to probability (B, classes, H, W).

    The logits are divided by `temperature` (Guo et al., arXiv 1706.04599); at 1 the graph has no such step.
    The mean is subtracted from the image, not folded into the stem: the stem pads with zeros, so the border would
    see the mean instead.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, network: nn.Module, mean: tuple[float, ...], std: tuple[float, ...], temperature: float = 1.0
    ) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature
        self.register_buffer("mean", pixel_statistic(mean))
        self.register_buffer("std", pixel_statistic(std))

    def logits(self, pixels: Tensor) -> Tensor:
        """Return the network's answer before temperature and sigmoid or softmax."""
        return self.network((pixels - self.mean) / self.std)

    def forward(self, pixels: Tensor) -> Tensor:
        logits = self.logits(pixels)
        if self.temperature != 1:
            logits = logits * (1 / self.temperature)
        return logits.sigmoid() if logits.shape[1] == 1 else logits.softmax(dim=1)


def pixel_statistic(values: tuple[float, ...]) -> Tensor:
    """Return per-channel values for pixels of 0..1 as a (1, C, 1, 1) tensor for pixels of 0..255."""
    return Tensor(values).mul(255).view(1, -1, 1, 1)
