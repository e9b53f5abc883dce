"""Temperature, calibration error and the quality map: each against numbers by hand, or a truth that it must find."""

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import expit, softmax

from lvunet.card import Card
from lvunet.errors import EmptyInput
from lvunet.evaluate.calibration import (
    expected_calibration_error,
    fit,
    fit_knots,
    fit_temperature,
    mean_dice,
)
from lvunet.evaluate.metrics import class_agreements

N = 200_000
BY_CHANCE = 0.01  # 15 bins of 13,000 pixels: the share of true ones deviates by 0.004
TEMPERATURE = 2.5
OF_TEMPERATURE = 0.03  # of 200,000 labels
Values = NDArray[np.float64]


def drawn(probability: Values) -> NDArray[np.uint8]:
    """Labels that are 1 with this probability."""
    return (np.random.default_rng(1).uniform(size=probability.shape) < probability).astype(np.uint8)


class TestExpectedCalibrationError:
    def test_a_calibrated_probability_has_next_to_none(self) -> None:
        probability = np.random.default_rng(0).uniform(size=N)
        assert expected_calibration_error(probability[None], drawn(probability)) < BY_CHANCE

    def test_an_overconfident_one_has_the_number_by_hand(self) -> None:
        probability = np.array([[0.9] * 10 + [0.05] * 10])
        labels = np.array([1] * 5 + [0] * 15)
        assert expected_calibration_error(probability, labels) == pytest.approx(0.5 * (0.9 - 0.5) + 0.5 * 0.05)

    def test_what_is_sure_and_right_has_none(self) -> None:
        assert expected_calibration_error(np.array([[0.0, 1.0]]), np.array([0, 1])) == 0

    def test_of_several_classes_it_is_the_mean(self) -> None:
        probability = np.array([[0.9, 0.9], [0.1, 0.1]])
        labels = np.array([1, 1])
        assert expected_calibration_error(probability, labels) == pytest.approx((0.1 + 0.1) / 2)
        assert expected_calibration_error(probability, np.array([2, 2])) == pytest.approx((0.9 + 0.9) / 2)


class TestTemperature:
    def test_that_of_one_class_is_found_again(self) -> None:
        logits = np.random.default_rng(0).normal(scale=6, size=(1, N))
        labels = drawn(expit(logits[0] / TEMPERATURE))
        assert fit_temperature(logits, labels) == pytest.approx(TEMPERATURE, rel=OF_TEMPERATURE)

    def test_that_of_several_classes_is_found_again(self) -> None:
        logits = np.random.default_rng(0).normal(scale=6, size=(3, N))
        cumulative = np.cumsum(softmax(logits / TEMPERATURE, axis=0), axis=0)
        labels = (np.random.default_rng(1).uniform(size=N) > cumulative).sum(axis=0)
        assert fit_temperature(logits, labels) == pytest.approx(TEMPERATURE, rel=OF_TEMPERATURE)


class TestKnots:
    def test_groups_in_order_keep_their_means(self) -> None:
        soft, dice = np.repeat([0.9, 0.5], 8), np.repeat([0.8, 0.6], 8)
        assert fit_knots(soft, dice) == ((0.5, 0.6), (0.9, 0.8))

    def test_groups_out_of_order_become_one_knot_at_their_centre(self) -> None:
        soft, dice = np.repeat([0.5, 0.9, 0.95], 8), np.repeat([0.8, 0.6, 0.9], 8)
        assert fit_knots(soft, dice) == ((0.7, 0.7), (0.95, 0.9))

    def test_they_rise_and_are_few_whatever_the_data(self) -> None:
        random = np.random.default_rng(0)
        for n in (1, 7, 20, 500):
            knots = np.array(fit_knots(random.uniform(size=n), random.uniform(size=n)))
            assert 1 <= len(knots) <= 9
            assert (np.diff(knots, axis=0) > 0).all()

    def test_of_nothing_there_is_none(self) -> None:
        assert fit_knots(np.array([]), np.array([])) == ()


