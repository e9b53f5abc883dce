"""The command line as a user meets it: what it prints, what it writes, how it ends."""

import csv
import json
import subprocess
import sys
from collections.abc import Callable, Sequence
from io import BytesIO
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from shutil import copy

import numpy as np
import pytest
from PIL import Image

from lvunet.data.manifest import Split, write_splits
from lvunet.data.phantom import phantom, write_phantoms
from lvunet.image import write_image
from lvunet.learn.config import TrainConfig
from lvunet.runtime.segmenter import load
from runs import write_run

Ended = tuple[int, str, str]
Lvunet = Callable[..., Ended]


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    write_phantoms(folder, 12, seed=3, size=(72, 96))
    return folder


def process(arguments: Sequence[object], stdin: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "lvunet.cli", *map(str, arguments)]
    return subprocess.run(command, input=stdin, capture_output=True, check=False)


def test_help_is_there_in_under_0_4_seconds_and_states_what_it_is_not() -> None:
    before = getrusage(RUSAGE_CHILDREN)
    ended = process(["--help"])
    after = getrusage(RUSAGE_CHILDREN)
    assert b"Not a" in ended.stdout
    assert b"medical device" in ended.stdout
    assert after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime < 0.4  # of CPU: others may run beside


def test_segment_writes_a_mask_a_file_and_a_table_without_torch(artefact: Path, phantoms: Path, tmp_path: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; from lvunet import cli; cli.main()"
    command = [
        sys.executable,
        "-c",
        code,
        "segment",
        str(phantoms / "images"),
        "-m",
        str(artefact),
        "-o",
        str(tmp_path),
    ]
    ended = subprocess.run(command, capture_output=True, check=False)
    assert ended.returncode == 0, ended.stderr
    masks = sorted(path.name for path in tmp_path.glob("*.png"))
    assert masks == sorted(path.name for path in (phantoms / "images").iterdir())
    with (tmp_path / "areas.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    first = np.asarray(Image.open(tmp_path / masks[0]))
    assert first.shape == (72, 96)
    assert int(rows[0]["area_px"]) == np.count_nonzero(first)


def test_one_photo_and_a_model_are_enough_and_the_masks_of_a_data_set_stay(
    lvunet: Lvunet, artefact: Path, phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    truth, photo = tmp_path / "masks" / "p.png", tmp_path / "images" / "p.png"
    for file in (truth, photo):
        file.parent.mkdir()
        copy(next((phantoms / "images").iterdir()), file)
    before = truth.read_bytes()
    monkeypatch.chdir(tmp_path)
    assert lvunet("segment", "images/p.png", "--model", artefact)[0] == 0
    assert np.asarray(Image.open("segmented/p.png")).shape == (72, 96)
    assert truth.read_bytes() == before


@pytest.mark.parametrize(
    ("command", "flag"),
    [("segment -m polyp", "-o"), ("evaluate polyp", "-o"), ("export polyp", "-o"), ("train", "--out")],
)
def test_a_file_in_the_place_of_a_folder_is_told_before_the_work(
    lvunet: Lvunet, phantoms: Path, tmp_path: Path, command: str, flag: str
) -> None:
    (tmp_path / "file").touch()
    data = {"segment -m polyp": [phantoms], "export polyp": []}.get(command, ["--data", phantoms])
    code, said, complaint = lvunet(*command.split(), *data, flag, tmp_path / "file")
    assert (code, said) == (2, "")
    assert f"{tmp_path / 'file'} is a file, and the output needs a folder there." in " ".join(complaint.split())


def test_one_bad_file_is_named_the_rest_goes_on_and_the_exit_code_says_so(
    lvunet: Lvunet, artefact: Path, phantoms: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "bad.png").write_text("no image")
    Image.open(next((phantoms / "images").iterdir())).save(folder / "good.png")
    code, _, complaint = lvunet("segment", folder, "-m", artefact, "-o", tmp_path / "out")
    assert code == 1
    assert "bad.png is not a readable image: its content is none" in " ".join(complaint.split())
    assert (tmp_path / "out" / "good.png").exists()
    assert not (tmp_path / "out" / "bad.png").exists()


def test_a_picture_on_standard_input_becomes_a_mask_on_standard_output(artefact: Path, phantoms: Path) -> None:
    picture = next((phantoms / "images").iterdir())
    ended = process(["segment", "-", "-m", artefact, "-o", "-"], stdin=picture.read_bytes())
    assert ended.returncode == 0, ended.stderr
    assert Image.open(BytesIO(ended.stdout)).size == (96, 72)


def test_overlays_are_pictures_beside_the_masks(lvunet: Lvunet, artefact: Path, phantoms: Path, tmp_path: Path) -> None:
    assert lvunet("segment", phantoms / "images", "-m", artefact, "-o", tmp_path, "--overlays")[0] == 0
    assert len(list((tmp_path / "overlays").glob("*.png"))) == 12


def test_evaluate_prints_intervals_and_writes_a_report(
    lvunet: Lvunet, artefact: Path, phantoms: Path, tmp_path: Path
) -> None:
    code, said, _ = lvunet(
        "evaluate", artefact, "--data", phantoms, "--part", "all", "-o", tmp_path, "--against", artefact
    )
    assert code == 0
    assert "95 % interval" in said
    scores = json.loads((tmp_path / "scores.json").read_text(encoding="utf-8"))
    assert scores["n"] == 12
    for name in ("scores.md", "report.html"):
        assert "lvunet against lvunet" in (tmp_path / name).read_text(encoding="utf-8")


def test_evaluate_all_scores_each_run_once_and_names_what_it_leaves_out(
    lvunet: Lvunet, phantoms: Path, tmp_path: Path
) -> None:
    ids = tuple(sorted(path.stem for path in (phantoms / "images").iterdir()))
    write_splits(tmp_path / "table.csv", [Split("", "grouped", 4, (), (), ids)])
    write_run(tmp_path / "runs" / "whole", str(tmp_path / "table.csv"))
    write_run(tmp_path / "runs" / "begun", str(tmp_path / "table.csv"), planned=9)
    everything = ("evaluate", "--all", tmp_path / "runs", "--data", phantoms, "-o", tmp_path / "results")
    code, said, complaint = lvunet(*everything)
    record = tmp_path / "results" / f"accuracy-{phantoms.name}-grouped-4-paper-s0-e2.json"
    assert code == 1
    assert f"whole: {record}" in said
    assert f"{phantoms.name}, grouped-4" in said
    assert "only 2 of 9 epochs" in complaint
    assert [*(tmp_path / "results").iterdir()] == [record]
    before = record.stat().st_mtime_ns
    code, said, _ = lvunet(*everything)
    assert code == 1
    assert "whole: has its records already" in said
    assert f"{phantoms.name}, grouped-4" in said
    assert record.stat().st_mtime_ns == before


def test_export_prints_the_proof_and_writes_the_artefact(lvunet: Lvunet, checkpoint: Path, tmp_path: Path) -> None:
    code, said, _ = lvunet("export", checkpoint, "-o", tmp_path / "model.onnx")
    assert code == 0
    assert "folded" in said
    assert "onnx: " in said
    assert (tmp_path / "model.onnx").stat().st_size < 2_500_000


def test_benchmark_measures_every_form_and_writes_json(lvunet: Lvunet, checkpoint: Path, tmp_path: Path) -> None:
    assert lvunet("benchmark", checkpoint, "--rounds", 1, "--json", tmp_path / "b.json")[0] == 0
    record = json.loads((tmp_path / "b.json").read_text(encoding="utf-8"))
    assert [each["threads"] for each in record["latencies"]] == [1] * 4
    assert record["machine"]["cores"] >= 1


def test_data_commands_list_check_and_split(lvunet: Lvunet, phantoms: Path, tmp_path: Path) -> None:
    assert "CVC-ClinicDB" in lvunet("data", "list")[1]
    assert lvunet("data", "check", phantoms, "--json", tmp_path / "check.json")[0] == 0
    assert json.loads((tmp_path / "check.json").read_text(encoding="utf-8"))
    assert lvunet("data", "split", phantoms, "-o", tmp_path / "split.csv")[0] == 0
    assert lvunet("data", "split", phantoms, "-o", tmp_path / "split.csv")[0] == 0  # the same one
    assert "holds another split" in lvunet("data", "split", phantoms, "-o", tmp_path / "split.csv", "--seed", 1)[2]
    assert len((tmp_path / "split.csv").read_text(encoding="utf-8").splitlines()) == 13


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["segment", "nothing-here.png", "-m", "MODEL", "-o", "OUT"], "nothing-here.png"),
        (["segment", "x.png", "-m", "none.onnx", "-o", "OUT"], "none.onnx"),
        (["evaluate", "MODEL", "--data", "no-folder"], "no-folder"),
        (["evaluate", "MODEL", "--data", "PHANTOMS", "--dataset", "kvasir"], "kvasir-seg"),
        (["evaluate", "--data", "PHANTOMS"], "give a model"),
        (["evaluate", "MODEL", "--all", "PHANTOMS", "--data", "PHANTOMS", "-o", "OUT"], "--all takes no"),
        (["evaluate", "--all", "PHANTOMS", "--data", "PHANTOMS", "-o", "OUT", "--part", "val"], "--part"),
        (["evaluate", "--all", "PHANTOMS", "--data", "PHANTOMS"], "-o"),
        (["evaluate", "--all", "PHANTOMS", "--data", "PHANTOMS", "-o", "OUT"], "best.safetensors"),
        (["export", "none.safetensors", "-o", "OUT"], "none.safetensors"),
        (["train", "none.toml"], "none.toml"),
        (["train", "--epochs", "0"], "epochs"),
        (["train", "--epoch", "3"], "--epochs"),
        (["segmnt"], "segment"),
    ],
)
def test_a_mistake_is_answered_in_a_sentence_and_exit_code_2(
    lvunet: Lvunet, artefact: Path, phantoms: Path, tmp_path: Path, arguments: list[str], words: str
) -> None:
    known = {"MODEL": artefact, "OUT": tmp_path / "out", "PHANTOMS": phantoms}
    code, said, complaint = lvunet(*(known.get(each, each) for each in arguments))
    assert code == 2
    assert words in said + complaint
    assert "Traceback" not in complaint
    assert not (tmp_path / "out").exists()


