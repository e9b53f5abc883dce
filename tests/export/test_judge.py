"""Fewer bits are kept only where they are worth it."""

import sys
from dataclasses import replace
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

from lvunet.errors import ConfigError, MissingDependency, QuantizationRefused
from lvunet.evaluate.intervals import Interval
from lvunet.export.deploy import FewerBits
from lvunet.export.judge import ALLOWED_LOSS, LEAST, NEEDED_GAIN, Verdict
from lvunet.export.targets import TARGETS, wanted


def verdict(dice: float, times_as_fast: float) -> Verdict:
    return Verdict(Interval(dice, dice, dice, 20, 20), True, times_as_fast, 3.0, 3.0 / times_as_fast)


@pytest.mark.parametrize(
    ("dice", "times_as_fast", "reasons"),
    [
        (-ALLOWED_LOSS, NEEDED_GAIN, 0),  # half a point is allowed
        (0.01, 2.0, 0),
        (-ALLOWED_LOSS - 1e-6, 2.0, 1),
        (0.0, NEEDED_GAIN - 0.01, 1),  # what two runs of one file differ by is no gain
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
    with pytest.raises(QuantizationRefused, match=r"Dice is 0\.1000 lower, .* on 20 images, and it is 0\.50 times"):
        verdict(-0.1, 0.5).demand("--to litert in int8")


def test_few_images_are_no_evidence() -> None:
    few = replace(verdict(0.0, 2.0), dice=Interval(0.0, 0.0, 0.0, LEAST - 1, LEAST - 1))
    with pytest.raises(QuantizationRefused, match="9 images, fewer than 10, prove nothing"):
        few.demand("int8")


def test_int8_needs_its_own_packages_too(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("openvino", "nncf"):
        monkeypatch.setitem(sys.modules, name, ModuleType(name) if name == "openvino" else None)
    sys.modules["openvino"].__spec__ = ModuleSpec("openvino", None)
    assert wanted(["openvino"]) == (TARGETS["openvino"],)
    with pytest.raises(MissingDependency, match=r"--to openvino needs nncf: pip install 'lvunet\[openvino\]'"):
        wanted(["openvino"], "int8")


def test_int8_needs_images_to_calibrate_on() -> None:
    with pytest.raises(ConfigError, match="--calibrate-on"):
        FewerBits("int8")
    FewerBits("fp16")


def test_a_precision_that_a_target_has_not_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"--to torch has no int8, but fp32\."):
        wanted(["torch"], "int8")
    assert wanted(["onnx"], "int8") == (TARGETS["onnx"],)
