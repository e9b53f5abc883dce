"""The deployed form as every converter gets it: uint8 in, probability out, at the one size of the card."""

from collections import OrderedDict
from copy import deepcopy
from typing import cast

import torch
from torch import Tensor, nn

from lvunet.card import Card
from lvunet.export.forms import StripHead
from lvunet.image import LUMA
from lvunet.model import LVUNet
from lvunet.model.lvunet import STRIDE


class Deployed(nn.Module):
    """Image uint8 (B, size, size, C) to probability float32 (B, K, size, size), without anything to train.

    `planes` is the same from float planes (B, C, size, size) of 0 to 255 on, for formats that take no uint8 tensor. A
    network of one channel takes colours too, of which its first step makes luma, as `image.to_channels` does.
    """

    def __init__(self, folded: nn.Module, card: Card, batch: int = 1) -> None:
        super().__init__()
        self.card, self.batch = card, batch
        first = _normalisation(card)
        self.scale: Tensor
        self.register_buffer("scale", first.weight.detach().flatten().repeat(card.size), persistent=False)
        self.shift: Tensor
        shift = cast(Tensor, first.bias).detach()
        self.register_buffer("shift", shift.repeat(1 if card.in_channels == 1 else card.size), persistent=False)
        steps = {
            "normalisation": first,
            **_padding(card.size),
            "network": _with_plain_means(deepcopy(folded)),
            "probability": _Probability(card),
        }
        self.planes = nn.Sequential(OrderedDict(steps))  # by name: pnnx writes them as Python, where none starts with 0
        self.requires_grad_(requires_grad=False).eval()

    def forward(self, image: Tensor) -> Tensor:
        # A row at a time: three colours alone fill no vector. Of the whole network's time that took 0.87 in LiteRT,
        # 0.88 in ExecuTorch, 0.99 in OpenVINO and 0.93 in its bf16 (2026-11-23).
        rows = image.flatten(2).float() * self.scale  # (B, size, size C)
        if self.card.in_channels == 1:
            pixels = rows.view_as(image).sum(dim=-1, keepdim=True) + self.shift  # luma
        else:
            pixels = (rows + self.shift).view_as(image)
        probability: Tensor = self.planes[1:](pixels.permute(0, 3, 1, 2))  # from (B, C, size, size) on
        return probability  # (B, K, size, size)

    def with_strip_head(self) -> "Deployed":
        """Return the same function with another head, where the network is an LV-UNet (`forms.StripHead`)."""
        other = deepcopy(self)
        if isinstance(other.planes.network, LVUNet):
            other.planes.network.head[1] = StripHead(cast(nn.Conv2d, other.planes.network.head[1]))
        return other

    @property
    def image(self) -> Tensor:
        """Images to trace with, of the one batch that most formats are then bound to."""
        channels = 3 if self.card.in_channels == 1 else self.card.in_channels
        return torch.zeros(self.batch, self.card.size, self.card.size, channels, dtype=torch.uint8)

    @property
    def pixels(self) -> Tensor:
        """The same as float planes."""
        return self.image.permute(0, 3, 1, 2).float().contiguous()


def graph(network: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    """Return a network as a graph, without the identities that some converters do not know."""
    identities = {torch.ops.aten.alias.default: lambda tensor: tensor}
    return torch.export.export(network, (example,)).run_decompositions(identities)


class _Probability(nn.Module):
    """Logits to probability, as in `model.PixelsToProbability`, without what was padded."""

    def __init__(self, card: Card) -> None:
        super().__init__()
        self.scale, self.classes, self.size = 1 / card.temperature, card.classes, card.size
        self.padded = card.size % STRIDE != 0

    def forward(self, logits: Tensor) -> Tensor:
        scaled = logits * self.scale
        if self.padded:
            scaled = scaled[..., : self.size, : self.size]
        return scaled.sigmoid() if self.classes == 1 else scaled.softmax(dim=1)


class _Mean(nn.Module):
    """The mean over a map, as one operation; the adaptive pooling of torchvision's squeeze-and-excitation is three."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean((2, 3), keepdim=True)  # (B, C, 1, 1)


def _normalisation(card: Card) -> nn.Conv2d:
    """Pixels of 0 to 255 to the network's, as a 1x1 convolution, which every runtime knows how to broadcast.

    It stays in front of the stem: that pads with zeros, which are the mean colour, and not black.
    """
    std = torch.tensor(card.std) * 255
    bias = -torch.tensor(card.mean) * 255 / std
    grey = card.in_channels == 1
    conv = nn.Conv2d(3 if grey else card.in_channels, card.in_channels, 1, groups=1 if grey else card.in_channels)
    weight = (torch.tensor(LUMA) / std).view(1, 3, 1, 1) if grey else (1 / std).view(-1, 1, 1, 1)
    conv.load_state_dict({"weight": weight, "bias": bias})
    return conv


def _padding(size: int) -> dict[str, nn.Module]:
    """The network's own padding, if it pads this size: pnnx traces its arithmetic as in C, where -1 % 8 is -1."""
    beyond = -size % STRIDE
    return {"padding": nn.ReplicationPad2d((0, beyond, 0, beyond))} if beyond else {}


def _with_plain_means(network: nn.Module) -> nn.Module:
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.AdaptiveAvgPool2d):
                setattr(parent, name, _Mean())
    return network
