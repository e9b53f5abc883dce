"""The search for a recipe: what it trains, on which part it scores, and what it holds that against."""

import json
from pathlib import Path

import pytest
from results import recipe

from lvunet.card import IMAGENET_STD
from lvunet.data.manifest import load_split
from lvunet.learn import start
from lvunet.learn.config import TrainConfig


def test_an_experiment_is_scored_on_the_validation_part_and_held_against_the_base(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    split = load_split("cvc-colondb", "paper", 0)
    base = {"experiment": recipe.BASELINE, "dice_by_image": dict.fromkeys(split.part("val"), -1.0)}
    record = tmp_path / "recipe-cvc-colondb.json"
    record.write_text(json.dumps({"experiments": [base]}))
    monkeypatch.setattr(recipe, "HERE", tmp_path)
    monkeypatch.setattr(recipe, "BASE", {"epochs": 1, "size": 32, "weights": None, "deep": "done"})
    recipe.main("cvc-colondb", shared / "datasets", Path("no weights"), tmp_path / "out", "tail from 0.6")
    kept, row = json.loads(record.read_text())["experiments"]
    assert kept == base
    assert row["change"] == {"deep_end": "0.6"}
    assert row["dice_by_image"].keys() == {*split.part("val")}
    assert row["images_seen"] == len(split.part("train"))
    assert row["dice"]["mean"] >= 0
    assert row["minus_base"]["mean"] == pytest.approx(row["dice"]["mean"] + 1, abs=1e-3)
    sequences = {split.groups[key] for key in split.part("val")}
    assert row["minus_base"]["clusters"] == row["dice"]["clusters"] == len(sequences) < len(split.part("val"))


def test_the_original_normalises_twice(shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def look(_config: TrainConfig, **_: object) -> None:
        raise InterruptedError(vars(start)["IMAGENET_STD"][0] / IMAGENET_STD[0])

    monkeypatch.setattr("lvunet.learn.train.train", look)
    with pytest.raises(InterruptedError, match="255"):
        recipe.run_one("cvc-colondb", shared / "datasets", Path("none"), tmp_path, "the original's normalisation")
    with pytest.raises(InterruptedError, match=r"1\.0"):
        recipe.run_one("cvc-colondb", shared / "datasets", Path("none"), tmp_path, "tail from 0.6")
