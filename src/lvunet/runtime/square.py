"""Artefacts of a fixed size: a square of uint8 in, its probability out; the resize to and fro stays outside.

Only ONNX has a resize that equals `lvunet.image`. For every other runtime the image is resized here, rounded to what a
camera or a decoder would give, and the probability resized back.
"""

from collections.abc import Callable

import numpy as np

from lvunet.card import Card
from lvunet.image import Float32, UInt8, resize
from lvunet.runtime.segmenter import Segmenter, checked


class SquareSegmenter(Segmenter):
    """A runtime that maps uint8 (1, size, size, C) to probability (1, K, size, size), as a function of any image.

    A square of the card's size goes in as it is, so nothing but the runtime is between it and its probability.
    """

    def __init__(self, card: Card, run: Callable[[UInt8], Float32]) -> None:
        self.card, self.run = card, run

    def __call__(self, image: UInt8, /) -> Float32:
        probability = self.run(squared(checked(image, self.card), self.card)[None])[0]  # (K, size, size)
        planes = np.stack([resize(plane, image.shape[:2]) for plane in np.clip(probability, 0, 1)])  # (K, H, W)
        return planes[0] if self.card.classes == 1 else planes


def squared(image: UInt8, card: Card) -> UInt8:
    """Return the image (H, W, C) at the size that the network sees, uint8 (size, size, C)."""
    if image.shape[:2] == (card.size, card.size):
        return np.ascontiguousarray(image)
    return np.rint(resize(image, (card.size, card.size))).clip(0, 255).astype(np.uint8)
