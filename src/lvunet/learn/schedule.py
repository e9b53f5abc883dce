"""How slope, learning rate and moving average follow the progress of training: pure functions.

Deep training needs a slope of exactly 1 before training ends: only then are the two convolutions of a block one.
The paper's own schedule (1 - cos, over all epochs, progress = epoch / epochs) stops at 0.9948 and is never exact.
"""

import math
from typing import Literal

DeepTraining = Literal["paper", "linear", "none", "done"]


def progress(epoch: int, epochs: int) -> float:
    """Return how far training is in `epoch` (from 0) of `epochs`: 0 in the first, exactly 1 in the last."""
    return epoch / (epochs - 1) if epochs > 1 else 1.0


def slope(progress: float, kind: DeepTraining = "paper", end: float = 0.9) -> float:
    """Return the slope of the leaky ReLUs; exactly 1 from `progress` = `end` on.

    "paper" is 1 - cos(pi/2 p) (arXiv 2408.16886, section III), "linear" is p (VanillaNet, arXiv 2305.12972, eq. 1),
    "none" is plain training at slope 0, whose network cannot be folded; "done" is slope 1 throughout, for a network
    that has had its deep training.
    """
    if kind == "none":
        return 0.0
    if progress >= end or kind == "done":
        return 1.0
    p = progress / end
    return p if kind == "linear" else 1 - math.cos(math.pi / 2 * p)


def learning_rate(progress: float, peak: float, floor: float, warmup: float = 0.0) -> float:
    """Return the learning rate: linear from 0 to `peak` during `warmup` (a fraction), then a cosine to `floor`."""
    if progress < warmup:
        return peak * progress / warmup
    p = (progress - warmup) / (1 - warmup) if warmup < 1 else 1.0
    return floor + (peak - floor) * (1 + math.cos(math.pi * min(p, 1.0))) / 2


def decay(step: int, most: float) -> float:
    """Return the decay of a moving average of the weights after so many steps: it rises to `most`.

    So a short run does not keep what the network was when it began (TensorFlow's ExponentialMovingAverage).
    """
    return min(most, (1 + step) / (10 + step))
