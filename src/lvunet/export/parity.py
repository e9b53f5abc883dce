"""Parity: proof, on real images, that the trained network, the folded one and the artefact compute the same.

Each link compares the probability of two forms at the geometry of each image. In logits the same is tested where they
have a known size (`tests/fold`): in a trained network they reach 90, and float32 then rounds by 1e-4.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lvunet.errors import EmptyInput, ParityError
from lvunet.image import UInt8
from lvunet.runtime.segmenter import Segmentation, Segmenter

# Measured on a network half-way through training on Kvasir-SEG (2026-11-23): 2e-5 at most.
TRAINED_TO_FOLDED = 1e-4
# 1e-5 at 256 x 256, 7e-5 at the worst of six sizes: ONNX Runtime places the weights of its resize in float32.
FOLDED_TO_ARTEFACT = 1e-4
# Half the bits: the masks must agree, since a steep network rounds a probability at an outline by 0.1.
HALF_DICE = 0.998


@dataclass(frozen=True)
class Link:
    """Two forms of one model that were compared, and how far they were apart at most."""

    name: str
    tolerance: float
    max_abs_difference: float
    lowest_dice: float  # between the masks of the two forms, over the images
    worst_image: int  # where the difference was largest, counted from 0
    mean_abs_difference: float
    mean_dice: float
    needed_dice: float = 0.0

    @property
    def holds(self) -> bool:
        """Whether the difference is within the tolerance, and the mean Dice as high as needed; NaN is neither."""
        return self.max_abs_difference <= self.tolerance and self.mean_dice >= self.needed_dice

    def demand(self) -> None:
        """Raise `ParityError` unless the link holds."""
        if self.mean_dice < self.needed_dice:
            raise ParityError(
                f"{self.name}: the masks agree to a mean Dice of {self.mean_dice:.4f}, less than {self.needed_dice:g}. "
                "No artefact was kept, nor does --force keep one; export in fp32, or prove it on images of its kind: "
                "--verify-on FOLDER."
            )
        if not self.holds:
            raise ParityError(
                f"{self.name}: a probability differs by {self.max_abs_difference:.2g}, more than {self.tolerance:g}, "
                f"on image {self.worst_image + 1}; the masks agree to Dice {self.lowest_dice:.4f} at worst. "
                "No artefact was kept; export again, and if that fails, report it."
            )


@dataclass(frozen=True)
class ParityReport:
    """The chain of links from the trained network to the artefact, over so many images."""

    links: tuple[Link, ...]
    images: int


def verify(trained: Segmenter, folded: Segmenter, artefact: Segmenter, images: Sequence[UInt8]) -> ParityReport:
    """Compare the three forms of a model on images (H, W, 3), each with the next.

    Raises `ParityError` with the first link that does not hold, and `EmptyInput` without an image to compare on.
    """
    links = (
        compare("trained -> folded", trained, folded, images, TRAINED_TO_FOLDED),
        compare("folded -> artefact", folded, artefact, images, FOLDED_TO_ARTEFACT),
    )
    for link in links:
        link.demand()
    return ParityReport(links, len(images))


def compare(
    name: str, one: Segmenter, other: Segmenter, images: Sequence[UInt8], tolerance: float, needed_dice: float = 0.0
) -> Link:
    """Hold one form of a model against another on images (H, W, 3); raises `EmptyInput` without any."""
    if not images:
        raise EmptyInput("parity needs at least one image to compare on; real ones prove most.")
    largest, means, dices = [], [], []
    for image in images:
        before, after = one.segment(image), other.segment(image)
        if before.probability.shape == after.probability.shape:
            apart = np.abs(before.probability - after.probability)
        else:
            apart = np.array([np.inf])
        largest.append(apart.max())
        means.append(apart.mean())
        dices.append(mask_dice(before, after))
    worst = int(np.argmax(largest))  # NaN counts as the largest
    return Link(
        name=name,
        tolerance=tolerance,
        max_abs_difference=float(largest[worst]),
        lowest_dice=float(min(dices)),
        worst_image=worst,
        mean_abs_difference=float(np.mean(means)),
        mean_dice=float(np.mean(dices)),
        needed_dice=needed_dice,
    )


def mask_dice(one: Segmentation, other: Segmentation) -> float:
    """Dice over pixels with the same label, background aside; 1 where both masks are empty, 0 for different shapes."""
    if one.mask.shape != other.mask.shape:
        return 0.0
    areas = one.area_px + other.area_px
    same = int(np.count_nonzero((one.mask == other.mask) & (one.mask > 0)))
    return 2 * same / areas if areas else 1.0
