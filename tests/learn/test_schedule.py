"""The schedules, against values computed by hand."""

import math

import pytest

from lvunet.learn.schedule import decay, learning_rate, progress, slope


@pytest.mark.parametrize(("p", "expected"), [(0.0, 0.0), (0.45, 1 - math.sqrt(0.5)), (0.3, 1 - math.sqrt(3) / 2)])
def test_the_slope_of_the_paper_is_one_minus_a_cosine_stretched_to_the_end(p: float, expected: float) -> None:
    assert slope(p, "paper", end=0.9) == pytest.approx(expected, abs=1e-15)


def test_the_slope_is_exactly_one_for_the_last_tenth_of_300_epochs() -> None:
    """The authors' schedule ends at 0.9948; ours is exact from epoch 270 on (0.9 x 299 = 269.1)."""
    exact = [epoch for epoch in range(300) if slope(progress(epoch, 300)) == 1]
    assert exact == list(range(270, 300))


@pytest.mark.parametrize("kind", ["paper", "linear"])
@pytest.mark.parametrize("epochs", [1, 2, 5, 36, 300])
def test_deep_training_of_any_length_rises_and_ends_at_one(kind: str, epochs: int) -> None:
    slopes = [slope(progress(epoch, epochs), kind, end=1.0) for epoch in range(epochs)]  # type: ignore[arg-type]
    assert slopes == sorted(slopes)
    assert slopes[-1] == 1


def test_the_linear_slope_is_the_share_of_the_rise() -> None:
    assert slope(0.2, "linear", end=0.8) == 0.25


def test_plain_training_stays_at_slope_zero() -> None:
    assert {slope(p / 10, "none") for p in range(11)} == {0.0}


def test_the_learning_rate_warms_up_peaks_and_falls_to_its_floor() -> None:
    assert learning_rate(0.05, 1.0, 0.1, warmup=0.1) == pytest.approx(0.5)
    assert learning_rate(0.1, 1.0, 0.1, warmup=0.1) == 1.0
    assert learning_rate(0.55, 1.0, 0.1, warmup=0.1) == pytest.approx(0.55)  # half-way down: the mean of 1 and 0.1
    assert learning_rate(1.0, 1.0, 0.1, warmup=0.1) == pytest.approx(0.1)


def test_a_moving_average_forgets_its_beginning_fast_and_its_end_slowly() -> None:
    assert [decay(step, 0.99) for step in (0, 8, 890, 10_000)] == [0.1, 0.5, 0.99, 0.99]
    assert math.prod(decay(step, 0.99) for step in range(1, 30)) < 1e-5  # what a run of 30 steps keeps of the first
