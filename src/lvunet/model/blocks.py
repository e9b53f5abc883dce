"""The plain, fusible modules of LV-UNet (arXiv 2408.16886, section III), in the form that is trained.

A fusible block is

    y = series(resize(pointwise(x)))
    pointwise(x) = BN(W2 * leaky_s(BN(W1 * x)))            two 1x1 convolutions
    series(x)    = BN(sum_ij a_ij relu(x_{h+i, w+j}))       VanillaNet's activation (arXiv 2305.12972, eq. 5), n = 1

Deep training raises the slope s of the leaky ReLU from 0 to 1. At s = 1 it is the identity, both 1x1 convolutions are
one, and `lvunet.fold` writes them as one. Where a fold can happen there is a *slot*: one attribute that holds the
trainable modules before, and one plain convolution after.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

BATCH_NORM_EPS = 1e-6  # VanillaNet's; the backbone keeps torchvision's


class DeepActivation(nn.Module):
    """Leaky ReLU whose slope is a buffer: it is part of the function, so it is part of every checkpoint."""

    slope: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("slope", torch.zeros(1))

    def forward(self, x: Tensor) -> Tensor:
        return torch.lerp(F.relu(x), x, self.slope.to(x.dtype))  # exactly x at slope 1; tested against F.leaky_relu


class DeepPointwise(nn.Module):
    """Two 1x1 convolutions, each with its batch norm, and the activation between them that deep training removes."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.expand = nn.Conv2d(in_channels, in_channels, 1)
        self.expand_norm = nn.BatchNorm2d(in_channels, eps=BATCH_NORM_EPS)
        self.activation = DeepActivation()
        self.project = nn.Conv2d(in_channels, out_channels, 1)
        self.project_norm = nn.BatchNorm2d(out_channels, eps=BATCH_NORM_EPS)

    def forward(self, x: Tensor) -> Tensor:
        x = self.activation(self.expand_norm(self.expand(x)))
        return self.project_norm(self.project(x))  # (B, out_channels, H, W)


class DepthwiseMix(nn.Module):
    """The learned 3x3 neighbourhood of the series activation: a depthwise convolution and its batch norm."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.mix = nn.Conv2d(channels, channels, 3, padding=1, groups=channels, bias=False)
        self.norm = nn.BatchNorm2d(channels, eps=BATCH_NORM_EPS)
        nn.init.trunc_normal_(self.mix.weight, std=0.02)

    def forward(self, x: Tensor) -> Tensor:
        return self.norm(self.mix(x))


class FusibleBlock(nn.Module):
    """Pointwise slot, resize, ReLU, depthwise slot: (B, in_channels, H, W) to (B, out_channels, H', W')."""

    def __init__(self, in_channels: int, out_channels: int, resize: nn.Module) -> None:
        super().__init__()
        self.out_channels = out_channels
        self.pointwise: nn.Module = DeepPointwise(in_channels, out_channels)
        self.resize = resize
        self.series: nn.Module = DepthwiseMix(out_channels)

    def forward(self, x: Tensor) -> Tensor:
        x = self.resize(self.pointwise(x))  # (B, out_channels, H', W')
        return self.series(F.relu(x))


def encoder_block(in_channels: int, out_channels: int) -> FusibleBlock:
    """Return a fusible block that halves the resolution by max-pooling."""
    return FusibleBlock(in_channels, out_channels, nn.MaxPool2d(2))


def decoder_block(in_channels: int, out_channels: int) -> FusibleBlock:
    """Return a fusible block that doubles the resolution bilinearly."""
    return FusibleBlock(in_channels, out_channels, nn.Upsample(scale_factor=2, mode="bilinear"))
