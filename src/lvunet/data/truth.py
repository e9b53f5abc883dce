"""The ground truth of a sample as one mask, wherever it lies."""

import numpy as np
from numpy.typing import NDArray

from lvunet.data.registry import Sample
from lvunet.errors import MismatchedPair
from lvunet.image import read_mask


def read_truth(sample: Sample, classes: int = 1) -> NDArray[np.uint8]:
    """Return the class indices, uint8 (H, W), of a sample; several masks of one image (BUSI) are merged by union."""
    if not sample.masks:
        raise MismatchedPair(f"{sample.id}: no mask was given for {sample.image}.")
    first, *others = (read_mask(mask, classes) for mask in sample.masks)
    for mask in others:
        if mask.shape != first.shape:
            raise MismatchedPair(f"{sample.id}: its masks have sizes {first.shape} and {mask.shape}.")
        first = np.maximum(first, mask)
    return first