@pytest.mark.parametrize("classes", [1, 3])
def test_the_mean_dice_is_that_of_the_evaluation(classes: int) -> None:
    random = np.random.default_rng(0)
    empty = np.zeros((6, 7), np.uint8)
    full = random.integers(0, max(classes, 2), (6, 7), dtype=np.uint8)
    for prediction, truth in ((full, full[::-1]), (full, empty), (empty, full), (empty, empty)):
        expected = np.mean([each.dice for each in class_agreements(prediction, truth, classes)])
        assert mean_dice(prediction, truth, classes) == pytest.approx(expected)


@pytest.fixture(scope="module")
def logits() -> NDArray[np.float32]:
    """Of 24 images with a blob in the middle, (24, 1, 40, 40), the later the less sure, and all of them too sure."""
    away = np.hypot(*np.mgrid[-20:20, -20:20]) - 10  # from the edge of the blob
    unsure = np.linspace(0.3, 3, 24)[:, None, None, None]
    return (-2 * TEMPERATURE * away / unsure).astype(np.float32)


@pytest.fixture(scope="module")
def truths(logits: NDArray[np.float32]) -> NDArray[np.uint8]:
    return drawn(expit(logits[:, 0] / TEMPERATURE).astype(np.float64))


class TestFit:
    def test_it_finds_the_temperature_and_the_pixels_become_calibrated(
        self, logits: NDArray[np.float32], truths: NDArray[np.uint8]
    ) -> None:
        found = fit(Card(), logits, truths)
        assert found.temperature == pytest.approx(TEMPERATURE, rel=0.1)
        assert found.nll_after < found.nll_before
        assert found.ece_after < BY_CHANCE < found.ece_before
        assert found.images == 24

    def test_the_less_sure_the_lower_the_expected_dice_and_it_is_right_on_average(
        self, logits: NDArray[np.float32], truths: NDArray[np.uint8]
    ) -> None:
        found = fit(Card(), logits, truths)
        card = Card(temperature=found.temperature, quality=found.quality)
        probabilities = expit(logits[:, 0] / found.temperature)
        expected = [card.expected_dice(each, card.mask(each)) or 0 for each in probabilities]
        true = [mean_dice(card.mask(each), truth, 1) for each, truth in zip(probabilities, truths, strict=True)]
        assert np.mean(expected) == pytest.approx(np.mean(true), abs=0.01)  # the ends of the map are constant
        assert expected == sorted(expected, reverse=True)

    def test_what_was_fitted_before_does_not_matter(
        self, logits: NDArray[np.float32], truths: NDArray[np.uint8]
    ) -> None:
        before = Card(temperature=7.0, quality=((0.1, 0.2),), empty_dice=0.9)
        assert fit(before, logits, truths) == fit(Card(), logits, truths)

    def test_two_logits_whose_difference_is_that_of_one_class_give_the_same(
        self, logits: NDArray[np.float32], truths: NDArray[np.uint8]
    ) -> None:
        one, two = fit(Card(), logits, truths), fit(Card(classes=2), np.concatenate([0 * logits, logits], 1), truths)
        assert (two.temperature, two.ece_after) == (one.temperature, one.ece_after)

    def test_an_empty_mask_is_worth_what_empty_masks_were_and_one_more_miss(self) -> None:
        logits = np.full((4, 1, 8, 8), -5, np.float32)
        truths = np.zeros((4, 8, 8), np.uint8)
        logits[0, :, 2:5], truths[0, 2:5] = 5, 1  # found; two are rightly empty; the last is missed
        truths[3, 2:5] = 1
        found = fit(Card(), logits, truths)
        assert found.empty_dice == pytest.approx((1 + 1 + 0) / (3 + 1))
        assert [dice for _, dice in found.quality] == [1.0]

    def test_without_images_it_says_so(self) -> None:
        with pytest.raises(EmptyInput, match="needs validation images"):
            fit(Card(), np.zeros((0, 1, 8, 8), np.float32), np.zeros((0, 8, 8), np.uint8))
