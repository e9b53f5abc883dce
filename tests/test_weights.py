"""`lvunet weights` as a user meets it, and the script that puts a model with its card into the package."""

import importlib.util
import os
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from lvunet import cli
from lvunet.card import Card
from lvunet.data.selection import choose
from lvunet.errors import ArtefactError, ConfigError
from lvunet.evaluate.evidence import Evaluation, write_json
from lvunet.evaluate.provenance import provenance
from lvunet.evaluate.scoring import score
from lvunet.model import PixelsToProbability, load_checkpoint
from lvunet.runtime.onnx_backend import METADATA_KEY
from lvunet.runtime.segmenter import load
from lvunet.runtime.zoo import ZOO, bundled, prove
from models import picture

ROOT = Path(__file__).parents[1]
LOGIT_TOLERANCE = 1e-4  # the project's, to the logits of the authors' code
SCORE_TOLERANCE = 1e-4  # float rounding moves a pixel across the threshold here and there
MODELS = bundled()

Lvunet = Callable[..., tuple[int, str, str]]


@pytest.fixture
def lvunet(capsys: pytest.CaptureFixture[str]) -> Lvunet:
    """Run a command line in this process; return exit code, standard output and standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out, captured.err

    return run


@pytest.fixture(scope="module")
def reference(shared: Path) -> dict[str, Tensor]:
    return load_file(shared / "reference" / "lvunet_original.safetensors")


@pytest.fixture
def original(reference: dict[str, Tensor], tmp_path: Path) -> Path:
    """A checkpoint as the original authors' code writes it."""
    prefix = "state_dict."
    torch.save(
        {k.removeprefix(prefix): v for k, v in reference.items() if k.startswith(prefix)}, tmp_path / "their.pth"
    )
    return tmp_path / "their.pth"


def test_the_list_says_what_each_model_is_for_what_it_reached_and_on_which_terms(lvunet: Lvunet) -> None:
    code, said, _ = lvunet("weights", "list")
    words = " ".join(said.split())
    assert code == 0
    for model in MODELS.values():
        assert model.outlines in words
        assert model.sha256[:12] in words
        assert f"{model.scores[0].dice:.3f} ({model.scores[0].low:.3f} to {model.scores[0].high:.3f})" in words
        assert model.data_terms[0][:40] in words
        assert f"{(ZOO / f'{model.name}.onnx').stat().st_size / 1e6:.2f} MB" in words


def test_verify_proves_all_models_or_those_that_are_named(lvunet: Lvunet) -> None:
    code, said, _ = lvunet("weights", "verify")
    assert code == 0
    assert said.count(": ok") == len(MODELS)
    first = next(iter(MODELS))
    assert lvunet("weights", "verify", first)[:2] == (0, f"{first}: ok, {MODELS[first].sha256[:12]}...\n")


def test_verify_of_a_model_that_is_not_in_the_package_offers_the_nearest(lvunet: Lvunet) -> None:
    first = next(iter(MODELS))
    code, _, complaint = lvunet("weights", "verify", f"{first}s")
    assert code == 2
    assert f"Did you mean '{first}'?" in complaint


def test_an_imported_checkpoint_computes_what_the_authors_code_did(
    lvunet: Lvunet, original: Path, reference: dict[str, Tensor], tmp_path: Path
) -> None:
    ours = tmp_path / "ours.safetensors"
    code, said, _ = lvunet("weights", "import", original, "-o", ours, "--pixels", "ours", "--slope", 0.5)
    assert (code, said) == (0, f"1 class, slope 0.5: {ours}\n")
    network, card = load_checkpoint(ours)
    assert (card.name, card.training) == ("ours", {"imported": "their.pth"})
    with torch.inference_mode():
        logits = network(reference["input_256x256"])
    assert (logits - reference["logits_256x256_slope_0.5"]).abs().max() < LOGIT_TOLERANCE


def test_by_default_it_is_fed_as_the_authors_feed_it_and_can_be_folded(
    lvunet: Lvunet, original: Path, tmp_path: Path
) -> None:
    for how in ("ours", "original"):
        command = ("weights", "import", original, "-o", tmp_path / f"{how}.safetensors", "--name", "theirs")
        assert lvunet(*command, *(("--pixels", how) if how == "ours" else ()))[0] == 0
    plain, fed = (load_checkpoint(tmp_path / f"{how}.safetensors") for how in ("ours", "original"))
    assert fed[0].slope == 1
    assert fed[1].name == "theirs"
    pixels = torch.from_numpy(picture(64, 64)).permute(2, 0, 1)[None].float()
    mean, std = torch.tensor(plain[1].mean).view(3, 1, 1), torch.tensor(plain[1].std).view(3, 1, 1)
    with torch.inference_mode():
        expected = plain[0]((pixels.flip(1) / 255 - mean) / std / 255)
        logits = PixelsToProbability(fed[0], fed[1].mean, fed[1].std).logits(pixels)
    assert (logits - expected).abs().max() < 10 * LOGIT_TOLERANCE  # inputs of size 0.01 are rounded as if of size 0.1


