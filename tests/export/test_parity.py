"""The proof itself: it measures what it says, and finds what was tampered with."""

from copy import deepcopy
from dataclasses import replace
from pathlib import Path

import onnx
import pytest
import torch

from lvunet.errors import EmptyInput, ParityError
from lvunet.export.onnx import write_onnx
from lvunet.export.parity import HALF_DICE, Link, verify
from lvunet.fold import fold
from lvunet.image import Float32, UInt8
from lvunet.runtime import Segmenter
from lvunet.runtime.onnx_backend import OnnxSegmenter
from lvunet.runtime.torch_backend import TorchSegmenter
from models import card_of, picture, trained_model

IMAGES = [picture(90, 70), picture(352, 352), picture(64, 200)]


@pytest.fixture
def trained() -> TorchSegmenter:
    return TorchSegmenter(trained_model(1, 3), card_of(1, 3))


@pytest.fixture
def folded() -> TorchSegmenter:
    return TorchSegmenter(fold(trained_model(1, 3)), card_of(1, 3))


class Shifted(Segmenter):
    """Another segmenter whose probability is off in the first pixel of one image."""

    def __init__(self, segmenter: Segmenter, on: UInt8, by: float) -> None:
        self.card, self._segmenter, self._on, self._by = segmenter.card, segmenter, on, by

    def __call__(self, image: UInt8, /) -> Float32:
        probability = self._segmenter(image).copy()
        if image is self._on:
            probability[0, 0] += self._by if probability[0, 0] < 0.5 else -self._by
        return probability


def test_the_forms_of_one_network_agree(trained: TorchSegmenter, folded: TorchSegmenter, artefact: Path) -> None:
    report = verify(trained, folded, OnnxSegmenter(artefact), IMAGES)
    assert all(link.holds for link in report.links)
    assert report.images == 3


def test_a_difference_is_measured_and_its_image_is_named(trained: TorchSegmenter, folded: TorchSegmenter) -> None:
    with pytest.raises(ParityError, match=r"folded -> artefact: a probability differs by 0\.25, .* on image 2;"):
        verify(trained, folded, Shifted(folded, on=IMAGES[1], by=0.25), IMAGES)
    link = verify(trained, folded, Shifted(folded, on=IMAGES[1], by=5e-5), IMAGES).links[1]
    assert link.max_abs_difference == pytest.approx(5e-5, rel=1e-2)
    assert link.worst_image == 1


def test_masks_that_do_not_agree_as_needed_are_refused_whatever_force() -> None:
    link = Link("folded -> openvino", 1.0, 0.4, 0.9, 0, 0.1, mean_dice=0.9979, needed_dice=HALF_DICE)
    with pytest.raises(ParityError, match=r"mean Dice of 0\.9979, less than 0\.998\. .* nor does --force keep one;"):
        link.demand()
    replace(link, mean_dice=0.998).demand()


def test_a_network_that_was_not_deeply_trained_to_the_end_is_found(folded: TorchSegmenter, artefact: Path) -> None:
    model = deepcopy(trained_model(1, 3))
    model.set_slope(0.9948)  # fusing it anyway is what the original code does
    with pytest.raises(ParityError, match="trained -> folded"):
        verify(TorchSegmenter(model, folded.card), folded, OnnxSegmenter(artefact), IMAGES)


def test_one_weight_of_the_folded_network_is_found(trained: TorchSegmenter, artefact: Path) -> None:
    network = fold(trained_model(1, 3))
    with torch.no_grad():
        next(network.parameters())[0, 0, 0, 0] += 0.05
    with pytest.raises(ParityError, match="trained -> folded"):
        verify(trained, TorchSegmenter(network, trained.card), OnnxSegmenter(artefact), IMAGES)


def test_one_weight_of_the_artefact_is_found(
    trained: TorchSegmenter, folded: TorchSegmenter, artefact: Path, tmp_path: Path
) -> None:
    model = onnx.load(artefact)
    kernel = next(tensor for tensor in model.graph.initializer if list(tensor.dims) == [16, 3, 3, 3])
    values = onnx.numpy_helper.to_array(kernel).copy()
    values[0, 0, 0, 0] += 0.05
    kernel.CopyFrom(onnx.numpy_helper.from_array(values, kernel.name))
    write_onnx(model, tmp_path / "edited.onnx")
    with pytest.raises(ParityError, match="folded -> artefact"):
        verify(trained, folded, OnnxSegmenter(tmp_path / "edited.onnx"), IMAGES)


def test_an_artefact_of_more_classes_is_found(trained: TorchSegmenter, folded: TorchSegmenter) -> None:
    other = TorchSegmenter(trained_model(3, 3), card_of(3, 3))
    with pytest.raises(ParityError, match="differs by inf"):
        verify(trained, folded, other, IMAGES)


def test_masks_are_compared_by_dice(trained: TorchSegmenter, folded: TorchSegmenter) -> None:
    higher = TorchSegmenter(fold(trained_model(1, 3)), replace(card_of(1, 3), threshold=0.7))
    expected = []
    for image in IMAGES:
        one, other = folded(image) >= 0.5, folded(image) >= 0.7
        expected.append(2 * (one & other).sum() / (one.sum() + other.sum()))
    report = verify(trained, folded, higher, IMAGES)
    assert report.links[1].lowest_dice == pytest.approx(min(expected))


def test_two_empty_masks_agree(trained: TorchSegmenter) -> None:
    never = TorchSegmenter(trained_model(1, 3), replace(card_of(1, 3), threshold=1.0))
    assert verify(never, never, never, IMAGES).links[0].lowest_dice == 1


def test_there_is_no_proof_without_an_image(trained: TorchSegmenter) -> None:
    with pytest.raises(EmptyInput, match="at least one image"):
        verify(trained, trained, trained, [])


def test_a_link_that_is_not_a_number_does_not_hold() -> None:
    assert not Link("a -> b", 1e-4, float("nan"), 1.0, 0, float("nan"), 1.0).holds
