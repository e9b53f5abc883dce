"""The script that puts a trained model with its card into the package."""

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from results import zoo as zoo_script

from lvunet.card import Card
from lvunet.data.selection import choose
from lvunet.errors import ArtefactError, ConfigError
from lvunet.evaluate.evidence import Evaluation, write_json
from lvunet.evaluate.provenance import provenance
from lvunet.evaluate.quality import Trust, judge
from lvunet.evaluate.scoring import score
from lvunet.export.onnx import write_onnx
from lvunet.learn.config import TrainConfig
from lvunet.runtime.onnx_backend import METADATA_KEY
from lvunet.runtime.segmenter import load
from lvunet.runtime.zoo import ZOO, Bundled, bundled, prove
from models import picture

ROOT = Path(__file__).parents[1]
MODELS = bundled()
RECORD = "accuracy-kvasir-seg-paper-0-paper-s0-e300.json"
GOOGLES = "mobilenet_v3_large_features_imagenet"


def test_a_model_put_into_the_package_changes_its_name_and_nothing_else(artefact: Path, tmp_path: Path) -> None:
    card = zoo_script.put(artefact, "skin", tmp_path / "skin.onnx")
    before, after = load(artefact), load(tmp_path / "skin.onnx")
    assert after.card == card == replace(before.card, name="skin")
    old, new = onnx.load(artefact), onnx.load(tmp_path / "skin.onnx")
    assert old.graph.initializer == new.graph.initializer
    assert old.graph.node == new.graph.node
    assert np.array_equal(before(picture(50, 60)), after(picture(50, 60)))


def test_a_start_that_is_in_the_zoo_has_its_name_there() -> None:
    calibration = load(ZOO / "kvasir-seg.onnx").card.training["calibration"]
    of_a_run = {"name": "kvasir-seg-paper-0", "calibration": calibration}
    assert zoo_script.in_the_zoo(of_a_run, ZOO) == "kvasir-seg"
    assert zoo_script.in_the_zoo(of_a_run | {"calibration": {"images": 2}}, ZOO) == "kvasir-seg-paper-0"
    assert zoo_script.in_the_zoo({"name": "never calibrated"}, ZOO) == "never calibrated"


def test_a_model_too_large_for_the_package_is_refused(artefact: Path, tmp_path: Path) -> None:
    model = onnx.load(artefact)
    ballast = np.zeros(500_000, np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(ballast, "ballast"))
    write_onnx(model, tmp_path / "large.onnx")
    with pytest.raises(ArtefactError, match="under 2,500,000"):
        zoo_script.put(tmp_path / "large.onnx", "skin", tmp_path / "skin.onnx")
    assert not (tmp_path / "skin.onnx").exists()


def test_a_name_that_says_nothing_and_a_model_without_scores_are_refused(artefact: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="what 'model-1' is for"):
        zoo_script.main("model-1", tmp_path, tmp_path, tmp_path, tmp_path)
    (tmp_path / "model.onnx").write_bytes(artefact.read_bytes())
    with pytest.raises(ConfigError, match="has no accuracy of"):
        zoo_script.main("skin", tmp_path, tmp_path, tmp_path, tmp_path)


def run_of(card: Card, folder: Path) -> Path:
    """A finished run whose export is the model of the package, under this card."""
    model = onnx.load(ZOO / f"{card.name}.onnx")
    onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    folder.mkdir()
    write_onnx(model, folder / "model.onnx")
    write_json(folder / "manifest.json", {"split": {"train": ["a"] * 1234, "val": ["b"]}})
    return folder


def records_of(card: Card, evaluation: Evaluation, trust: Trust, folder: Path) -> dict[str, float]:
    """Write records of every kind that scripts leave in results/, for this model and another; return its Dice."""
    dice, here = asdict(evaluation.intervals["dice"]), asdict(provenance())
    same = {"source_sha256": card.source_sha256, "dataset": evaluation.dataset, "split": evaluation.split, "n": 3}
    took = {"epochs": 300, "images_seen": 192_000, "training_seconds": 6781, "training_provenance": here}
    forms = {"forms": {"onnx": {"minus_trained": -6e-8}}, "lesions": dice, "training": card.training}
    write_json(folder / "accuracy-x.json", evaluation.record() | same | took | forms)
    write_json(folder / "accuracy-of-another.json", {"source_sha256": "0"})
    write_json(folder / "quality-x.json", same | trust.record() | {"ece_at_temperature_1": 0.021})
    cell = {"model": "it", "tested_on": "elsewhere", "split": "all images", "missed": 7, "dice": dice}
    spoilt = {"corruption": "noise", "severity": "mild", "amount": "deviation 6 grey levels", "dice": dice}
    robustness = {
        "models": {"it": {"source_sha256": card.source_sha256}, "another": {"source_sha256": "0"}},
        "matrix": [cell, cell | {"model": "another", "tested_on": "nowhere"}],
        "corruptions": {"it": same | {"clean": dice, "mean_drop": dice, "conditions": [spoilt]}},
    }
    write_json(folder / "robustness-x.json", here | robustness)
    return dice