class Bomb:
    """Unpickled, it would make a folder."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


def test_what_cannot_be_imported_is_refused_with_the_reason_and_nothing_is_written(
    lvunet: Lvunet, original: Path, tmp_path: Path
) -> None:
    torch.save({"state_dict": Bomb(tmp_path / "ran")}, tmp_path / "evil.pth")
    torch.save({"layer.weight": torch.zeros(1)}, tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("no checkpoint")
    ours = tmp_path / "ours.safetensors"
    for source, reason in (
        ("evil.pth", "could run code"),
        ("other.pth", "not a state dict of the original LV-UNet"),
        ("text.pth", "text.pth"),
        ("none.pth", "no file at"),
    ):
        code, _, complaint = lvunet("weights", "import", tmp_path / source, "-o", ours)
        assert code == 2
        assert reason in complaint
    code, _, complaint = lvunet("weights", "import", original, "-o", ours, "--slope", 1.5)
    assert (code, "between 0 and 1" in complaint) == (2, True)
    assert not ours.exists()
    assert not (tmp_path / "ran").exists()


def test_an_import_overwrites_nothing_and_wants_a_name_that_tells_the_kind(
    lvunet: Lvunet, original: Path, tmp_path: Path
) -> None:
    there = tmp_path / "there.safetensors"
    there.write_text("mine")
    code, _, complaint = lvunet("weights", "import", original, "-o", there)
    assert (code, "exists already" in complaint, there.read_text()) == (2, True, "mine")
    code, _, complaint = lvunet("weights", "import", original, "-o", tmp_path / "ours.pth")
    assert (code, "does not end in .safetensors" in complaint) == (2, True)


@pytest.fixture(scope="module")
def script() -> ModuleType:
    spec = importlib.util.spec_from_file_location("zoo", ROOT / "results" / "zoo.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_model_put_into_the_package_changes_its_name_and_nothing_else(
    script: ModuleType, artefact: Path, tmp_path: Path
) -> None:
    card = script.put(artefact, "skin", tmp_path / "skin.onnx")
    before, after = load(artefact), load(tmp_path / "skin.onnx")
    assert after.card == card == replace(before.card, name="skin")
    old, new = onnx.load(artefact), onnx.load(tmp_path / "skin.onnx")
    assert old.graph.initializer == new.graph.initializer
    assert old.graph.node == new.graph.node
    assert np.array_equal(before(picture(50, 60)), after(picture(50, 60)))


def test_a_model_too_large_for_the_package_is_refused(script: ModuleType, artefact: Path, tmp_path: Path) -> None:
    model = onnx.load(artefact)
    ballast = np.zeros(500_000, np.float32)
    model.graph.initializer.append(onnx.numpy_helper.from_array(ballast, "ballast"))
    onnx.save(model, tmp_path / "large.onnx")
    with pytest.raises(ArtefactError, match="under 2,500,000"):
        script.put(tmp_path / "large.onnx", "skin", tmp_path / "skin.onnx")
    assert not (tmp_path / "skin.onnx").exists()


def test_a_name_that_says_nothing_and_a_model_without_scores_are_refused(
    script: ModuleType, artefact: Path, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match="what 'model-1' is for"):
        script.main("model-1", tmp_path, tmp_path, tmp_path, tmp_path)
    (tmp_path / "model.onnx").write_bytes(artefact.read_bytes())
    with pytest.raises(ConfigError, match="has no accuracy of"):
        script.main("skin", tmp_path, tmp_path, tmp_path, tmp_path)


@pytest.mark.parametrize("name", MODELS)
def test_the_card_of_a_model_has_its_hash_its_terms_and_its_scores_and_the_index_leads_to_it(name: str) -> None:
    model, card = MODELS[name], (ZOO / f"{name}.md").read_text(encoding="utf-8")
    assert model.sha256 in card
    assert model.weights_terms in card
    assert "Not a medical device" in card
    assert all(
        f"| {score.n} | {score.dice:.3f} ({score.low:.3f} to {score.high:.3f}) |" in card for score in model.scores
    )
    assert (ZOO / f"{name}.onnx").stat().st_size < 2_500_000
    outlines = (ZOO / f"{name}.svg").read_text(encoding="utf-8")
    assert "<image" not in outlines, "outlines only: not a pixel of the data may be in the package"
    assert f"({name}.md)" in (ZOO / "README.md").read_text(encoding="utf-8")


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_the_scores_of_a_card_come_out_again(shared: Path, name: str) -> None:
    segmenter = load(name, threads=1)
    config = segmenter.card.training["config"]
    for claimed in MODELS[name].scores:
        folder = shared / "datasets" / claimed.dataset
        samples, split = choose(folder, "test", claimed.dataset, config["protocol"], config["split_seed"])
        assert (len(samples), split) == (claimed.n, claimed.split)
        assert score(segmenter, samples).values("dice").mean() == pytest.approx(claimed.dice, abs=SCORE_TOLERANCE)


def run_of(card: Card, folder: Path) -> Path:
    """A finished run whose export is the model of the package, under this card."""
    model = onnx.load(ZOO / f"{card.name}.onnx")
    onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    folder.mkdir()
    onnx.save(model, folder / "model.onnx")
    write_json(folder / "manifest.json", {"split": {"train": ["a"] * 1234, "val": ["b"]}})
    return folder


def records_of(card: Card, evaluation: Evaluation, folder: Path) -> dict[str, float]:
    """Write records of every kind that scripts leave in results/, for this model and another; return its Dice."""
    dice, here = asdict(evaluation.intervals["dice"]), asdict(provenance())
    same = {"source_sha256": card.source_sha256, "dataset": evaluation.dataset, "split": evaluation.split, "n": 3}
    took = {"epochs": 300, "images_seen": 192_000, "training_seconds": 6781, "training_provenance": here}
    forms = {"forms": {"onnx": {"minus_trained": -6e-8}}, "lesions": dice, "training": card.training}
    write_json(folder / "accuracy-x.json", evaluation.record() | same | took | forms)
    write_json(folder / "accuracy-of-another.json", {"source_sha256": "0"})
    trust = {"ece": 0.011, "ece_at_temperature_1": 0.021, "dice_of_kept": {"80%": 0.912, "100%": 0.883}}
    write_json(folder / "quality-x.json", same | trust | {"expected_dice_mean_absolute_error": {"value": 0.0571}})
    cell = {"model": "it", "tested_on": "elsewhere", "split": "all images", "missed": 7, "dice": dice}
    spoilt = {"corruption": "noise", "severity": "mild", "amount": "deviation 6 grey levels", "dice": dice}
    robustness = {
        "models": {"it": {"source_sha256": card.source_sha256}, "another": {"source_sha256": "0"}},
        "matrix": [cell, cell | {"model": "another", "tested_on": "nowhere"}],
        "corruptions": {"it": same | {"clean": dice, "mean_drop": dice, "conditions": [spoilt]}},
    }
    write_json(folder / "robustness-x.json", here | robustness)
    return dice


def test_the_script_writes_artefact_facts_card_outlines_and_index(
    script: ModuleType, shared: Path, tmp_path: Path
) -> None:
    name = next(iter(MODELS))
    segmenter, dataset = load(name, threads=1), MODELS[name].scores[0].dataset
    training = segmenter.card.training | {"calibration": {"images": 160, "ece_before": 0.02, "ece_after": 0.01}}
    card = replace(segmenter.card, quality=((0.5, 0.4), (0.9, 0.8)), training=training)
    config, data, zoo = training["config"], shared / "datasets", tmp_path / "zoo"
    samples, split = choose(data / dataset, "test", dataset, config["protocol"], config["split_seed"])
    evaluation = Evaluation(score(segmenter, samples[:3]), dataset, split, provenance())
    dice = records_of(card, evaluation, tmp_path / "results")
    script.main(name, run_of(card, tmp_path / "run"), data, tmp_path / "results", zoo)

    prove(bundled(zoo)[name], picture(64, 64), zoo)
    page = (zoo / f"{name}.md").read_text(encoding="utf-8")
    for words in (
        f"| {dataset}, {split} | 3 | {dice['mean']:.3f} (",
        "| of these: lesions | 3 |",
        "1,234 images, and 1 to choose the epoch",
        "| elsewhere, all images |",
        "| noise: deviation 6 grey levels | mild |",
        "from 0.0200 to 0.0100",
        "0.0210 before and 0.0110 after",
        "off by 0.057",
        "113 minutes",
        f"lvunet evaluate {name} --data FOLDER/{dataset} --dataset {dataset}",
    ):
        assert words in page, words
    assert "nowhere" not in page
    assert (zoo / f"{name}.svg").read_text(encoding="utf-8").count("Dice") == 3
    assert f"[`{name}`]({name}.md)" in (zoo / "README.md").read_text(encoding="utf-8")
