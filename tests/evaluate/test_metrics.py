"""Scores of one mask, against values worked out by hand and against MONAI."""

import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lvunet.errors import MismatchedPair
from lvunet.evaluate.metrics import (
    METRICS,
    Agreement,
    agreement,
    class_agreements,
    outline_distances,
    overlap_counts,
    paper_iou,
)
from lvunet.image import read_mask

MONAI_TOLERANCE = 1e-6  # relative: MONAI computes in float32
monai_warns = pytest.mark.filterwarnings(
    "ignore:.*always_return_as_numpy:FutureWarning", "ignore:the (prediction|ground truth) of class:UserWarning"
)


def mask(*rows: str) -> NDArray[np.bool_]:
    return np.array([[cell == "#" for cell in row] for row in rows])


EMPTY = mask("....", "....", "....")  # its diagonal is 5
SOMETHING = mask("....", ".#..", "....")
TWO_BY_TWO = mask("....", ".##.", ".##.", "....")
SHIFTED = mask("....", "..##", "..##", "....")


def test_a_mask_moved_by_one_pixel_has_the_scores_counted_by_hand() -> None:
    # half of 4 pixels shared; every pixel is outline: of each 4 distances two are 0 and two are 1
    assert agreement(SHIFTED, TWO_BY_TWO, tolerance_px=0.5) == Agreement(
        dice=0.5, iou=2 / 6, precision=0.5, recall=0.5, hd95_px=1.0, nsd=0.5
    )


def test_surface_dice_counts_a_distance_equal_to_the_tolerance() -> None:
    assert agreement(SHIFTED, TWO_BY_TWO, tolerance_px=1.0).nsd == 1.0


def test_precision_is_of_the_prediction_and_recall_of_the_truth() -> None:
    too_much = agreement(TWO_BY_TWO, mask("....", ".#..", "....", "...."))
    assert (too_much.precision, too_much.recall, too_much.dice, too_much.iou) == (0.25, 1.0, 0.4, 0.25)


def test_hd95_is_the_worse_direction_with_the_percentile_interpolated() -> None:
    truth, prediction = np.zeros((1, 40), dtype=bool), np.zeros((1, 40), dtype=bool)
    truth[0, :20], prediction[0, :21] = True, True
    # prediction to truth: twenty times 0 and once 1; the 95th percentile of 21 values is the 20th (index 19.0): 0
    assert agreement(prediction, truth).hd95_px == 0.0
    prediction[0, 21] = True
    # of 22 values index 0.95 * 21 = 19.95 lies between 0 (index 19) and 1 (index 20)
    assert agreement(prediction, truth).hd95_px == pytest.approx(0.95)


@pytest.mark.parametrize(
    ("truth", "prediction", "overlap", "hd95_px"),
    [
        pytest.param(EMPTY, EMPTY, 1.0, 0.0, id="rightly nothing"),
        pytest.param(EMPTY, SOMETHING, 0.0, 5.0, id="false alarm"),
        pytest.param(SOMETHING, EMPTY, 0.0, 5.0, id="miss"),
        pytest.param(SOMETHING, SOMETHING, 1.0, 0.0, id="found"),
    ],
)
def test_empty_masks_are_scored_by_the_policy(
    truth: NDArray[np.bool_], prediction: NDArray[np.bool_], overlap: float, hd95_px: float
) -> None:
    found = agreement(prediction, truth)
    assert found == Agreement(overlap, overlap, overlap, overlap, hd95_px, overlap)


def test_any_kind_of_mask_gives_the_same_scores() -> None:
    expected = agreement(SHIFTED, TWO_BY_TWO)
    for scale in (1, 255):
        assert agreement((SHIFTED * scale).astype(np.uint8), (TWO_BY_TWO * scale).astype(np.uint8)) == expected


def test_masks_of_two_sizes_are_refused() -> None:
    with pytest.raises(MismatchedPair, match=r"\(3, 4\).*\(4, 4\)"):
        agreement(EMPTY, TWO_BY_TWO)


def test_an_outline_leaves_out_the_inside_and_ends_at_the_image() -> None:
    square, centre = np.zeros((5, 5), dtype=bool), np.zeros((5, 5), dtype=bool)
    square[1:4, 1:4], centre[2, 2] = True, True
    to_centre, to_square = outline_distances(square, centre)
    assert sorted(to_centre) == pytest.approx([1, 1, 1, 1, *[math.sqrt(2)] * 4])
    assert to_square.tolist() == [1.0]
    full = np.ones((3, 3), dtype=bool)
    assert len(outline_distances(full, full)[0]) == 8


