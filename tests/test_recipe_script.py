"""The search for a recipe: what it trains, on which part it scores, and what it holds that against."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from results import recipe

from lvunet.card import IMAGENET_MEAN, IMAGENET_STD, LVUNET
from lvunet.data.manifest import load_split
from lvunet.learn import start
from lvunet.learn.config import TrainConfig
from lvunet.model import LVUNet


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


def test_the_original_takes_blue_for_red(monkeypatch: pytest.MonkeyPatch, shared: Path, tmp_path: Path) -> None:
    def look(_config: TrainConfig, **kwargs: Any) -> None:
        for make in (kwargs["constructor"](LVUNET), LVUNet):
            torch.manual_seed(0)
            seen.append(make().eval())
        seen.append((vars(start)["IMAGENET_MEAN"], vars(start)["IMAGENET_STD"]))
        raise InterruptedError

    seen: list[Any] = []
    monkeypatch.setattr("lvunet.learn.train.train", look)
    for name in ("the original's normalisation, BGR", "base"):
        with pytest.raises(InterruptedError):
            recipe.run_one("cvc-colondb", shared / "datasets", Path("none"), tmp_path, name)
    theirs, ours, (mean, std), same, also, usual = seen
    image = torch.rand(1, 3, 64, 64)
    torch.testing.assert_close(theirs(image.flip(1)), ours(image))
    torch.testing.assert_close(same(image), also(image))
    assert mean == IMAGENET_MEAN[::-1]
    assert std == tuple(255 * each for each in IMAGENET_STD[::-1])
    assert usual == (IMAGENET_MEAN, IMAGENET_STD)


def test_an_experiment_may_go_on_from_another(monkeypatch: pytest.MonkeyPatch, shared: Path, tmp_path: Path) -> None:
    def look(config: TrainConfig, **_: object) -> None:
        raise InterruptedError(config.init, config.deep)

    monkeypatch.setattr("lvunet.learn.train.train", look)
    with pytest.raises(InterruptedError) as told:
        recipe.run_one("cvc-colondb", shared / "datasets", Path("none"), tmp_path, "three polyp sets, then 6 epochs")
    assert told.value.args == (str(tmp_path / "cvc-colondb-three-polyp-sets" / "best.safetensors"), "done")
