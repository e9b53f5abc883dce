"""What becomes of a model's scores when it is shown spoilt images."""

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from results.robustness import transfer

from cases import Given
from lvunet.card import Card
from lvunet.data.phantom import write_phantoms
from lvunet.data.selection import image_hash
from lvunet.errors import ConfigError
from lvunet.evaluate.corruptions import CORRUPTIONS, Corruption
from lvunet.evaluate.page import render
from lvunet.evaluate.robustness import CONDITIONS, Corrupted, Robustness, page, table, under_corruptions
from lvunet.evaluate.scoring import score
from lvunet.image import UInt8
from lvunet.model import save_checkpoint
from models import card_of, trained_model

ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Red:
    """A model: the red channel is the probability."""

    card: Card = field(default_factory=lambda: Card(name="red"))

    def __call__(self, image: UInt8, /) -> NDArray[np.float32]:
        return (image[..., 0] / 255).astype(np.float32)


def squares(brightness: int) -> Given:
    """A square so red, and the mask of it."""
    image, mask = np.zeros((60, 80, 3), np.uint8), np.zeros((60, 80), np.uint8)
    image[20:40, 30:60], mask[20:40, 30:60] = (brightness, 0, 0), 1
    return Given(f"red {brightness}", image, (mask,))


CASES = (squares(250), squares(200), squares(140))


@pytest.fixture(scope="module")
def found() -> Robustness:
    return under_corruptions(Red(), CASES, ("squares", "all images", 0))


def dice(found: Robustness, name: str) -> list[float]:
    scores = [each.scores for each in found.conditions if each.name == name]
    return [float(value) for value in scores[0].values("dice")]


def test_a_corruption_that_does_nothing_leaves_every_score_as_it_is() -> None:
    nothing = Corruption("nothing", "{:g}", (0, 0, 0), lambda image, _, __: image)
    assert score(Corrupted(Red(), nothing, "severe"), CASES) == score(Red(), CASES)


def test_the_model_is_shown_the_spoilt_image_and_judged_by_the_unspoilt_mask(found: Robustness) -> None:
    # A probability of 0.5 is 127.5 grey levels: 250 and 200 stay above it at 0.7 times, 250 does not at 0.5 times.
    assert dice(found, "darker, mild") == [1, 1, 0]
    assert dice(found, "darker, medium") == [0, 0, 0]
    assert dice(found, "brighter, severe") == [1, 1, 1]
    for condition in found.conditions:
        assert [image.truth_px for image in condition.scores.images] == [600] * 3


def test_the_drop_is_clean_less_spoilt_image_by_image(found: Robustness) -> None:
    drops = {condition.name: condition.drop for condition in found.conditions}
    assert drops["darker, mild"].mean == pytest.approx(1 / 3)
    assert (drops["darker, medium"].mean, drops["darker, medium"].low, drops["darker, medium"].high) == (1, 1, 1)
    assert not drops["brighter, mild"].differs


def test_the_mean_corruption_drop_is_the_mean_of_all_drops(found: Robustness) -> None:
    drops = [condition.drop.mean for condition in found.conditions]
    assert len(drops) == 3 * len(CORRUPTIONS)
    assert found.mean_drop.mean == pytest.approx(np.mean(drops))
    assert found.mean_drop.low < found.mean_drop.mean < found.mean_drop.high


def test_progress_is_told_of_every_image_under_every_condition_and_a_damaged_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "damaged.png").write_text("no image")
    told: list[object] = []
    cases = (CASES[0], replace(CASES[1], image=tmp_path / "damaged.png"))
    found = under_corruptions(Red(), cases, ("squares", "all images", 0), progress=told.append)
    assert len(told) == 2 * (1 + len(CONDITIONS))
    assert [case["id"] for case in found.record()["unscored"]] == ["red 200"]
    assert [len(condition.scores.images) for condition in found.conditions] == [1] * len(CONDITIONS)