def test_classes_are_scored_one_by_one_without_the_background() -> None:
    truth = np.array([[0, 1, 1, 2]], dtype=np.uint8)
    prediction = np.array([[0, 1, 2, 2]], dtype=np.uint8)
    one, two, three = class_agreements(prediction, truth, classes=4)
    assert one.dice == pytest.approx(2 / 3)
    assert two.dice == pytest.approx(2 / 3)
    assert (one.precision, one.recall, two.precision, two.recall) == (1.0, 0.5, 0.5, 1.0)
    assert three == Agreement(1.0, 1.0, 1.0, 1.0, 0.0, 1.0)
    assert Agreement.mean((one, two, three)).dice == pytest.approx((2 / 3 + 2 / 3 + 1) / 3)


def test_the_papers_iou_pools_a_batch_and_weighs_it_by_its_size() -> None:
    # a first batch of 8 with IoU 8/16, a second of 1 with IoU 0
    score = paper_iou([(1, 2)] * 8 + [(0, 1)])
    assert score.iou == pytest.approx(8 / 9 * 0.5)
    assert score.dice == pytest.approx(8 / 9 * (2 / 3))


def test_the_papers_iou_lets_a_large_structure_hide_a_missed_small_one() -> None:
    assert paper_iou([(990, 1000), (0, 10)]).iou == pytest.approx(990 / 1010)


def test_the_papers_iou_of_a_batch_without_any_structure_is_one() -> None:
    assert paper_iou([(0, 0)]).iou == paper_iou([(0, 0)]).dice == 1.0


def test_overlap_counts_are_pixels() -> None:
    assert overlap_counts(SHIFTED, TWO_BY_TWO) == (2, 6)


def monai_surface(prediction: NDArray[np.bool_], truth: NDArray[np.bool_], tolerance_px: float) -> tuple[float, float]:
    import torch
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance
    from monai.metrics.surface_dice import compute_surface_dice

    predicted, true = (torch.from_numpy(mask[None, None]).float() for mask in (prediction, truth))  # (1, 1, H, W)
    hd95 = compute_hausdorff_distance(predicted, true, include_background=True, percentile=95)
    nsd = compute_surface_dice(predicted, true, class_thresholds=[tolerance_px], include_background=True)
    return hd95.item(), nsd.item()


@monai_warns
@pytest.mark.parametrize("tolerance_px", [0.0, 2.0, 5.0])
def test_surface_metrics_equal_monais_on_random_masks(tolerance_px: float) -> None:
    random = np.random.default_rng(7)
    for density in (0.002, 0.1, 0.5, 0.9, 0.999):
        prediction, truth = random.random((2, 37, 53)) < density
        ours = agreement(prediction, truth, tolerance_px)
        assert (ours.hd95_px, ours.nsd) == pytest.approx(
            monai_surface(prediction, truth, tolerance_px), rel=MONAI_TOLERANCE
        )


@monai_warns
def test_surface_metrics_equal_monais_on_real_masks(shared: Path) -> None:
    paths = sorted((shared / "datasets/kvasir-seg/masks").iterdir())[:6]
    truths = [read_mask(path) > 0 for path in paths]
    for truth, other in zip(truths, truths[1:] + truths[:1], strict=True):
        for prediction in (other, np.roll(truth, (5, -3), axis=(0, 1))):
            ours = agreement(prediction, truth)
            assert (ours.hd95_px, ours.nsd) == pytest.approx(monai_surface(prediction, truth, 2.0), rel=MONAI_TOLERANCE)


@monai_warns
def test_a_missed_structure_that_monai_does_not_count_costs_the_diagonal_here() -> None:
    assert not math.isfinite(monai_surface(EMPTY, SOMETHING, 2.0)[0])
    assert agreement(EMPTY, SOMETHING).hd95_px == 5.0


def test_no_score_is_ever_undefined() -> None:
    random = np.random.default_rng(3)
    for _ in range(50):
        prediction, truth = random.random((2, 4, 4)) < random.choice([0.0, 0.05, 0.5, 1.0], size=(2, 1, 1))
        scores = agreement(prediction, truth)
        assert all(math.isfinite(getattr(scores, metric)) for metric in METRICS)
