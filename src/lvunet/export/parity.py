"""Parity: proof, on real images, that the trained network, the folded one and the artefact compute the same.

Each link compares the probability of two forms at the geometry of each image. In logits the same is tested where they
have a known size (`tests/fold`): in a trained network they reach 90, and float32 then rounds by 1e-4.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lvunet.errors import EmptyInput, ParityError
from lvunet.image import Float32, UInt8
from lvunet.runtime.segmenter import Segmentation, Segmenter

# Measured on a network half-way through training on Kvasir-SEG (2026-11-23): 2e-5 at most.
TRAINED_TO_FOLDED = 1e-4
# 1e-5 at 256 x 256, 7e-5 at the worst of six sizes: ONNX Runtime places the weights of its resize in float32.
FOLDED_TO_ONNX = 1e-4


@dataclass(frozen=True)
class Link:
    """Two forms of one model that were compared, and how far they were apart at most."""

    name: str
    tolerance: float
    max_abs_difference: float
    lowest_dice: float  # between the masks of the two forms, over the images
    worst_image: int  # where the difference was largest, counted from 0

    @property
    def holds(self) -> bool:
        """Whether the difference is within the tolerance; NaN is not."""
        return self.max_abs_difference <= self.tolerance


@dataclass(frozen=True)
class ParityReport:
    """The chain of links from the trained network to the artefact, over so many images."""

    links: tuple[Link, ...]
    images: int


def verify(trained: Segmenter, folded: Segmenter, artefact: Segmenter, images: Sequence[UInt8]) -> ParityReport:
    """Compare the three forms of a model on images (H, W, 3), each with the next.

    Raises `ParityError` with the first link that does not hold, and `EmptyInput` without an image to compare on.
    """
    if not images:
        raise EmptyInput("parity needs at least one image to compare on; real ones prove most.")
    to_folded, to_artefact = [], []
    for image in images:
        before, between, after = (form.segment(image) for form in (trained, folded, artefact))
        to_folded.append((_apart(before.probability, between.probability), _mask_dice(before, between)))
        to_artefact.append((_apart(between.probability, after.probability), _mask_dice(between, after)))
    links = (
        _link("trained -> folded", TRAINED_TO_FOLDED, to_folded),
        _link("folded -> artefact", FOLDED_TO_ONNX, to_artefact),
    )
    for link in links:
        if not link.holds:
            raise ParityError(
                f"{link.name}: a probability differs by {link.max_abs_difference:.2g}, more than "
                f"{link.tolerance:g}, on image {link.worst_image + 1} of {len(images)}; the masks agree to Dice "
                f"{link.lowest_dice:.4f} at worst. No artefact was kept; export again, and if that fails, report it."
            )
    return ParityReport(links, len(images))


def _link(name: str, tolerance: float, measured: list[tuple[float, float]]) -> Link:
    differences, dices = np.array(measured).T
    worst = int(differences.argmax())
    return Link(name, tolerance, float(differences[worst]), float(dices.min()), worst)


def _apart(one: Float32, other: Float32) -> float:
    """The largest absolute difference: NaN where one has it, infinite between different shapes."""
    return float(np.abs(one - other).max()) if one.shape == other.shape else float("inf")


def _mask_dice(one: Segmentation, other: Segmentation) -> float:
    """Dice over pixels with the same label, background aside; 1 where both masks are empty, 0 for different shapes."""
    if one.mask.shape != other.mask.shape:
        return 0.0
    areas = one.area_px + other.area_px
    same = int(np.count_nonzero((one.mask == other.mask) & (one.mask > 0)))
    return 2 * same / areas if areas else 1.0
