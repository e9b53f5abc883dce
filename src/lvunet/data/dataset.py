"""Samples as batches: decoded and resized once, kept where the network is, augmented by a stream of their own."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from lvunet.card import Card
from lvunet.data.augment import Batch, Preset, augmented
from lvunet.data.registry import CHECK, Sample
from lvunet.errors import MismatchedPair
from lvunet.image import read_image, read_masks, resize, to_channels

Key = tuple[int, list[int]]  # (epoch, indices of one batch)


class SegmentationData(Dataset[Batch]):
    """Batches of pixels (B, C, size, size), 0..255, and uint8 class indices (B, 1, size, size), by (epoch, indices).

    What is random in a batch depends on (seed, epoch, indices) alone, not on what was drawn before. So an interrupted
    run goes on as if it had not been. Raises what `decode` does.
    """

    def __init__(self, samples: Sequence[Sample], card: Card, augment: Preset, seed: int) -> None:
        self.ids = [sample.id for sample in samples]
        self.augment: Preset = augment
        self.seed = seed
        with ThreadPoolExecutor() as pool:
            pairs = list(pool.map(lambda sample: decode(sample, card), samples))
        self.pixels = torch.stack([pixels for pixels, _ in pairs])  # (N, C, size, size)
        self.masks = torch.stack([mask for _, mask in pairs])  # (N, 1, size, size)

    def to(self, device: torch.device) -> Self:
        """Move pixels and masks to where the network is, once and for all."""
        self.pixels, self.masks = self.pixels.to(device), self.masks.to(device)
        return self

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, key: Key) -> Batch:
        epoch, indices = key
        generator = torch.Generator().manual_seed(hash((self.seed, epoch, *indices)) % 2**63)
        chosen = torch.tensor(indices).to(self.pixels.device, non_blocking=True)
        return augmented(self.augment, (self.pixels[chosen], self.masks[chosen]), generator)


def decode(sample: Sample, card: Card) -> tuple[Tensor, Tensor]:
    """Read one sample at the size of the network: pixels by the one resize, each mask pixel by the largest share.

    Raises what `read_image` and `read_masks` do, and `MismatchedPair` where image and mask differ in size.
    """
    size = (card.size, card.size)
    image, truth = read_image(sample.image), read_masks(sample.masks, card.classes)
    if truth.shape != image.shape[:2]:
        raise MismatchedPair(f"{sample.id}: the mask is {truth.shape}, but the image {image.shape[:2]}. {CHECK}")
    if card.classes == 1:
        mask = resize(truth.astype(np.float32), size) >= 0.5
    else:
        shares = [resize((truth == label).astype(np.float32), size) for label in range(card.classes)]
        mask = np.argmax(shares, axis=0)
    pixels = np.rint(to_channels(resize(image, size), card.in_channels)).astype(np.uint8).transpose(2, 0, 1)
    return torch.from_numpy(np.ascontiguousarray(pixels)), torch.from_numpy(mask.astype(np.uint8)[None])


class EpochBatches(Sampler[Key]):
    """Gives (epoch, indices) in an order that depends on (seed, epoch) alone, one share to each of `shares` processes.

    The last indices are repeated where the number does not divide, so that every process makes as many steps. Training
    shuffles, and leaves out a last batch that is not full: one image has no batch statistics.
    """

    def __init__(
        self, length: int, batch_size: int, seed: int, share: tuple[int, int] = (0, 1), *, training: bool = True
    ) -> None:
        self.length, self.seed, self.training = length, seed, training
        self.share, self.shares = share
        self.images = -(-length // self.shares)
        self.batch_size = min(batch_size, self.images)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Lightning calls this before each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.images // self.batch_size if self.training else -(-self.images // self.batch_size)

    def __iter__(self) -> Iterator[Key]:
        generator = torch.Generator().manual_seed(hash((self.seed, self.epoch)) % 2**63)
        order = torch.randperm(self.length, generator=generator) if self.training else torch.arange(self.length)
        wrapped = order[torch.arange(self.images * self.shares) % self.length][self.share :: self.shares]
        for batch in range(len(self)):
            yield self.epoch, wrapped[batch * self.batch_size : (batch + 1) * self.batch_size].tolist()
