"""Scoring models and folders of masks, image by image."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter

import numpy as np
import pytest
from numpy.typing import NDArray

from cases import Given
from lvunet.card import Card
from lvunet.data.registry import find_samples
from lvunet.errors import ArtefactError, EmptyInput, MismatchedPair, MissingPrediction
from lvunet.evaluate.scoring import ImageScore, Scores, Unscored, outline, score, score_masks
from lvunet.image import write_image
from lvunet.runtime.segmenter import Segmentation

Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Model:
    """Any function of an image as a segmenter; by default the red channel is the probability."""

    probability: Callable[[Pixels], NDArray[np.float32]] = lambda image: (image[..., 0] / 255).astype(np.float32)
    card: Card = field(default_factory=lambda: Card(name="red"))

    def __call__(self, image: Pixels, /) -> NDArray[np.float32]:
        return self.probability(image)


def red(mask: Pixels) -> Pixels:
    """An image that is pure red where the mask is 1."""
    image = np.zeros((*mask.shape, 3), dtype=np.uint8)
    image[..., 0] = mask * 255
    return image


def square(top: int, left: int, side: int = 8) -> Pixels:
    mask = np.zeros((20, 30), dtype=np.uint8)
    mask[top : top + side, left : left + side] = 1
    return mask


NOTHING = np.zeros((20, 30), dtype=np.uint8)
EXACT = Given("exact", red(square(2, 3)), (square(2, 3),))
HALF = Given("half", red(square(2, 7)), (square(2, 3),), group="one")
MISSED = Given("missed", red(NOTHING), (square(2, 3),), group="one")
ALARM = Given("alarm", red(square(2, 3)), (NOTHING,))


def scored(*cases: Given, model: Model | None = None) -> Scores:
    return score(model or Model(), cases)


def test_each_image_has_its_own_row_in_the_order_given() -> None:
    table = scored(EXACT, HALF, MISSED, ALARM)
    assert [image.id for image in table.images] == ["exact", "half", "missed", "alarm"]
    assert table.values("dice").tolist() == [1.0, 0.5, 0.0, 0.0]
    assert table.values("iou").tolist() == pytest.approx([1, 1 / 3, 0, 0])
    assert table.values("hd95_px")[2:].tolist() == pytest.approx([1300**0.5] * 2)
    assert (table.model, table.class_names, table.unscored) == ("red", ("foreground",), ())


def test_misses_and_false_alarms_are_told_apart() -> None:
    table = scored(EXACT, HALF, MISSED, ALARM)
    assert [image.missed for image in table.images] == [False, False, True, False]
    assert [image.false_alarm for image in table.images] == [False, False, False, True]


def test_the_ranking_begins_with_the_worst() -> None:
    far = Given("far", red(square(12, 22)), (square(0, 0),))
    assert [image.id for image in scored(EXACT, HALF, far, MISSED).ranked()] == ["missed", "far", "half", "exact"]


def test_an_image_without_a_group_is_a_cluster_of_its_own() -> None:
    assert scored(EXACT, HALF, MISSED).clusters == ("exact", "one", "one")


def test_several_masks_of_one_image_are_merged() -> None:
    both = np.maximum(square(0, 0), square(10, 20))
    assert scored(Given("two", red(both), (square(0, 0), square(10, 20)))).values("dice").tolist() == [1.0]


def test_the_mask_that_is_scored_is_the_mask_that_a_user_gets() -> None:
    image = np.arange(600, dtype=np.uint8).reshape(20, 30)[..., None].repeat(3, axis=2)
    for card in (Card(threshold=0.5), Card(threshold=0.2), Card(threshold=51 / 255)):
        model = Model(card=card)
        mask = outline(model, Given("ramp", image, (NOTHING,))).prediction
        assert np.array_equal(mask, Segmentation(image, model(image), card).mask)


def test_several_classes_are_scored_each_and_on_average() -> None:
    truth = np.repeat(np.array([[0, 1, 1, 2]], dtype=np.uint8), 4, axis=0)
    found = np.repeat(np.array([[0, 1, 2, 2]], dtype=np.uint8), 4, axis=0)
    card = Card(name="layers", classes=4, class_names=("background", "wall", "lumen", "clot"))
    model = Model(lambda _: np.moveaxis(np.eye(4, dtype=np.float32)[found], 2, 0), card)
    table = scored(Given("layers", red(truth), (truth,)), model=model)
    assert table.class_names == ("wall", "lumen", "clot")
    assert [table.values("dice", name)[0] for name in table.class_names] == pytest.approx([2 / 3, 2 / 3, 1])
    assert table.values("dice")[0] == pytest.approx(7 / 9)
    assert table.paper is None


def test_the_papers_score_is_pooled_at_256_pixels() -> None:
    square_512 = np.zeros((512, 512), dtype=np.uint8)
    square_512[:256, :256] = 1
    wide = np.zeros((512, 512), dtype=np.uint8)
    wide[:256] = 1
    table = scored(Given("large", red(wide), (square_512,)))
    assert table.images[0].paper_overlap == (128 * 128, 128 * 256)
    assert table.paper is not None
    assert (table.paper.iou, table.paper.dice) == pytest.approx((0.5, 2 / 3))


def test_bad_cases_are_reported_and_the_rest_is_scored(tmp_path: Path) -> None:
    damaged = tmp_path / "damaged.png"
    damaged.write_bytes(b"not a picture")
    cases = (
        Given("damaged image", damaged, (NOTHING,)),
        Given("damaged mask", red(NOTHING), (damaged,)),
        Given("no mask", red(NOTHING), ()),
        Given("other size", red(NOTHING), (NOTHING[:10],)),
        Given("two sizes", red(NOTHING), (NOTHING, NOTHING[:10])),
        EXACT,
    )
    table = scored(*cases)
    assert [case.id for case in table.unscored] == [case.id for case in cases[:-1]]
    assert [image.id for image in table.images] == ["exact"]
    assert str(damaged) in table.unscored[0].reason


def test_progress_is_told_of_every_case_once() -> None:
    seen: list[ImageScore | Unscored] = []
    table = score(Model(), [EXACT, Given("no mask", red(NOTHING), ()), HALF], progress=seen.append)
    assert seen == [table.images[0], table.unscored[0], table.images[1]]


def test_nothing_to_score_is_an_error_that_says_why() -> None:
    with pytest.raises(EmptyInput):
        scored()
    with pytest.raises(EmptyInput, match="no mask"):
        scored(Given("no mask", red(NOTHING), ()))


def test_an_id_that_appears_twice_is_refused() -> None:
    with pytest.raises(MismatchedPair, match="exact"):
        scored(EXACT, EXACT)


@pytest.mark.parametrize("wrong", [np.zeros((20, 31), np.float32), np.full((20, 30), np.nan, np.float32)])
def test_a_model_that_gives_no_probability_map_is_an_error_of_the_model(wrong: NDArray[np.float32]) -> None:
    with pytest.raises(ArtefactError, match="red"):
        scored(EXACT, model=Model(lambda _: wrong))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    predictions, truths = tmp_path / "predictions", tmp_path / "truths"
    for key, predicted, true in (("a", square(2, 7), square(2, 3)), ("b", square(2, 3), square(2, 3))):
        write_image(predictions / f"{key}.png", predicted * np.uint8(255))
        write_image(truths / f"{key}.png", true * np.uint8(255))
    return predictions, truths


def test_a_folder_of_masks_is_scored_by_stem(folders: tuple[Path, Path]) -> None:
    table = score_masks(*folders)
    assert [image.id for image in table.images] == ["a", "b"]
    assert table.values("dice").tolist() == [0.5, 1.0]
    assert (table.model, table.unscored) == ("predictions", ())


def test_a_folder_of_masks_scores_as_the_model_that_drew_them(folders: tuple[Path, Path]) -> None:
    cases = (Given("a", red(square(2, 7)), (square(2, 3),)), Given("b", red(square(2, 3)), (square(2, 3),)))
    assert score_masks(*folders) == replace(scored(*cases), model="predictions")


def test_missing_predictions_are_an_error_that_names_them(folders: tuple[Path, Path]) -> None:
    for key in "cd":
        write_image(folders[1] / f"{key}.png", NOTHING)
    with pytest.raises(MissingPrediction, match="2 of 4 ids: c, d"):
        score_masks(*folders)


def test_a_damaged_prediction_is_not_left_out_of_the_mean(folders: tuple[Path, Path]) -> None:
    (folders[0] / "a.png").write_bytes(b"")
    with pytest.raises(MissingPrediction, match=r"a\.png"):
        score_masks(*folders)


def test_a_prediction_of_another_size_is_an_error(folders: tuple[Path, Path]) -> None:
    write_image(folders[0] / "a.png", NOTHING[:10])
    with pytest.raises(MismatchedPair, match=r"a\.png"):
        score_masks(*folders)


def test_a_damaged_truth_and_a_surplus_prediction_are_reported(folders: tuple[Path, Path]) -> None:
    (folders[1] / "a.png").write_bytes(b"")
    write_image(folders[0] / "z.png", NOTHING)
    table = score_masks(*folders)
    assert [case.id for case in table.unscored] == ["a", "z"]
    assert [image.id for image in table.images] == ["b"]


def test_two_masks_of_one_stem_are_refused(folders: tuple[Path, Path]) -> None:
    write_image(folders[0] / "again" / "a.png", NOTHING)
    with pytest.raises(MismatchedPair, match="two files: a"):
        score_masks(*folders)


def test_label_masks_are_scored_class_by_class(tmp_path: Path) -> None:
    write_image(tmp_path / "predictions" / "a.png", np.array([[0, 1, 2, 2]], dtype=np.uint8))
    write_image(tmp_path / "truths" / "a.png", np.array([[0, 1, 1, 2]], dtype=np.uint8))
    table = score_masks(tmp_path / "predictions", tmp_path / "truths", classes=3)
    assert table.class_names == ("class 1", "class 2")
    assert table.values("recall", "class 1").tolist() == [0.5]


@pytest.mark.slow
def test_two_hundred_images_are_scored_well_within_twenty_seconds(shared: Path) -> None:
    samples = find_samples(shared / "datasets/kvasir-seg")[:200]
    start = perf_counter()
    assert len(score(Model(), samples).images) == 200
    assert perf_counter() - start < 20
