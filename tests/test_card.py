"""The card: what it adds to a probability, and that cards written before a field existed still are read."""

import json
from typing import Any

import numpy as np
import pytest

from lvunet.card import VERSION, Card
from lvunet.errors import CheckpointError, ConfigError
from lvunet.runtime.onnx_backend import OnnxSegmenter
from lvunet.runtime.zoo import ZOO

ADDED = ("temperature", "quality", "empty_dice")  # after cards had been written without them
CALIBRATED = Card(temperature=2.0, quality=((0.5, 0.2), (0.9, 0.8)), empty_dice=0.25)
PROBABILITY = np.array([[0.9, 0.6], [0.2, 0.1]], np.float32)
MASK = np.array([[1, 1], [0, 0]], np.uint8)
SOFT_DICE = 2 * 1.5 / (0.81 + 0.36 + 0.04 + 0.01 + 2)  # of PROBABILITY and MASK


def test_a_card_comes_back_from_json() -> None:
    assert Card.from_json(CALIBRATED.to_json()) == CALIBRATED


def test_a_card_of_before_the_calibration_is_read_and_expects_nothing() -> None:
    stored = json.loads(CALIBRATED.to_json())
    old = Card.from_json(json.dumps({key: value for key, value in stored.items() if key not in ADDED}))
    assert (old.temperature, old.quality) == (1.0, ())
    assert old.expected_dice(PROBABILITY, MASK) is None


@pytest.mark.parametrize("path", sorted(ZOO.glob("*.onnx")), ids=lambda path: path.stem)
def test_the_bundled_models_are_read(path: Any) -> None:
    assert OnnxSegmenter(path, threads=1).card.temperature > 0


@pytest.mark.parametrize(
    "fields",
    [
        {"temperature": 0},
        {"temperature": -1.0},
        {"temperature": float("inf")},
        {"temperature": "warm"},
        {"quality": [[0.5, 0.5], [0.4, 0.6]]},
        {"quality": [[0.5, 0.5], [0.6, 0.4]]},
        {"quality": [[0.5, 1.5]]},
        {"quality": [0.5]},
        {"quality": [[0.5, 0.5, 0.5]]},
        {"empty_dice": -0.1},
    ],
    ids=str,
)
def test_what_no_calibration_gives_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(CheckpointError, match="card is not readable"):
        Card.from_json(json.dumps(fields))


@pytest.mark.parametrize("version", ["0.2.0", "1.0", "99.0.0rc1"])
def test_a_card_of_a_newer_version_asks_for_an_upgrade(version: str) -> None:
    text = Card().to_json().replace(f'"{VERSION}"', f'"{version}"')
    with pytest.raises(CheckpointError, match=rf"of lvunet {version}, newer than this {VERSION}: upgrade it"):
        Card.from_json(text)


def test_a_card_of_another_patch_is_read() -> None:
    assert Card.from_json(Card(version="0.1.7").to_json()).version == "0.1.7"


def test_a_temperature_of_zero_says_what_is_meant() -> None:
    with pytest.raises(ConfigError, match="the temperature is positive"):
        Card(temperature=0)


def test_the_soft_dice_of_a_mask_is_the_formula_by_hand() -> None:
    assert Card().soft_dice(PROBABILITY, MASK) == pytest.approx(SOFT_DICE)


def test_a_probability_that_is_sure_agrees_with_its_mask_and_no_soft_dice_exceeds_one() -> None:
    assert Card().soft_dice(MASK.astype(np.float32), MASK) == 1
    random = np.random.default_rng(0)
    for threshold in (0.1, 0.5, 0.9):
        probability = random.uniform(size=(8, 9)).astype(np.float32)
        card = Card(threshold=threshold)
        assert 0 < (card.soft_dice(probability, card.mask(probability)) or 0) <= 1


def test_of_several_classes_it_is_the_mean_over_those_in_the_mask() -> None:
    planes = np.array([[[0.1, 0.3, 0.8]], [[0.7, 0.1, 0.1]], [[0.1, 0.5, 0.05]], [[0.1, 0.1, 0.05]]], np.float32)
    card = Card(classes=4)
    mask = card.mask(planes)
    assert mask.tolist() == [[1, 2, 0]]  # the third class is not there
    first, second = 2 * 0.7 / (0.49 + 0.01 + 0.01 + 1), 2 * 0.5 / (0.01 + 0.25 + 0.0025 + 1)
    assert card.soft_dice(planes, mask) == pytest.approx((first + second) / 2)


@pytest.mark.parametrize(
    ("soft_dice", "expected"), [(0.25, 0.1), (0.5, 0.2), (0.7, 0.5), (0.9, 0.8), (0.95, 0.8)], ids=str
)
def test_the_expected_dice_is_read_between_the_knots(soft_dice: float, expected: float) -> None:
    mask = np.ones((1, 1), np.uint8)
    sure = np.array([[(1 - np.sqrt(1 - soft_dice**2)) / soft_dice]])  # solves 2 p / (p^2 + 1) = soft_dice
    assert CALIBRATED.soft_dice(sure, mask) == pytest.approx(soft_dice)
    assert CALIBRATED.expected_dice(sure, mask) == pytest.approx(expected)


def test_an_empty_mask_has_a_dice_of_its_own() -> None:
    nothing = np.full((2, 2), 0.1, np.float32)
    assert CALIBRATED.soft_dice(nothing, np.zeros((2, 2), np.uint8)) is None
    assert CALIBRATED.expected_dice(nothing, np.zeros((2, 2), np.uint8)) == 0.25
