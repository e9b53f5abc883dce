"""Fewer bits in ONNX: smaller files, whose masks are nearly those of the float form, through the whole command."""

from pathlib import Path

import numpy as np
import onnx
import pytest

import lvunet
from lvunet.data.selection import held_out, pictures
from lvunet.export.deploy import FewerBits, deploy
from lvunet.export.parity import HALF_DICE
from lvunet.export.quantize import _bytes
from lvunet.export.targets import TARGETS, TargetName, absent
from lvunet.image import UInt8

SIZES = [("executorch", 750_000), ("openvino", 1_100_000), ("litert", 800_000)]
NEARLY = 0.9  # four images: calibrated on 128, the mean Dice is 0.98


@pytest.fixture(scope="module")
def images(shared: Path) -> list[UInt8]:
    return pictures(shared / "datasets" / "kvasir-seg")[:4]


def test_eight_bits_of_a_weight_are_off_by_half_a_step_at_most() -> None:
    weight = np.random.default_rng(0).normal(size=(4, 3, 1, 1)).astype(np.float32)
    stored, _ = _bytes(weight, "w")
    restored = stored["w.int8"].astype(np.float32) * stored["w.scale"]
    step = np.abs(weight).max(axis=(1, 2, 3), keepdims=True) / 127
    assert (np.abs(restored - weight) <= step / 2 * (1 + 1e-6)).all()  # a float's rounding


def test_halves_are_half_the_size_and_agree(images: list[UInt8], tmp_path: Path) -> None:
    made = deploy("polyp", ["onnx"], tmp_path, images, fewer=FewerBits("fp16"))
    (artefact,) = made.artefacts
    assert {path.name for path in tmp_path.iterdir()} == {
        "polyp-fp16.onnx",
        "parity-onnx-fp16.html",
        "parity-onnx-fp16.json",
    }
    assert artefact.size_bytes < 1_200_000
    assert artefact.link
    assert artefact.link.mean_dice >= HALF_DICE
    types = {tensor.data_type for tensor in onnx.load(artefact.path).graph.initializer if np.prod(tensor.dims) >= 256}
    assert types == {onnx.TensorProto.FLOAT16}
    assert lvunet.load(artefact.path).card == lvunet.load("polyp").card


def test_bytes_are_small_and_kept_by_force(images: list[UInt8], tmp_path: Path) -> None:
    made = deploy("polyp", ["onnx"], tmp_path, images, fewer=FewerBits("int8", images, force=True))
    (artefact,) = made.artefacts
    assert artefact.size_bytes < 750_000
    assert artefact.verdict
    assert artefact.verdict.dice.n == len(images)
    assert not artefact.verdict.with_masks


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the runtimes' own code is not free of warnings
@pytest.mark.parametrize(("target", "most_bytes"), SIZES)
def test_int8_is_small_and_its_masks_are_nearly_those_of_the_float_form(
    images: list[UInt8], tmp_path: Path, target: TargetName, most_bytes: int
) -> None:
    if lacking := absent((*TARGETS[target].modules, TARGETS[target].quantizer or "")):
        pytest.skip(f"needs {', '.join(lacking)}")
    made = deploy("polyp", [target], tmp_path, images, fewer=FewerBits("int8", images, force=True))
    (artefact,) = made.artefacts
    assert artefact.size_bytes < most_bytes
    assert artefact.link
    assert artefact.link.mean_dice > NEARLY
    found = lvunet.load(artefact.path).segment(images[0])
    assert found.mask.shape == images[0].shape[:2]


def test_images_are_judged_that_the_model_has_not_seen(shared: Path) -> None:
    folder, card = shared / "datasets" / "kvasir-seg", lvunet.load("polyp").card
    assert len(held_out(folder, card.training)) == 200  # the test part
    assert len(held_out(folder, {})) == 1000
    assert held_out(folder / "images", {}) == []  # without masks there is nothing to judge by


def test_pictures_of_a_data_set_are_not_its_masks(shared: Path) -> None:
    assert all(len(np.unique(image)) > 10 for image in pictures(shared / "datasets" / "kvasir-seg"))
