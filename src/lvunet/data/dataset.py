"""Samples as tensors: decoded and resized once, kept in memory, augmented by a random stream of their own."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler
from torchvision import tv_tensors

from lvunet.card import Card
from lvunet.data.augment import Preset, augmentation
from lvunet.data.registry import Sample
from lvunet.errors import MismatchedPair
from lvunet.image import read_image, read_masks, resize, to_channels

Key = tuple[int, int]  # (epoch, index)


class SegmentationData(Dataset[tuple[Tensor, Tensor]]):
    """Pairs of uint8 pixels (C, size, size) and uint8 class indices (1, size, size), by (epoch, index).

    What is random in a sample depends on (seed, epoch, index) alone: not on the worker that loads it, nor on what was
    loaded before. So an interrupted run goes on as if it had not been.
    """

    def __init__(self, samples: Sequence[Sample], card: Card, augment: Preset, seed: int) -> None:
        self.ids = [sample.id for sample in samples]
        self.transform = augmentation(augment)
        self.seed = seed
        with ThreadPoolExecutor() as pool:
            pairs = list(pool.map(lambda sample: decode(sample, card), samples))
        self.pixels = torch.stack([pixels for pixels, _ in pairs])  # (N, C, size, size)
        self.masks = torch.stack([mask for _, mask in pairs])  # (N, 1, size, size)

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, key: Key) -> tuple[Tensor, Tensor]:
        epoch, index = key
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(hash((self.seed, epoch, index)) % 2**63)
            pixels, mask = self.transform(tv_tensors.Image(self.pixels[index]), tv_tensors.Mask(self.masks[index]))
        return pixels.as_subclass(Tensor), mask.as_subclass(Tensor)


def decode(sample: Sample, card: Card) -> tuple[Tensor, Tensor]:
    """Read one sample at the size of the network: pixels by the one resize, each mask pixel by the largest share.

    Raises what `read_image` and `read_masks` do, and `MismatchedPair` where image and mask differ in size.
    """
    size = (card.size, card.size)
    image, truth = read_image(sample.image), read_masks(sample.masks, card.classes)
    if truth.shape != image.shape[:2]:
        raise MismatchedPair(f"{sample.id}: the mask is {truth.shape}, but the image {image.shape[:2]}.")
    if card.classes == 1:
        mask = resize(truth.astype(np.float32), size) >= 0.5
    else:
        shares = [resize((truth == label).astype(np.float32), size) for label in range(card.classes)]
        mask = np.argmax(shares, axis=0)
    pixels = np.rint(to_channels(resize(image, size), card.in_channels)).astype(np.uint8).transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(pixels)), torch.from_numpy(mask.astype(np.uint8)[None])


class EpochSampler(Sampler[Key]):
    """Gives (epoch, index) in an order that depends on (seed, epoch) alone, one share to each of `shares` processes.

    The last indices are repeated where the number does not divide, so that every process makes as many steps.
    """

    def __init__(self, length: int, seed: int, share: int = 0, shares: int = 1, shuffle: bool = True) -> None:
        self.length, self.seed, self.share, self.shares, self.shuffle = length, seed, share, shares, shuffle
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.length // self.shares)

    def __iter__(self) -> Iterator[Key]:
        generator = torch.Generator().manual_seed(hash((self.seed, self.epoch)) % 2**63)
        order = torch.randperm(self.length, generator=generator) if self.shuffle else torch.arange(self.length)
        wrapped = order[torch.arange(len(self) * self.shares) % self.length]
        for index in wrapped[self.share :: self.shares].tolist():
            yield self.epoch, index
