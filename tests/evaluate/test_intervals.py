"""Intervals, against bootstraps written anew in NumPy and against cases that can be thought through."""

from dataclasses import replace

import numpy as np
import pytest

from lvunet.errors import EmptyInput, MismatchedPair
from lvunet.evaluate.intervals import Interval, mean_interval, paired_difference, score_interval
from lvunet.evaluate.metrics import Agreement
from lvunet.evaluate.scoring import ImageScore, Scores

MONTE_CARLO = 0.001  # of an end from 10,000 resamples; its standard error here is about 0.0002


def scores_of(dice: dict[str, float], groups: dict[str, str] | None = None) -> Scores:
    images = []
    for key, value in dice.items():
        agreement = Agreement(value, value / (2 - value), value, value, 10 * (1 - value), value)
        images.append(ImageScore(key, (groups or {}).get(key, ""), agreement, (agreement,), 9, 9, (1, 1)))
    return Scores("model", ("foreground",), 2.0, tuple(images))


def test_the_interval_is_that_of_a_bootstrap_written_anew() -> None:
    random = np.random.default_rng(11)
    values = random.beta(8, 1, size=200)
    means = values[random.integers(0, 200, size=(20_000, 200))].mean(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    found = mean_interval(values)
    assert found.mean == pytest.approx(values.mean(), abs=1e-12)
    assert (found.low, found.high) == pytest.approx((low, high), abs=MONTE_CARLO)
    assert (found.n, found.clusters) == (200, 200)


def test_groups_are_drawn_whole() -> None:
    random = np.random.default_rng(12)
    sizes = random.integers(1, 12, size=30)
    values = [np.clip(random.normal(0.8, 0.1) + random.normal(0, 0.01, size), 0, 1) for size in sizes]
    means = [np.concatenate([values[place] for place in random.integers(0, 30, size=30)]).mean() for _ in range(20_000)]
    low, high = np.percentile(means, [2.5, 97.5])
    clusters = [f"group {place}" for place, size in enumerate(sizes) for _ in range(size)]
    found = mean_interval(np.concatenate(values), clusters)
    assert (found.low, found.high) == pytest.approx((low, high), abs=3 * MONTE_CARLO)
    assert (found.n, found.clusters) == (sizes.sum(), 30)
    alone = mean_interval(np.concatenate(values))
    assert found.high - found.low > 1.5 * (alone.high - alone.low)


def test_groups_of_one_are_the_images() -> None:
    values = [0.2, 0.9, 0.4, 0.8]
    assert mean_interval(values, ["a", "b", "c", "d"]) == mean_interval(values)


def test_equal_scores_have_an_interval_of_no_width() -> None:
    assert mean_interval([0.75] * 5) == Interval(0.75, 0.75, 0.75, n=5, clusters=5)


@pytest.mark.parametrize(("values", "clusters"), [([0.5], None), ([0.25, 0.75], ["same", "same"])])
def test_one_unit_has_no_interval_and_says_so(values: list[float], clusters: list[str] | None) -> None:
    found = mean_interval(values, clusters)
    assert found == Interval(0.5, 0.5, 0.5, n=len(values), clusters=1)
    assert found.range_text() == "no interval"
    assert not found.differs


def test_no_score_has_no_mean() -> None:
    with pytest.raises(EmptyInput):
        mean_interval([])


def test_the_seed_makes_the_interval() -> None:
    values = np.linspace(0, 1, 20) ** 2
    assert mean_interval(values, seed=4) == mean_interval(values, seed=4) != mean_interval(values, seed=5)


def test_an_interval_reads_as_a_range() -> None:
    assert Interval(0.86, 0.8412, 0.8808, 200, 200).range_text() == "0.841 to 0.881"
    assert Interval(12, 10.04, 14.06, 200, 200).range_text(1) == "10.0 to 14.1"


def test_a_known_shift_is_found_whatever_the_order() -> None:
    random = np.random.default_rng(5)
    before = {f"image {place:02}": float(value) for place, value in enumerate(random.uniform(0.1, 0.9, size=40))}
    after = {key: before[key] + 0.05 for key in reversed(before)}
    found = paired_difference(scores_of(after), scores_of(before), "dice")
    # each difference is 0.05, so the interval has no width, although the scores of the images are far apart
    assert (found.mean, found.low, found.high) == pytest.approx((0.05, 0.05, 0.05), abs=1e-12)
    assert found.differs


@pytest.mark.parametrize(("units", "enough"), [(9, False), (10, True)])
def test_fewer_than_ten_units_tell_nothing_from_0(units: int, enough: bool) -> None:
    for found in (mean_interval([0.1] * units), mean_interval([0.1] * 20, [str(place % units) for place in range(20)])):
        assert found.differs is enough
        assert found.verdict == ("yes" if enough else "too few")


def test_a_difference_is_told_from_0_only_where_other_draws_would_tell_it_too() -> None:
    values = np.random.default_rng(3).normal(size=100)
    at_0 = values - np.mean([mean_interval(values, seed=seed).low for seed in range(20)])
    verdicts = [mean_interval(at_0, seed=seed).verdict for seed in range(40)]
    assert {"no", "borderline"} <= {*verdicts}
    assert verdicts.count("yes") <= 2
    assert Interval(0.0458, 0.0008, 0.0965, 155, 147).verdict == "borderline"
    assert Interval(-0.0059, -0.0109, -0.0012, 915, 305).verdict == "yes"


def test_a_paired_difference_draws_whole_groups() -> None:
    before = {f"sequence {place // 4:02} frame {place % 4}": 0.5 for place in range(40)}
    after = {key: 0.5 + 0.1 * (place < 20) for place, key in enumerate(before)}
    frames = {key: key[:-1] for key in before}  # its sequence
    grouped = paired_difference(scores_of(after, frames), scores_of(before, frames), "dice")
    single = paired_difference(scores_of(after), scores_of(before), "dice")
    assert (grouped.clusters, single.clusters) == (10, 40)
    assert grouped.high - grouped.low > 1.5 * (single.high - single.low)


def test_noise_is_no_difference() -> None:
    before = {f"image {place}": 0.5 for place in range(40)}
    after = {key: 0.5 + 0.1 * (-1) ** place for place, key in enumerate(before)}
    found = paired_difference(scores_of(after), scores_of(before), "dice")
    assert found.mean == pytest.approx(0, abs=1e-12)
    assert not found.differs


def test_other_images_cannot_be_compared() -> None:
    with pytest.raises(MismatchedPair, match="only: b, c"):
        paired_difference(scores_of({"a": 0.5, "b": 0.5}), scores_of({"a": 0.5, "c": 0.5}), "dice")


def test_scores_are_drawn_by_group_where_there_are_groups() -> None:
    dice = {"a": 0.2, "b": 0.4, "c": 0.9}
    grouped = score_interval(scores_of(dice, {"a": "one patient", "b": "one patient"}), "dice")
    assert (grouped.n, grouped.clusters) == (3, 2)
    assert grouped.mean == pytest.approx(0.5)
    # two units: the mean of any draw is 0.3 (a, b twice), 0.5 or 0.9 (c twice)
    assert (grouped.low, grouped.high) == pytest.approx((0.3, 0.9))


def test_a_class_has_its_own_interval() -> None:
    table = scores_of({"a": 0.2, "b": 0.4})
    images = tuple(
        replace(image, classes=(image.mean, Agreement(1.0, 1.0, 1.0, 1.0, 0.0, 1.0))) for image in table.images
    )
    table = replace(table, images=images, class_names=("wall", "lumen"))
    assert score_interval(table, "dice", "wall").mean == pytest.approx(0.3)
    assert score_interval(table, "dice", "lumen").mean == 1.0
