"""Whether fewer bits are worth it: the Dice that they cost and the time that they save, on images with their masks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lvunet.errors import QuantizationRefused
from lvunet.evaluate.intervals import Interval, mean_interval, paired_difference
from lvunet.evaluate.latency import measure
from lvunet.evaluate.scoring import Case, score
from lvunet.export.parity import mask_dice
from lvunet.image import UInt8
from lvunet.runtime.segmenter import Segmenter
from lvunet.runtime.square import squared

ALLOWED_LOSS = 0.005  # of the mean Dice: half a point
NEEDED_GAIN = 1.05  # times as fast: less is what two runs of one file differ by
LEAST = 10  # images
CALM = 30  # rounds of ten calls each, in turns


@dataclass(frozen=True)
class Verdict:
    """What fewer bits did to a model: Dice, quantised minus float, and time, float by quantised, at one thread.

    Without masks the Dice is that of the two forms' masks, minus 1.
    """

    dice: Interval
    with_masks: bool
    times_as_fast: float
    float_ms: float
    quantized_ms: float

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why the quantised model is not worth having; empty if it is."""
        against = "the masks given" if self.with_masks else "the masks of the float form"
        loses = f"its Dice is {-self.dice.mean:.4f} lower, by {against}, on {self.dice.n} images"
        slower = f"it is {self.times_as_fast:.2f} times as fast, of which {NEEDED_GAIN:g} would be a gain"
        few = f"{self.dice.n} images, fewer than {LEAST}, prove nothing"
        faults = (
            (self.dice.mean < -ALLOWED_LOSS, loses),
            (self.times_as_fast < NEEDED_GAIN, slower),
            (self.dice.n < LEAST, few),
        )
        return tuple(reason for wrong, reason in faults if wrong)

    def demand(self, what: str) -> None:
        """Raise `QuantizationRefused` unless it is worth having."""
        if self.reasons:
            raise QuantizationRefused(
                f"{what} is not worth having: {', and '.join(self.reasons)}. No artefact was kept; --force keeps it."
            )


def judge(full: Segmenter, quantized: Segmenter, cases: Sequence[Case], images: Sequence[UInt8]) -> Verdict:
    """Compare a quantised model with its float form on cases with masks, or without any on images (H, W, C)."""
    square = squared(images[0], full.card)
    calls = {"float": lambda: full(square), "bits": lambda: quantized(square)}
    in_float, in_bits = measure(calls, threads=1, rounds=CALM)
    if cases:
        dice = paired_difference(score(quantized, cases), score(full, cases), "dice")
    else:
        agreement = [mask_dice(full.segment(image), quantized.segment(image)) for image in images]
        dice = mean_interval(np.array(agreement) - 1)
    return Verdict(dice, bool(cases), in_bits.times_as_fast, in_float.median_ms, in_bits.median_ms)
