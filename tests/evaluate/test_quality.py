"""Whether a model knows when it is wrong: the curve, its bounds, and what is said about it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from cases import Given
from lvunet.card import Card
from lvunet.errors import ConfigError, EmptyInput, MismatchedPair
from lvunet.evaluate.evidence import Evaluation
from lvunet.evaluate.page import Charts, Page, render
from lvunet.evaluate.provenance import Machine, Provenance
from lvunet.evaluate.quality import Judged, Trust, judge, rank_correlation, risk_coverage
from lvunet.evaluate.report import pictured, when_not_to_trust
from lvunet.evaluate.scoring import score

ROUNDING = 1e-12
RANDOM = np.random.default_rng(0)
DICE = RANDOM.uniform(0.4, 1, 40)


class RedIsProbable:
    """A trivial model: the red of a pixel is its probability, and the Dice to expect is the soft one."""

    card = Card(name="red", quality=((1.0, 1.0),))

    def __call__(self, image: NDArray[np.uint8], /) -> NDArray[np.float32]:
        return np.asarray(image[..., 0] / 255, np.float32)


def case(key: str, red: list[list[int]], truth: list[list[int]], group: str = "") -> Given:
    image = np.zeros((2, 2, 3), np.uint8)
    image[..., 0] = red
    return Given(key, image, (np.array(truth, np.uint8),), group)


SURE = case("sure", [[255, 255], [0, 0]], [[1, 1], [0, 0]])
UNSURE = case("unsure", [[204, 0], [0, 0]], [[1, 1], [1, 0]])
UNSURE_EXPECTED = 2 * 0.8 / (0.64 + 1)


def trust(*rows: tuple[float, float, str]) -> Trust:
    images = (Judged(str(place), group, expected, dice) for place, (expected, dice, group) in enumerate(rows))
    return Trust("model", 1.0, tuple(images), 0.01)


class TestRiskCoverage:
    def test_it_is_the_mean_error_of_the_most_trusted(self) -> None:
        curve = risk_coverage(np.array([0.5, 1.0, 0.9]), np.array([0.1, 0.3, 0.2]))
        np.testing.assert_allclose(curve, [0, 0.1 / 2, 0.6 / 3], atol=ROUNDING)

    def test_no_trust_is_better_than_the_oracle_anywhere_and_none_worse_than_its_reverse(self) -> None:
        oracle, worst = risk_coverage(DICE, DICE), risk_coverage(DICE, -DICE)
        for _ in range(50):
            curve = risk_coverage(DICE, RANDOM.uniform(size=len(DICE)))
            assert (curve >= oracle - ROUNDING).all()
            assert (curve <= worst + ROUNDING).all()
            assert curve[-1] == pytest.approx(1 - DICE.mean())

    def test_equal_trust_in_all_is_the_line_of_leaving_out_at_random(self) -> None:
        np.testing.assert_allclose(risk_coverage(DICE, np.ones_like(DICE)), 1 - DICE.mean(), atol=ROUNDING)

    def test_the_order_of_the_images_does_not_matter(self) -> None:
        belief = RANDOM.integers(0, 5, len(DICE)).astype(float)  # many are equal
        order = RANDOM.permutation(len(DICE))
        np.testing.assert_allclose(risk_coverage(DICE, belief), risk_coverage(DICE[order], belief[order]))


class TestTrust:
    def test_the_oracle_is_as_good_as_can_be(self) -> None:
        known = trust(*((dice, dice, "") for dice in DICE))
        assert known.mean_absolute_error.mean == 0
        assert known.rank_correlation.mean == pytest.approx(1)
        assert known.aurc.mean == known.best_aurc < known.random_aurc

    def test_a_constant_is_as_good_as_chance(self) -> None:
        constant = trust(*((float(DICE.mean()), dice, "") for dice in DICE))
        assert constant.rank_correlation.mean == 0
        assert constant.aurc.mean == pytest.approx(constant.random_aurc)
        assert constant.mean_absolute_error.mean == pytest.approx(constant.constant_error)

    def test_intervals_hold_their_value_and_draw_whole_groups(self) -> None:
        belief = DICE + RANDOM.normal(0, 0.1, len(DICE))
        alone = trust(*zip(belief, DICE, [""] * 40, strict=True))
        grouped = trust(*zip(belief, DICE, [str(place // 10) for place in range(40)], strict=True))
        for each in (alone.mean_absolute_error, alone.rank_correlation, alone.aurc):
            assert each.low < each.mean < each.high
        assert (alone.aurc.clusters, grouped.aurc.clusters) == (40, 4)
        assert grouped.aurc.mean == alone.aurc.mean

    def test_from_one_group_there_is_no_interval(self) -> None:
        assert trust((0.5, 0.6, "a"), (0.7, 0.8, "a")).aurc.range_text() == "no interval"

    def test_the_mean_dice_of_the_most_trusted_share(self) -> None:
        four = trust((0.9, 1.0, ""), (0.8, 0.8, ""), (0.7, 0.6, ""), (0.1, 0.2, ""))
        assert [round(four.dice_of_kept(share), 6) for share in (0, 0.25, 0.5, 1)] == [1.0, 1.0, 0.9, 0.65]

    def test_the_record_is_json_with_the_number_of_each_image(self) -> None:
        record = json.loads(json.dumps(trust((0.9, 1.0, ""), (0.2, 0.1, "")).record()))
        assert (record["n"], record["aurc_random"]) == (2, pytest.approx(0.45))
        assert record["mean_absolute_error"]["value"] == pytest.approx(0.1)
        assert record["images"][1] == {"id": "1", "group": "", "expected_dice": 0.2, "dice": 0.1}


def test_rank_correlation_knows_order_alone() -> None:
    assert rank_correlation(DICE, DICE**3) == pytest.approx(1)
    assert rank_correlation(DICE, -DICE) == pytest.approx(-1)


class TestJudge:
    def test_it_holds_what_is_expected_against_what_is_true(self) -> None:
        found = judge(RedIsProbable(), [SURE, UNSURE])
        assert [image.id for image in found.images] == ["sure", "unsure"]
        np.testing.assert_allclose(found.expected, [1, UNSURE_EXPECTED], rtol=1e-6)  # float32
        np.testing.assert_allclose(found.dice, [1, 2 * 1 / (1 + 3)])

    def test_the_calibration_error_is_of_pixels_drawn_from_each_image(self) -> None:
        by_hand = 0.25 * 0.2 + 0.5 * 1.0  # one pixel of four at 0.8 and true; two true ones at 0
        assert judge(RedIsProbable(), [UNSURE]).ece == pytest.approx(by_hand, abs=0.03)  # 4,096 draws of four
        assert judge(RedIsProbable(), [SURE]).ece == 0

    def test_a_model_that_was_not_calibrated_is_refused(self) -> None:
        model = RedIsProbable()
        model.card = Card(name="red")
        with pytest.raises(ConfigError, match="red was not calibrated"):
            judge(model, [SURE])

    def test_masks_of_another_size_and_no_masks_are_refused(self) -> None:
        with pytest.raises(MismatchedPair, match="sure"):
            judge(RedIsProbable(), [replace(SURE, masks=(np.zeros((3, 3), np.uint8),))])
        with pytest.raises(EmptyInput, match="no image"):
            judge(RedIsProbable(), [])


class TestReport:
    def page(self, model: RedIsProbable) -> Page:
        broken = Given("broken", SURE.image, ())
        cases = [SURE, broken, UNSURE]
        where = Provenance("abc123", "2026-11-23", Machine("A processor", 2, "Linux x86_64", "3.11.7", {}))
        return pictured(Evaluation(score(model, cases), "squares", "test", where), model, cases)

    def test_a_calibrated_model_says_when_not_to_trust_it(self) -> None:
        page = self.page(RedIsProbable())
        (section,) = [block for block in page.blocks if block.title == "When not to trust it"]
        assert isinstance(section, Charts)
        assert "Risk-coverage curve over 2 images" in section.charts[0].svg
        assert "Expected and true Dice of 2 images" in section.charts[1].svg
        assert "When not to trust it" in render(page)

    def test_one_that_was_not_says_nothing_of_it(self) -> None:
        model = RedIsProbable()
        model.card = Card(name="red")
        assert "When not to trust it" not in [block.title for block in self.page(model).blocks]

    def test_the_numbers_are_in_the_note(self) -> None:
        note = when_not_to_trust(trust((0.9, 1.0, ""), (0.8, 0.8, ""), (0.7, 0.6, ""), (0.4, 0.4, ""))).note
        assert "off by 0.050" in note
        assert "rank correlation with the true Dice is 1.00" in note
        assert "oracle 0.150, at random 0.300" in note  # (0 + 0.1 + 0.2 + 0.3) / 4; the mean of 0, 0.2, 0.4, 0.6
