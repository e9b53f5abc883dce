"""Parity: proof, on real images, that the trained network, the folded one and the artefact compute the same.

trained -> folded      largest difference of a logit         the algebra of `lvunet.fold`, and float rounding
folded  -> artefact    largest difference of a probability   another runtime, and another resize
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from lvunet.errors import EmptyInput, ParityError
from lvunet.image import Float32, UInt8
from lvunet.runtime.segmenter import Segmentation, Segmenter
from lvunet.runtime.torch_backend import TorchSegmenter

# Float32 rounds in proportion: 3e-6 where logits reach 5, 5e-4 where they reach 80 (Kvasir-SEG, 2026-11-23).
TRAINED_TO_FOLDED = 1e-4  # of a logit, where logits reach REFERENCE_LOGIT or less; in proportion where they reach more
REFERENCE_LOGIT = 5.0
# ONNX Runtime places the weights of its resize in float32, 4e-3 grey levels off at worst; so it computes the same
# within 6e-5 on images of 352 x 352, but in the steepest network seen 2e-4 on sizes without a common divisor with 256.
FOLDED_TO_ONNX = 5e-4  # of a probability

Quantity = Literal["logit", "probability"]


@dataclass(frozen=True)
class Link:
    """Two forms of one model that were compared, and how far they were apart at most."""

    name: str
    quantity: Quantity
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


def verify(
    trained: TorchSegmenter,
    folded: TorchSegmenter,
    artefact: Segmenter,
    images: Sequence[UInt8],
    tolerance: float = FOLDED_TO_ONNX,
) -> ParityReport:
    """Compare the three forms on images (H, W, 3); `tolerance` is that of the artefact's probability.

    Raises `ParityError` with the first link that does not hold, and `EmptyInput` without an image to compare on.
    """
    if not images:
        raise EmptyInput("parity needs at least one image to compare on; real ones prove most.")
    to_folded, to_artefact, largest_logit = [], [], REFERENCE_LOGIT
    for image in images:
        before, between, after = (form.segment(image) for form in (trained, folded, artefact))
        logits = trained.logits(image)
        largest_logit = max(largest_logit, float(np.abs(logits).max()))
        to_folded.append((_apart(logits, folded.logits(image)), _mask_dice(before, between)))
        to_artefact.append((_apart(between.probability, after.probability), _mask_dice(between, after)))
    links = (
        _link("trained -> folded", "logit", TRAINED_TO_FOLDED * largest_logit / REFERENCE_LOGIT, to_folded),
        _link("folded -> artefact", "probability", tolerance, to_artefact),
    )
    for link in links:
        if not link.holds:
            raise ParityError(
                f"{link.name}: a {link.quantity} differs by {link.max_abs_difference:.2g}, more than "
                f"{link.tolerance:.2g}, on image {link.worst_image + 1} of {len(images)}; the masks agree to Dice "
                f"{link.lowest_dice:.4f} at worst. Do not use the artefact; export it again, and if that fails, report it."
            )
    return ParityReport(links, len(images))


def _link(name: str, quantity: Quantity, tolerance: float, measured: list[tuple[float, float]]) -> Link:
    differences, dices = np.array(measured).T
    worst = int(differences.argmax())
    return Link(name, quantity, tolerance, float(differences[worst]), float(dices.min()), worst)


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
