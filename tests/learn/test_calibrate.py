"""The calibration of a checkpoint: it changes the card, never the network, and every form then uses it."""

from pathlib import Path

import numpy as np
import pytest

from lvunet.data.augment import Batch
from lvunet.data.dataset import SegmentationData
from lvunet.data.phantom import write_phantoms
from lvunet.data.registry import find_samples
from lvunet.errors import EmptyInput
from lvunet.evaluate.calibration import Calibration
from lvunet.learn.calibrate import calibrate
from lvunet.model import load_checkpoint, save_checkpoint, state_sha256
from lvunet.runtime.torch_backend import load_trained
from models import card_of, picture, trained_model

IMAGES = 10
ROUNDING = 1e-6  # of the evidence in the card


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> SegmentationData:
    folder = tmp_path_factory.mktemp("phantoms")
    write_phantoms(folder, IMAGES, seed=0)
    return SegmentationData(find_samples(folder), card_of(1, 3), "none", seed=0)


@pytest.fixture(scope="module")
def best(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("run") / "best.safetensors"
    save_checkpoint(path, trained_model(1, 3), card_of(1, 3))
    return path


@pytest.fixture(scope="module")
def batches(data: SegmentationData) -> list[Batch]:
    return [(data.pixels[:6], data.masks[:6]), (data.pixels[6:], data.masks[6:])]


@pytest.fixture(scope="module")
def found(best: Path, batches: list[Batch]) -> Calibration:
    """What was fitted, and is now in the checkpoint."""
    return calibrate(best, batches)


def test_the_checkpoint_takes_what_was_fitted_and_keeps_its_tensors(found: Calibration, best: Path) -> None:
    model, card = load_checkpoint(best)
    assert state_sha256(model) == state_sha256(trained_model(1, 3))
    assert found.nll_after < found.nll_before
    assert (card.temperature, card.quality, card.empty_dice) == (found.temperature, found.quality, found.empty_dice)
    evidence = card.training["calibration"]
    assert evidence["images"] == IMAGES
    assert evidence["ece_after"] == pytest.approx(found.ece_after, abs=ROUNDING)


def test_calibrating_again_changes_nothing(found: Calibration, best: Path, batches: list[Batch]) -> None:
    assert calibrate(best, batches) == found


def test_the_logits_are_those_that_the_runtime_divides(found: Calibration, best: Path, data: SegmentationData) -> None:
    """The likelihood of all pixels, by way of the runtime, is what the drawn pixels said."""
    segmenter = load_trained(best)
    images = data.pixels.permute(0, 2, 3, 1).contiguous().numpy()
    probability = np.stack([segmenter(image) for image in images]).astype(np.float64)
    likely = np.where(data.masks[:, 0].numpy() == 1, probability, 1 - probability)
    assert -np.log(likely).mean() == pytest.approx(found.nll_after, rel=0.02)  # 4,096 of 65,536 pixels


def test_a_loaded_checkpoint_then_says_what_dice_to_expect(found: Calibration, best: Path) -> None:
    expected = load_trained(best).segment(picture(50, 40)).expected_dice
    assert expected is not None
    assert 0 <= expected <= max(dice for _, dice in found.quality)


def test_without_images_nothing_is_fitted(best: Path, data: SegmentationData) -> None:
    before = best.read_bytes()
    with pytest.raises(EmptyInput):
        calibrate(best, [(data.pixels[:0], data.masks[:0])])
    assert best.read_bytes() == before