def test_the_script_writes_artefact_facts_card_outlines_and_index(shared: Path, tmp_path: Path) -> None:
    name = next(iter(MODELS))
    segmenter, dataset = load(name, threads=1), MODELS[name].scores[0].dataset
    training = segmenter.card.training | {"calibration": {"images": 160, "ece_before": 0.02, "ece_after": 0.01}}
    card = replace(segmenter.card, quality=((0.5, 0.4), (0.9, 0.8)), training=training)
    config, data, zoo = training["config"], shared / "datasets", tmp_path / "zoo"
    samples, split = choose(data / dataset, "test", dataset, config["protocol"], config["split_seed"])
    evaluation = Evaluation(score(segmenter, samples[:3]), dataset, split, provenance())
    run = run_of(card, tmp_path / "run")
    trust = judge(load(run / "model.onnx", threads=1), samples[:3])
    dice = records_of(card, evaluation, trust, tmp_path / "results")
    zoo_script.main(name, run, data, tmp_path / "results", zoo)

    prove(bundled(zoo)[name], picture(64, 64), zoo)
    page = (zoo / f"{name}.md").read_text(encoding="utf-8")
    for words in (
        f"| {dataset}, {split} | 3 | 49 of 156 | {dice['mean']:.3f} (",
        "| of these: lesions | 3 |",
        "1,234 images, and 1 to choose the epoch",
        "| elsewhere, all images |",
        "| noise: deviation 6 grey levels | mild |",
        "from 0.0200 to 0.0100",
        f"0.0210 before and {trust.ece:.4f} after",
        f"off by {np.abs(trust.expected - trust.dice).mean():.3f}",
        "113 minutes",
        f"lvunet evaluate {name} --data FOLDER/{dataset} --dataset {dataset}",
    ):
        assert words in page, words
    assert "nowhere" not in page
    assert (zoo / f"{name}.svg").read_text(encoding="utf-8").count("Dice") == 3
    assert f"[`{name}`]({name}.md)" in (zoo / "README.md").read_text(encoding="utf-8")


def trained(before: Card | None = None, **chosen: Any) -> Card:
    """A card as a training writes it, in folders of this machine; it went on from the model of another card."""
    went_on = {"init": f"/runs/{before.name}/best.safetensors"} if before else {}
    config = TrainConfig.read(None, {"data": "/data/sets", "out": "/runs/new", **went_on, **chosen})
    training = {"config": config.model_dump(mode="json"), "epoch": 7, "val_dice": 0.9, "seen": ["0f"]}
    earlier = {key: value for key, value in before.training.items() if key != "seen"} if before else {}
    history = {"before": {"name": before.name, **earlier}} if before else {}
    return Card(name="skin", training=training | history)


FIRST = replace(trained(dataset="busi", epochs=30, weights=f"/models/{GOOGLES}.safetensors"), name="first")
SECOND = replace(trained(FIRST, dataset="kvasir-seg", protocol="grouped", split_seed=2, recipe="ours"), name="second")
THIRD = trained(
    SECOND,
    recipe="tuned",
    dataset="isic2016+cvc-clinicdb",
    epochs=20,
    teacher=["/runs/large/big.safetensors", "/runs/other.safetensors"],
)


def page_of(card: Card, folder: Path) -> tuple[Bundled, str]:
    """The facts and the page of a model of the package that this card is given to."""
    name = next(iter(MODELS))
    run = run_of(replace(card, name=name), folder / "run")
    published, artefact = zoo_script.put(run / "model.onnx", "skin", folder / "skin.onnx"), folder / "skin.onnx"
    tests = [json.loads((ROOT / "results" / RECORD).read_text(encoding="utf-8")) | {"file": RECORD}]
    model = zoo_script.facts(published, artefact, tests, run)
    return model, zoo_script.card_page(published, model, artefact, tests, folder)