def test_every_key_of_the_configuration_is_a_flag(lvunet: Lvunet) -> None:
    _, said, _ = lvunet("train", "--help")
    for key in TrainConfig.model_fields:
        assert f"--{key.replace('_', '-')}" in said


def test_three_classes_in_grey_go_the_whole_path(lvunet: Lvunet, tmp_path: Path) -> None:
    for k in range(16):
        image, mask = phantom("ultrasound", k, (48, 64))
        write_image(tmp_path / "data" / "images" / f"{k}.png", image)
        write_image(tmp_path / "data" / "masks" / f"{k}.png", mask * np.uint8(1 + k % 2))
    flags = ("--classes", 3, "--grey", "--weights", "none", "--size", 64, "--epochs", 1, "--batch-size", 4)
    assert lvunet("train", "--data", tmp_path / "data", "--out", tmp_path / "run", *flags)[0] == 0
    best, exported = tmp_path / "run" / "best.safetensors", tmp_path / "model.onnx"
    assert "class 2" in lvunet("evaluate", best, "--data", tmp_path / "data")[1]
    assert lvunet("export", best, "-o", exported)[0] == 0
    found = load(exported).segment(tmp_path / "data" / "images" / "0.png")
    assert found.probability.shape == (3, 48, 64)
    np.testing.assert_allclose(found.probability.sum(axis=0), 1, atol=1e-5)
    assert set(np.unique(found.mask).tolist()) <= {0, 1, 2}
    code, _, complaint = lvunet("train", "--data", tmp_path / "data", "--out", tmp_path / "one", "--weights", "none")
    assert code == 2
    assert "--classes" in complaint


