"""The deployed form as every converter gets it: uint8 in, probability out, at the one size of the card."""

from collections import OrderedDict
from copy import deepcopy

import torch
from torch import Tensor, nn

from lvunet.card import Card
from lvunet.image import LUMA


class Deployed(nn.Module):
    """Image uint8 (1, size, size, C) to probability float32 (1, K, size, size), without anything to train.

    `planes` is the same from float planes (1, C, size, size) of 0 to 255 on, for formats that take no uint8 tensor. A
    network of one channel takes colours too, of which its first step makes luma, as `image.to_channels` does.
    """

    def __init__(self, folded: nn.Module, card: Card) -> None:
        super().__init__()
        self.card = card
        steps = {
            "normalisation": _normalisation(card),
            "network": _with_plain_means(deepcopy(folded)),
            "probability": _Probability(card),
        }
        self.planes = nn.Sequential(OrderedDict(steps))  # by name: pnnx writes them as Python, where none starts with 0
        self.requires_grad_(requires_grad=False).eval()

    def forward(self, image: Tensor) -> Tensor:
        probability: Tensor = self.planes(image.permute(0, 3, 1, 2).float())
        return probability  # (1, K, size, size)

    @property
    def image(self) -> Tensor:
        """An image to trace with."""
        channels = 3 if self.card.in_channels == 1 else self.card.in_channels
        return torch.zeros(1, self.card.size, self.card.size, channels, dtype=torch.uint8)

    @property
    def pixels(self) -> Tensor:
        """The same as float planes."""
        return self.image.permute(0, 3, 1, 2).float().contiguous()


def graph(network: nn.Module, example: Tensor) -> torch.export.ExportedProgram:
    """Return a network as a graph, without the identities that some converters do not know."""
    identities = {torch.ops.aten.alias.default: lambda tensor: tensor}
    return torch.export.export(network, (example,)).run_decompositions(identities)


class _Probability(nn.Module):
    """Logits to probability, as in `model.PixelsToProbability`."""

    def __init__(self, card: Card) -> None:
        super().__init__()
        self.scale, self.classes = 1 / card.temperature, card.classes

    def forward(self, logits: Tensor) -> Tensor:
        scaled = logits * self.scale
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


def _with_plain_means(network: nn.Module) -> nn.Module:
    for parent in list(network.modules()):
        for name, child in parent.named_children():
            if isinstance(child, nn.AdaptiveAvgPool2d):
                setattr(parent, name, _Mean())
    return network