def test_the_table_has_a_row_a_condition_with_the_amount_in_words(found: Robustness) -> None:
    rows = table(found).rows
    assert len(rows) == 1 + len(CONDITIONS) + 1
    assert rows[0][:3] == ("clean", "", "1.000")
    assert ("darker, mild", "grey levels x 0.7", "0.667") in [row[:3] for row in rows]
    assert rows[-1][0] == "mean corruption drop"


def test_the_record_says_of_what_by_which_commit_and_where(found: Robustness) -> None:
    record = json.loads(json.dumps(found.record()))
    assert (record["model"], record["dataset"], record["split"], record["n"]) == ("red", "squares", "all images", 3)
    assert record["machine"]["cores"] >= 1
    assert {"commit", "date", "mean_drop", "clean", "intervals"} <= record.keys()
    darker = next(row for row in record["conditions"] if (row["corruption"], row["severity"]) == ("darker", "mild"))
    assert darker["dice"]["mean"] == pytest.approx(2 / 3)


def test_the_report_shows_one_image_under_every_corruption_and_a_chart_of_each(found: Robustness) -> None:
    html = render(page(found, Red(), CASES))
    assert html.count("<svg") == len(CORRUPTIONS)
    assert html.count("data:image/jpeg") == 1 + len(CONDITIONS)
    assert html.index("defocus, mild</b>") < html.index("highlights, severe</b>")


def test_the_command_shows_the_table_writes_the_report_and_names_what_was_seen(
    lvunet: Callable[..., tuple[int, str, str]], tmp_path: Path
) -> None:
    write_phantoms(tmp_path / "data", 2, seed=3, size=(48, 64))
    seen = image_hash(sorted((tmp_path / "data" / "images").iterdir())[0])
    model = tmp_path / "model.safetensors"
    save_checkpoint(model, trained_model(1, 3), replace(card_of(1, 3), size=64, training={"seen": [seen]}))
    arguments = ("robustness", model, "--data", tmp_path / "data", "--part", "all", "-o", tmp_path / "out")
    code, said, complaint = lvunet(*arguments)
    assert code == 0
    assert "mean corruption drop" in said
    assert "1 of the 2 images were seen in training" in complaint
    record = json.loads((tmp_path / "out" / "robustness.json").read_text(encoding="utf-8"))
    assert (record["dataset"], record["split"], record["n"]) == ("data", "all images", 2)
    assert "1 of them were seen in training" in (tmp_path / "out" / "report.html").read_text(encoding="utf-8")


def trained_on(dataset: str | None) -> Red:
    config = {"dataset": dataset, "protocol": "paper", "split_seed": 0}
    return Red(Card(name="red", training={"config": config}))


def test_the_matrix_wants_a_model_that_names_its_data_set(tmp_path: Path) -> None:
    for unknown in (None, "split.csv"):
        with pytest.raises(ConfigError, match="data set"):
            transfer("red", trained_on(unknown), tmp_path)
    assert transfer("red", trained_on("busi"), tmp_path) == []


@pytest.mark.slow
def test_a_row_of_the_matrix_has_its_own_test_part_and_both_of_every_other_set(shared: Path) -> None:
    cells: list[dict[str, Any]] = transfer("red", trained_on("cvc-colondb"), shared / "datasets")
    sizes = {(cell["tested_on"], cell["split"]): cell["dice"]["n"] for cell in cells}
    assert sizes == {
        ("kvasir-seg", "paper-0 test"): 200,
        ("kvasir-seg", "all images"): 1000,
        ("cvc-clinicdb", "paper-0 test"): 123,
        ("cvc-clinicdb", "all images"): 612,
        ("cvc-colondb", "paper-0 test"): 76,
    }
    for cell in cells:
        each = [float(value) for value in cell["per_image"].split()]
        assert np.mean(each) == pytest.approx(cell["dice"]["mean"], abs=1e-4)  # four decimals are written
        assert cell["seen"] is None
    assert {cell["tested_on"]: cell["dice"]["clusters"] for cell in cells}["cvc-clinicdb"] == 29