def test_no_terms_and_no_notice_of_earlier_trainings_are_lost(tmp_path: Path) -> None:
    model, page = page_of(THIRD, tmp_path)
    for words in (
        "The training went on from `second`, which was trained for 300 epochs on Kvasir-SEG, split grouped-2, and kept",
        "as of epoch 8.\nThat one went on from `first`, which was trained for 30 epochs on BUSI, split paper-0, and",
        "of `big.safetensors`, `other.safetensors` too, whose data and terms are not known",
        "Google's MobileNetV3-Large *minimalistic* ImageNet weights (TensorFlow models, Apache-2.0)",
        "- **ISIC 2016, task 1**",
        "- **CVC-ClinicDB**",
        "- **Kvasir-SEG**",
        "- **BUSI**",
    ):
        assert words in page, words
    assert [terms.split(":")[0] for terms in model.data_terms] == [
        "ISIC 2016, task 1",
        "CVC-ClinicDB",
        "Kvasir-SEG",
        "BUSI",
    ]
    assert "gone on from second (Kvasir-SEG, split grouped-2); gone on from first (BUSI" in model.trained_on
    assert "/runs" not in page


def test_free_data_is_free_no_more_after_another_or_a_teacher(tmp_path: Path) -> None:
    free = trained(dataset="isic2016")
    for number, (card, terms) in enumerate(
        (
            (free, "Apache-2.0."),
            (trained(FIRST, dataset="isic2016"), f"Apache-2.0{zoo_script.RESEARCH_ONLY}"),
            (trained(dataset="isic2016", teacher=["large.safetensors"]), f"Apache-2.0{zoo_script.RESEARCH_ONLY}"),
        )
    ):
        (tmp_path / str(number)).mkdir()
        assert page_of(card, tmp_path / str(number))[0].weights_terms == terms


@pytest.mark.parametrize(
    ("card", "words"),
    [
        (FIRST, f"--dataset busi --weights {GOOGLES}.safetensors --epochs 30"),
        (SECOND, "--recipe ours --dataset kvasir-seg --protocol grouped --split-seed 2 --init first"),
        (
            THIRD,
            (
                "--recipe tuned --dataset isic2016+cvc-clinicdb --init second --epochs 20 --teacher big.safetensors "
                "--teacher other.safetensors"
            ),
        ),
        (trained(replace(SECOND, name="kvasir-seg"), recipe="tuned", dataset="busi"), "--recipe tuned --dataset busi"),
        (trained(dataset="busi", weights=None, deterministic=True), "--dataset busi --weights none --deterministic"),
    ],
)
def test_the_command_names_the_recipe_and_what_differs_from_it(card: Card, words: str, tmp_path: Path) -> None:
    published = zoo_script.put(
        run_of(replace(card, name="kvasir-seg"), tmp_path / "run") / "model.onnx", "skin", tmp_path / "x.onnx"
    )
    assert zoo_script.command(published) == f"lvunet train --data FOLDER {words}"


def test_the_package_names_no_folder_of_the_machine_and_all_else_stays(tmp_path: Path) -> None:
    run = run_of(replace(THIRD, name="kvasir-seg"), tmp_path / "run")
    card = zoo_script.put(run / "model.onnx", "skin", tmp_path / "skin.onnx")
    assert load(tmp_path / "skin.onnx").card == card
    latest, middle, first = zoo_script.runs_of(card)
    assert [each["config"]["data"] for each in (latest, middle, first)] == ["sets"] * 3
    assert [each["config"]["out"] for each in (latest, middle, first)] == ["new"] * 3
    assert (latest["config"]["init"], latest["config"]["teacher"]) == (
        "best.safetensors",
        ["big.safetensors", "other.safetensors"],
    )
    assert (first["config"]["weights"], middle["config"]["weights"]) == (f"{GOOGLES}.safetensors", "imagenet")
    assert "/" not in json.dumps(card.training)
    for now, was in zip((latest, middle, first), zoo_script.runs_of(THIRD), strict=True):
        for these, those in ((now, was), (now["config"], was["config"])):
            assert these.keys() == those.keys()
            rest = those.keys() - {*zoo_script.PATHS, "config", "before"}
            assert {key: these[key] for key in rest} == {key: those[key] for key in rest}


@pytest.mark.parametrize(
    "training",
    [
        {},
        {"imported": "their.pth"},
        trained(dataset=None).training,
        trained(dataset="splits.csv").training,
        trained(Card(name="theirs", training={"imported": "their.pth"}), dataset="busi").training,
    ],
)
def test_a_model_of_data_whose_terms_nobody_knows_is_refused(training: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match="was not trained on known sets"):
        zoo_script.runs_of(Card(training=training))
