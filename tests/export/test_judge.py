"""Fewer bits are kept only where they are worth it."""

import pytest

from lvunet.errors import ConfigError, QuantizationRefused
from lvunet.evaluate.intervals import Interval
from lvunet.export.deploy import FewerBits
from lvunet.export.judge import ALLOWED_LOSS, Verdict
from lvunet.export.targets import TARGETS, wanted


def verdict(dice: float, times_as_fast: float) -> Verdict:
    return Verdict(Interval(dice, dice, dice, 20, 20), True, times_as_fast, 3.0, 3.0 / times_as_fast)


@pytest.mark.parametrize(
    ("dice", "times_as_fast", "reasons"),
    [
        (-ALLOWED_LOSS, 1.01, 0),  # half a point is allowed
        (0.01, 2.0, 0),
        (-ALLOWED_LOSS - 1e-6, 2.0, 1),
        (0.0, 1.0, 1),  # as fast is not faster
        (-0.1, 0.5, 2),
    ],
)
def test_a_loss_of_half_a_point_or_no_gain_in_time_is_refused(dice: float, times_as_fast: float, reasons: int) -> None:
    found = verdict(dice, times_as_fast)
    assert len(found.reasons) == reasons
    if not reasons:
        found.demand("int8")
        return
    with pytest.raises(QuantizationRefused, match="int8 is not worth having"):
        found.demand("int8")


def test_the_refusal_says_how_much_and_on_how_many_images() -> None:
    with pytest.raises(QuantizationRefused, match=r"Dice is 0\.1000 lower, .* on 20 images, and it takes 2\.00 times"):
        verdict(-0.1, 0.5).demand("--to litert in int8")


def test_int8_needs_images_to_calibrate_on() -> None:
    with pytest.raises(ConfigError, match="--calibrate-on"):
        FewerBits("int8")
    FewerBits("fp16")


def test_a_precision_that_a_target_has_not_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--to torch has no int8, but fp32\."):
        wanted(["torch"], "int8")
    assert wanted(["onnx"], "int8") == (TARGETS["onnx"],)
