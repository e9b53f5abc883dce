"""PyTorch: the trained network or the folded one, as it is, with pre- and post-processing by `lvunet.image`."""

from pathlib import Path

import numpy as np
import torch
from torch import nn

from lvunet.card import Card
from lvunet.errors import ConfigError
from lvunet.image import Float32, UInt8, resize, to_channels
from lvunet.model import PixelsToProbability, load_checkpoint
from lvunet.runtime.segmenter import Segmenter, checked


class TorchSegmenter(Segmenter):
    """A network of normalised pixels to logits, trained or folded, on the device that it is on.

    Raises `ConfigError` for one in training mode, which would answer otherwise, and change.
    """

    def __init__(self, network: nn.Module, card: Card) -> None:
        if network.training:
            raise ConfigError(f"{card.name} is in training mode; call its .eval() first.")
        self.card = card
        self._device = next(network.parameters()).device
        self._network = PixelsToProbability(network, card.mean, card.std, card.temperature).to(self._device)

    def __call__(self, image: UInt8, /) -> Float32:
        small = resize(checked(image, self.card), (self.card.size, self.card.size))
        pixels = torch.from_numpy(to_channels(small, self.card.in_channels)).permute(2, 0, 1)  # (C, size, size)
        with torch.inference_mode():
            probability: Float32 = self._network(pixels[None].to(self._device))[0].cpu().numpy()  # (K, size, size)
        planes = np.stack([resize(plane, image.shape[:2]) for plane in probability])  # (K, H, W)
        return planes[0] if self.card.classes == 1 else planes


def load_trained(path: str | Path, threads: int | None = None) -> TorchSegmenter:
    """Return the network of a checkpoint in its trained form; `threads`, if given, holds for all of PyTorch."""
    if threads is not None:
        torch.set_num_threads(threads)
    model, card = load_checkpoint(path)
    return TorchSegmenter(model, card)
