"""The models of the package: all that is known of each is true, and a damaged one is found out."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from hashlib import sha256
from pathlib import Path

import onnx
import pytest

from lvunet.cli.app import app as lvunet
from lvunet.data.phantom import phantom
from lvunet.errors import ArtefactError, ConfigError
from lvunet.export.onnx import write_onnx
from lvunet.runtime.onnx_backend import METADATA_KEY
from lvunet.runtime.segmenter import load
from lvunet.runtime.zoo import ZOO, Bundled, Score, bundled, model_file, prove

IMAGE = phantom("polyp", 0, (96, 128))[0]
MODELS = bundled()
NAME = next(iter(MODELS))


def test_every_artefact_of_the_package_is_described_and_everything_described_is_there() -> None:
    assert {path.stem for path in ZOO.glob("*.onnx")} == MODELS.keys()
    assert MODELS


@pytest.mark.parametrize("model", MODELS.values(), ids=lambda model: model.name)
def test_every_model_of_the_package_is_the_committed_one_and_runs(model: Bundled) -> None:
    prove(model, IMAGE)
    card = load(ZOO / f"{model.name}.onnx").card
    assert model.scores
    assert all(0 <= score.low <= score.dice <= score.high <= 1 for score in model.scores)
    assert (card.name, card.source_sha256) == (model.name, model.source_sha256)


A_PIXEL = 1e-4  # of mean Dice: what a pixel that another processor rounds otherwise may change
SCORED = [(name, score) for name, model in MODELS.items() for score in model.scores]
QUICKEST = min(SCORED, key=lambda scored: scored[1].n)


@pytest.mark.parametrize(
    ("name", "score"),
    [
        pytest.param(*each, marks=() if each == QUICKEST else pytest.mark.slow, id=f"{each[0]}-{each[1].dataset}")
        for each in SCORED
    ],
)
def test_the_scores_of_a_card_are_what_evaluate_finds(name: str, score: Score, shared: Path, tmp_path: Path) -> None:
    words = ["evaluate", name, "--data", shared / "datasets" / score.dataset, "--dataset", score.dataset]
    lvunet([*map(str, words), "-o", str(tmp_path)], result_action="return_value")
    found = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert (found["n"], found["split"]) == (score.n, score.split)
    dice = found["metrics"]["dice"]
    assert [dice[key] for key in ("mean", "low", "high")] == pytest.approx(
        [score.dice, score.low, score.high], abs=A_PIXEL
    )
    lines = (ZOO / f"{name}.md").read_text(encoding="utf-8").splitlines()
    numbers = partial(re.findall, r"\d+\.\d+|(?<=\| )\d+(?= \|)")
    (told,) = (numbers(line) for line in lines if line.startswith(f"| {score.dataset}, {score.split} | {score.n} |"))
    means = [found["metrics"][key][end] for key in ("dice", "iou") for end in ("mean", "low", "high")]
    assert float(told.pop(7)) == pytest.approx(found["metrics"]["hd95_px"]["mean"], abs=0.1)
    means += [found["metrics"]["nsd"]["mean"], found["paper_metric"]["iou"]]
    assert [*map(float, told)] == pytest.approx([score.n, *means], abs=1e-3)
    for kind in ("lesions", "normals"):
        rows = [numbers(line) for line in lines if line.startswith(f"| of these: {kind} |")]
        apart = [[found[kind][key] for key in ("n", "mean", "low", "high")]] if kind in found else []
        assert [[*map(float, row)] for row in rows] == [pytest.approx(row, abs=1e-3) for row in apart]


def test_they_are_proven_without_torch() -> None:
    code = (
        "import sys; sys.modules['torch'] = None\n"
        "from lvunet.data.phantom import phantom; from lvunet.runtime.zoo import bundled, prove\n"
        "for model in bundled().values(): prove(model, phantom('polyp', 0)[0])"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for path in ZOO.glob(f"{NAME}.*"):
        shutil.copy(path, tmp_path)
    prove(bundled(tmp_path)[NAME], IMAGE, tmp_path)
    return tmp_path


def edited(folder: Path, change: Callable[[onnx.ModelProto], object]) -> Bundled:
    """Edit the artefact, and write the hash of it as it now is, so that only what is inside can give it away."""
    model = onnx.load(folder / f"{NAME}.onnx")
    change(model)
    write_onnx(model, folder / f"{NAME}.onnx")
    return replace(MODELS[NAME], sha256=sha256((folder / f"{NAME}.onnx").read_bytes()).hexdigest())


def test_one_other_byte_is_found_out(folder: Path) -> None:
    data = bytearray((folder / f"{NAME}.onnx").read_bytes())
    data[len(data) // 2] ^= 1
    (folder / f"{NAME}.onnx").write_bytes(data)
    with pytest.raises(ArtefactError, match=r"has SHA-256 .*, not .* Install the package anew"):
        prove(MODELS[NAME], IMAGE, folder)


def test_a_missing_artefact_is_found_out(folder: Path) -> None:
    (folder / f"{NAME}.onnx").unlink()
    with pytest.raises(ArtefactError, match="is not there"):
        prove(MODELS[NAME], IMAGE, folder)


def test_an_artefact_of_other_weights_is_found_out_by_what_is_inside(folder: Path) -> None:
    card = replace(load(folder / f"{NAME}.onnx").card, source_sha256="0" * 64)
    model = edited(folder, lambda model: onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()}))
    with pytest.raises(ArtefactError, match="of weights 000000000000"):
        prove(model, IMAGE, folder)


def test_an_artefact_without_card_is_found_out(folder: Path) -> None:
    model = edited(folder, lambda model: model.ClearField("metadata_props"))
    with pytest.raises(ArtefactError, match="carries no LV-UNet card"):
        prove(model, IMAGE, folder)


def test_an_artefact_whose_answer_is_no_number_is_found_out(folder: Path) -> None:
    def spoil(model: onnx.ModelProto) -> None:
        bias = next(tensor for tensor in model.graph.initializer if tensor.name == "network.head.1.bias")
        bias.CopyFrom(onnx.helper.make_tensor(bias.name, onnx.TensorProto.FLOAT, bias.dims, [float("nan")]))

    with pytest.raises(ArtefactError, match="gives no probabilities"):
        prove(edited(folder, spoil), IMAGE, folder)


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"scores": 3}'])
def test_a_damaged_description_is_named(folder: Path, content: str) -> None:
    (folder / f"{NAME}.json").write_text(content, encoding="utf-8")
    with pytest.raises(ArtefactError, match=rf"{NAME}\.json cannot be read"):
        bundled(folder)


def test_a_description_is_plain_json(folder: Path) -> None:
    values = json.loads((folder / f"{NAME}.json").read_text(encoding="utf-8"))
    assert values["sha256"] == sha256((folder / f"{NAME}.onnx").read_bytes()).hexdigest()


def test_a_model_is_a_file_or_a_name_and_nothing_else(folder: Path) -> None:
    assert model_file(NAME) == ZOO / f"{NAME}.onnx"
    assert model_file(folder / f"{NAME}.onnx") == folder / f"{NAME}.onnx"
    with pytest.raises(ConfigError, match=f"Did you mean '{NAME}'"):
        model_file(f"{NAME}x")
