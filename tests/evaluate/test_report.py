"""What a report says about an evaluation, a training, a parity proof and the forms of a network."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from cases import Given
from lvunet.card import INTENDED_USE, Card
from lvunet.data.registry import find_samples
from lvunet.errors import InputError, MismatchedPair
from lvunet.evaluate.evidence import Evaluation, publish
from lvunet.evaluate.metrics import METRICS, POLICY, Agreement
from lvunet.evaluate.page import Page, Prose, render
from lvunet.evaluate.pictures import PREDICTION, TRUTH, draw_outlines, galleries
from lvunet.evaluate.provenance import Machine, Provenance
from lvunet.evaluate.report import (
    Form,
    by_class,
    by_kind,
    comparison,
    evaluation_page,
    forms,
    headline,
    left_out,
    parity,
    summary,
    training,
)
from lvunet.evaluate.scoring import ImageScore, Outlined, Scores, Unscored, score
from lvunet.export.parity import Link

HERE = Provenance("abc123", "2026-11-23", Machine("A processor", 2, "Linux x86_64", "3.11.7", {"numpy": "2.4"}))


def row(key: str, dice: float, *, truth_px: int = 9, prediction_px: int = 9, group: str = "") -> ImageScore:
    agreement = Agreement(dice, dice / (2 - dice), dice, dice, 10 * (1 - dice), dice)
    return ImageScore(key, group, agreement, (agreement,), truth_px, prediction_px, (1, 2))


def evaluated(*images: ImageScore, unscored: tuple[Unscored, ...] = ()) -> Evaluation:
    return Evaluation(Scores("model", ("foreground",), 2.0, images, unscored), "phantoms", "test", HERE)


THREE = evaluated(
    row("a", 1.0), row("b", 0.5), row("c", 0.0, prediction_px=0), unscored=(Unscored("d", "d.png is damaged"),)
)


def test_images_with_and_without_a_structure_are_also_scored_apart() -> None:
    found = [row("b", 1.0, truth_px=0, prediction_px=0), *(row(key, 0.0, truth_px=0) for key in "def")]
    mixed = evaluated(row("a", 0.8), row("c", 0.6), *found)
    assert {kind: dice.n for kind, dice in mixed.kinds.items()} == {"lesions": 2, "normals": 4}
    assert [dice.mean for dice in mixed.kinds.values()] == pytest.approx([0.7, 0.25])
    assert mixed.record()["normals"]["mean"] == pytest.approx(0.25)
    (table,) = by_kind(mixed)
    assert [cells[:3] for cells in table.rows] == [
        ("something to outline", "2", "0.700"),
        ("nothing to outline: the share without a false alarm", "4", "0.250"),
    ]
    assert by_kind(THREE) == by_kind(evaluated(*found)) == ()
    assert "lesions" not in THREE.record()


class RedIsFound:
    """A trivial model: what is redder than most of the image."""

    card = Card(name="red")

    def __call__(self, image: NDArray[np.uint8], /) -> NDArray[np.float32]:
        red = image[..., 0].astype(np.float32) - image[..., 2]
        return (red > red.mean() + red.std()).astype(np.float32)


@pytest.fixture(scope="module")
def real(shared: Path) -> Page:
    samples = find_samples(shared / "datasets/kvasir-seg")[:3]
    scores = score(RedIsFound(), samples)
    evaluation = Evaluation(scores, "kvasir-seg", "the first three", HERE)
    return evaluation_page(evaluation, galleries(RedIsFound(), samples, scores))


def test_three_real_images_make_a_whole_report(real: Page) -> None:
    html = render(real)
    assert html.count("data:image/jpeg;base64,") == 6  # three worst and three median cases
    for expected in (*METRICS[:2], "HD95", "95 % interval", POLICY, INTENDED_USE, "abc123", "A processor"):
        assert expected.lower() in html.lower().replace("&#39;", "'")
    assert len(html) < 1_000_000


def test_the_headline_counts_misses_and_false_alarms() -> None:
    facts = headline(evaluated(row("a", 1.0), row("b", 0.0, prediction_px=0), row("c", 0.0, truth_px=0))).facts
    shown = {fact.label: (fact.value, fact.note) for fact in facts}
    assert shown["Missed"] == ("1", "of 2 images with a structure")
    assert shown["False alarms"] == ("1", "of 1 images without one")
    assert shown["Dice"][0] == "0.333"


def test_the_summary_has_mean_interval_median_and_worst_of_every_metric() -> None:
    table = summary(THREE)
    assert [line[0] for line in table.rows] == ["Dice", "IoU", "Precision", "Recall", "HD95, px", "Surface Dice"]
    interval = THREE.intervals["dice"].range_text()
    assert table.rows[0] == ("Dice", "0.500", interval, "0.500", "0.000")
    assert table.rows[4][4] == "10.0"  # the worst distance is the largest
    assert "2 px" in table.note
    assert "IoU 0.500, Dice 0.667" in table.note  # 3 of 6 pooled pixels


def test_the_record_is_json_with_all_that_a_published_number_needs(tmp_path: Path) -> None:
    THREE.write_json(tmp_path / "result.json")
    record = json.loads((tmp_path / "result.json").read_text())
    assert (record["model"], record["dataset"], record["split"], record["n"]) == ("model", "phantoms", "test", 3)
    dice = record["metrics"]["dice"]
    assert (dice["mean"], dice["median"], dice["n"]) == (0.5, 0.5, 3)
    assert dice["low"] < 0.5 < dice["high"]
    assert (record["commit"], record["date"], record["machine"]["cpu"]) == ("abc123", "2026-11-23", "A processor")
    assert (record["missed"], record["false_alarms"]) == (1, 0)
    assert record["unscored"] == [{"id": "d", "reason": "d.png is damaged"}]
    assert record["paper_metric"] == {"iou": 0.5, "dice": pytest.approx(2 / 3)}
    assert [image["id"] for image in record["images"]] == ["a", "b", "c"]
    assert record["policy"] == POLICY


def test_an_evaluation_is_published_as_json_markdown_and_html(tmp_path: Path) -> None:
    page = evaluation_page(THREE)
    assert publish(tmp_path / "out", THREE, [summary(THREE)], page) == tmp_path / "out/report.html"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["report.html", "scores.json", "scores.md"]
    lines = (tmp_path / "out/scores.md").read_text(encoding="utf-8").splitlines()
    assert lines[:3] == ["# model on phantoms", "", "3 images, split test; each is scored by itself, at its own size."]
    assert f"| Dice | 0.500 | {THREE.intervals['dice'].range_text()} | 0.500 | 0.000 |" in lines
    assert lines[-1] == "Commit abc123. 2026-11-23. A processor, 2 cores, Linux x86_64, Python 3.11.7. numpy 2.4."


def test_the_method_says_whether_groups_were_drawn() -> None:
    assert "over images" in THREE.method
    assert "over 2 groups" in evaluated(row("a", 1, group="x"), row("b", 1, group="x"), row("c", 0.5)).method


def test_several_classes_have_a_table_of_their_own() -> None:
    assert by_class(THREE.scores) == ()
    found, lost = Agreement(1.0, 1.0, 1.0, 1.0, 0.0, 1.0), Agreement(0.0, 0.0, 0.0, 0.0, 5.0, 0.0)
    images = tuple(replace(image, classes=(found, lost)) for image in THREE.scores.images)
    (table,) = by_class(replace(THREE.scores, images=images, class_names=("wall", "lumen")))
    assert [line[:3] for line in table.rows] == [
        ("wall", "1.000", "1.000 to 1.000"),
        ("lumen", "0.000", "0.000 to 0.000"),
    ]


def test_what_could_not_be_scored_is_shown() -> None:
    assert left_out(THREE.scores) == (Prose("Not scored", ("d: d.png is damaged",), "These cases are in no mean."),)
    assert left_out(evaluated(row("a", 1)).scores) == ()


def test_a_comparison_shows_both_means_and_the_paired_difference() -> None:
    keys = [f"image {place}" for place in range(12)]
    before = evaluated(*(row(key, 0.05 * place) for place, key in enumerate(keys))).scores
    after = replace(evaluated(*(row(key, 0.05 * place + 0.1) for place, key in enumerate(keys))).scores, model="new")
    table = comparison(after, before)
    assert table.head[1:3] == ("new", "model")
    assert table.rows[0] == ("Dice", "0.375", "0.275", "+0.100", "0.100 to 0.100", "yes")
    assert {line[5] for line in comparison(before, before).rows} == {"no"}
    with pytest.raises(MismatchedPair):
        comparison(after, THREE.scores)


def test_a_training_log_with_a_row_for_each_phase_is_drawn(tmp_path: Path) -> None:
    log = tmp_path / "metrics.csv"
    log.write_text(
        "epoch,train_loss,val_dice,slope,learning_rate\n0,1.0,,0.5,0.001\n0,,0.4,,\n1,0.8,,1.0,0.001\n1,,0.6,,\n2,0.7,,1,0\n"
    )
    block = training(log)
    assert [chart.caption for chart in block.charts] == [
        *("Training loss", "Validation Dice", "Slope of the leaky ReLU", "Learning rate")
    ]
    assert "over 3 epochs" in block.charts[0].svg
    assert "over 2 epochs" in block.charts[1].svg
    assert "var(--shade)" in block.charts[0].svg
    assert "slope is 1" in block.note


def test_a_training_that_cannot_be_folded_is_not_shaded(tmp_path: Path) -> None:
    log = tmp_path / "metrics.csv"
    log.write_text("epoch,train_loss,slope\n0,1.0,0\n1,0.5,0\n")
    block = training(log)
    assert len(block.charts) == 2
    assert block.note == ""


@pytest.mark.parametrize("content", [None, "", "epoch,other\n0,1\n", "train_loss\n1\n", "epoch,train_loss\n0,high\n"])
def test_what_is_no_training_log_is_refused(tmp_path: Path, content: str | None) -> None:
    log = tmp_path / "metrics.csv"
    if content is not None:
        log.write_text(content)
    with pytest.raises(InputError, match=r"metrics\.csv"):
        training(log)


def test_parity_shows_each_link_of_an_export() -> None:
    links = (
        Link("trained -> folded", 1e-4, 2.13e-5, 1.0, 0, 1e-7, 1.0),
        Link("folded -> artefact", 1e-4, 2e-4, 0.9987, 3, 1e-6, 0.9999),
    )
    assert parity(links).rows == (
        ("trained -> folded", "2.1e-05", "1e-04", "holds", "1.0000"),
        ("folded -> artefact", "2.0e-04", "1e-04", "broken", "0.9987"),
    )


def test_the_forms_of_a_network_are_shown_with_their_cost() -> None:
    table = forms(
        (Form("trained", 934_545, 174_600_000, 20.0, 22.5, 1.0), Form("folded", 510_953, 157_100_000, 8, 9, 2.5))
    )
    assert table.rows[0] == ("trained", "934,545", "174.6 M", "20.00 ms", "22.50 ms", "1.00")
    assert table.rows[1] == ("folded", "510,953", "157.1 M", "8.00 ms", "9.00 ms", "2.50")


def test_galleries_show_the_worst_and_the_median() -> None:
    cases = []
    for width in range(1, 10):  # the truth is a stripe of this width, and what is found one of width 9
        image, truth = np.zeros((20, 20, 3), np.uint8), np.zeros((20, 20), np.uint8)
        image[:, :9, 0], truth[:, :width] = 255, 1
        cases.append(Given(f"width {width}", image, (truth,)))
    worst, median = galleries(RedIsFound(), reversed(cases), score(RedIsFound(), cases), n=3)
    assert [picture.title for picture in worst.pictures] == ["width 1", "width 2", "width 3"]
    assert [picture.title for picture in median.pictures] == ["width 4", "width 5", "width 6"]
    assert worst.pictures[0].caption == "Dice 0.200, HD95 8.0 px"


def test_a_miss_is_called_a_miss() -> None:
    dark = Given("dark", np.zeros((6, 8, 3), np.uint8), (np.ones((6, 8), np.uint8),))
    worst, _ = galleries(RedIsFound(), [dark], score(RedIsFound(), [dark]))
    assert worst.pictures[0].caption == "Dice 0.000, missed"


def test_outlines_are_drawn_where_the_masks_end_and_the_prediction_lies_on_top() -> None:
    image, truth, prediction = (
        np.full((40, 60, 3), 7, np.uint8),
        np.zeros((40, 60), np.uint8),
        np.zeros((40, 60), np.uint8),
    )
    truth[10:30, 10:30] = prediction[10:30, 10:50] = 1
    drawn = draw_outlines(Outlined("case", image, truth, prediction))
    assert drawn.shape == (40, 60, 3)
    assert tuple(drawn[20, 30]) == TRUTH
    assert tuple(drawn[20, 49]) == PREDICTION
    assert tuple(drawn[20, 10]) == PREDICTION  # where both end
    assert tuple(drawn[20, 8]) == TRUTH  # its line is the wider
    assert tuple(drawn[20, 20]) == tuple(drawn[0, 0]) == (7, 7, 7)


@pytest.mark.parametrize(("side", "ringed"), [(4, True), (5, False)])
def test_a_region_of_up_to_a_fiftieth_of_the_side_has_a_ring_around_it(side: int, ringed: bool) -> None:
    image, truth, prediction = np.zeros((100, 200, 3), np.uint8), *np.zeros((2, 100, 200), np.uint8)
    prediction[48 : 48 + side, 98 : 98 + side] = 1  # around (50, 100); the ring has a radius of 0.04 * 200 = 8
    drawn = draw_outlines(Outlined("case", image, truth, prediction))
    assert (tuple(drawn[50, 92]) == tuple(drawn[50, 108]) == tuple(drawn[42, 100]) == PREDICTION) == ringed
    assert not drawn[50, 94].any()


def test_a_tiny_region_of_a_large_image_that_its_picture_loses_still_has_its_ring() -> None:
    image, truth, prediction = np.zeros((800, 800, 3), np.uint8), *np.zeros((2, 800, 800), np.uint8)
    truth[401, 401] = 1
    drawn = draw_outlines(Outlined("case", image, truth, prediction), side_px=100)
    assert (drawn == TRUTH).all(axis=-1).any()


def test_large_images_become_small_pictures() -> None:
    image, mask = np.zeros((300, 1200, 3), np.uint8), np.zeros((300, 1200), np.uint8)
    assert draw_outlines(Outlined("case", image, mask, mask), side_px=400).shape == (100, 400, 3)