def test_a_split_table_is_taken_by_train_and_evaluate_and_seen_images_are_named(
    lvunet: Lvunet, phantoms: Path, tmp_path: Path
) -> None:
    table, run = tmp_path / "split.csv", tmp_path / "run"
    assert lvunet("data", "split", phantoms, "-o", table, "--seed", 4)[0] == 0
    flags = ("--dataset", table, "--out", run, "--weights", "none", "--size", 64, "--epochs", 1, "--batch-size", 3)
    code, said, _ = lvunet("train", "--data", phantoms, *flags)
    assert code == 0
    assert "Epoch 1 of 1" in said
    code, _, complaint = lvunet("evaluate", run / "best.safetensors", "--data", phantoms)
    assert code == 0
    assert "seen in training" not in complaint
    shown = tmp_path / "report"
    complaint = lvunet("evaluate", run / "best.safetensors", "--data", phantoms, "--part", "all", "-o", shown)[2]
    assert "of the 12 images were seen in training" in complaint
    assert json.loads((shown / "scores.json").read_text(encoding="utf-8"))["seen_in_training"] > 0
    assert "this is no test" in (shown / "report.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["train", "--epochs", "0"], "--epochs 0: Input should be greater than or equal to 1."),
        (["train", "--epochs", "7", "--validate-every", "2"], "epochs (7) must be a multiple of validate_every (2)"),
        (["train", "--epoch", "3"], "Did you mean --epochs?"),
        (["train", "--data", "nowhere"], "no folder nowhere"),
        (
            ["train", "--config", "nowhere.toml"],
            "cannot read the configuration nowhere.toml: No such file or directory.",
        ),
        (
            ["segment", "a.png", "--overlay", "-m", "kvasir-seg", "-o", "x"],
            "segment has no flag --overlay. Did you mean '--overlays'?",
        ),
        (["segment", "a.png", "-m", "kvasir-seg", "-o", "x", "--workers", "-3"], "--workers -3: give at least 1"),
        (["benchmark", "--threads", "0"], "threads = 0: give at least 1"),
        (["export", "kvasir-sog", "-o", "x.onnx"], "Did you mean 'kvasir-seg'?"),
        (
            ["segment", "a.png"],
            "--model (-m) is missing: a model of the package, or a file. There is: breast-ultrasound, ",
        ),
    ],
)
def test_a_mistake_in_a_value_is_answered_in_one_sentence(lvunet: Lvunet, arguments: list[str], answer: str) -> None:
    code, _, complaint = lvunet(*arguments)
    assert code == 2
    assert answer in " ".join(complaint.split())
    assert "pydantic" not in complaint
    assert "Traceback" not in complaint
