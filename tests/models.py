"""Models to run: small, random, but settled and decided, so that their answers differ from pixel to pixel."""

from functools import cache

import numpy as np
import torch
from torch import nn

from lvunet.card import Card
from lvunet.image import UInt8, resize
from lvunet.model import LVUNet

SIZE = 256
torch.set_num_threads(1)  # as fast for one small image, and kind to whatever else runs


def picture(height: int, width: int, channels: int = 3) -> UInt8:
    """Coarse shapes and fine noise, always the same for one shape."""
    random = np.random.default_rng(height * width)
    coarse = resize(random.uniform(0, 155, (5, 5, channels)).astype(np.float32), (height, width))
    return (coarse + random.uniform(0, 100, coarse.shape)).astype(np.uint8)


@cache
def trained_model(classes: int, in_channels: int) -> LVUNet:
    """At slope 1, with the statistics of some pictures, and logits of mean 0 and deviation 2 on them."""
    torch.manual_seed(2)
    model = LVUNet(classes, in_channels)
    model.set_slope(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None  # the average over what it has seen
    pictures = [picture(SIZE, SIZE + n, in_channels)[:, :SIZE] for n in range(8)]
    images = (torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2) / 255 - 0.5) / 0.25
    weight, bias = model.head[1].parameters()
    with torch.no_grad():
        model(images)
        logits = model.eval()(images)
        scale = 2 / logits.std(dim=(0, 2, 3))
        weight.mul_(scale[:, None, None, None])
        bias.copy_((bias - logits.mean(dim=(0, 2, 3))) * scale)
    return model


def card_of(classes: int, in_channels: int) -> Card:
    return Card(
        classes=classes, in_channels=in_channels, size=SIZE, mean=(0.5,) * in_channels, std=(0.25,) * in_channels
    )
