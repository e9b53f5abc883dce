"""`lvunet export` as a user meets it: several targets, mistakes, and an interruption."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lvunet.model import LVUNet, save_checkpoint
from models import card_of

Lvunet = Callable[..., tuple[int, str, str]]
MARK = "LVUNET_TEST_MARK"  # in the environment of a command and of all that it starts
BEGUN_S, ENDED_S = 200.0, 30.0  # for what takes four seconds and none on a quiet core


@pytest.mark.slow
def test_several_targets_are_exported_by_one_command(lvunet: Lvunet, checkpoint: Path, tmp_path: Path) -> None:
    code, said, _ = lvunet("export", checkpoint, "--to", "onnx", "torch", "-o", tmp_path / "out")
    assert code == 0
    table = [line.split() for line in said.splitlines()]
    assert [row[0] for row in table if row and row[-1] == "ms"] == ["onnx", "torch"]
    assert f"proof on 12 images: {tmp_path / 'out' / 'parity.html'}" in said
    record = json.loads((tmp_path / "out" / "parity.json").read_text(encoding="utf-8"))
    assert [artefact["target"] for artefact in record["artefacts"]] == ["onnx", "torch"]
    code, said, _ = lvunet("evaluate", tmp_path / "out" / "lvunet.pt2", "--data", tmp_path)
    assert code == 2  # it was loaded, and misses the data


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["MODEL", "--to", "onnx", "ncnn", "-o", "OUT"], "pip install 'lvunet[ncnn]'."),
        (["MODEL", "--to", "onx", "-o", "OUT"], "onx"),
        (["MODEL", "--to", "-o", "OUT"], "--to"),
        (["MODEL", "--to", "onnx", "torch", "-o", "OUT.onnx"], "for one target a file that ends in its suffix"),
        (["MODEL", "--to", "torch", "-o", "OUT.onnx"], "ends in its suffix (.pt2)"),
        (["MODEL", "-o", "TAKEN"], "is a folder. Remove it"),
        (["MODEL", "-o", "OUT", "--verify-on", "nowhere"], "nowhere"),
        (["NOTFOLDABLE", "-o", "OUT"], "slope is 0.5"),
        (["nothing.onnx", "-o", "OUT"], "no file 'nothing.onnx'"),
        (["MODEL", "-o", "OUT", "--limit", "nan"], "--limit nan: give 1 to 86400 seconds"),
        (["MODEL", "-o", "OUT", "--limit", "0"], "--limit 0: give 1 to 86400 seconds"),
    ],
)
def test_a_mistake_is_answered_in_a_sentence_and_nothing_is_written(
    lvunet: Lvunet, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], answer: str
) -> None:
    monkeypatch.setitem(sys.modules, "ncnn", None)
    model = LVUNet().eval()
    model.set_slope(0.5)
    save_checkpoint(tmp_path / "half.safetensors", model, card_of(1, 3))
    (tmp_path / "taken" / "lvunet.onnx").mkdir(parents=True)
    known = {"MODEL": checkpoint, "NOTFOLDABLE": tmp_path / "half.safetensors", "TAKEN": tmp_path / "taken"}
    known |= {"OUT": tmp_path / "out", "OUT.onnx": tmp_path / "out.onnx"}
    before = sorted(tmp_path.rglob("*"))
    code, said, complaint = lvunet("export", *(known.get(each, each) for each in arguments))
    assert code == 2
    assert answer in " ".join(complaint.split())
    assert "Traceback" not in said + complaint
    assert sorted(tmp_path.rglob("*")) == before


def test_without_torch_it_says_what_to_install(checkpoint: Path, tmp_path: Path) -> None:
    code = "import sys; sys.modules['torch'] = None; from lvunet import cli; cli.main()"
    arguments = ["export", str(checkpoint), "--to", "openvino", "-o", str(tmp_path / "out")]
    ended = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "torch" in ended.stderr
    assert "pip install 'lvunet[openvino]'" in " ".join(ended.stderr.split())
    assert "Traceback" not in ended.stderr


def of_the_command(mark: str) -> list[Path]:
    """The processes that a command has started, itself included."""
    found = []
    for environment in Path("/proc").glob("[0-9]*/environ"):
        try:
            if f"{MARK}={mark}".encode() in environment.read_bytes():
                found.append(environment.parent)
        except OSError:
            continue  # it has just ended
    return found


SLOW = (pytest.param(number, marks=pytest.mark.slow) for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGKILL))


@pytest.mark.parametrize("interruption", [signal.SIGINT, *SLOW])
def test_an_interruption_leaves_no_file_and_no_process(
    checkpoint: Path, tmp_path: Path, interruption: signal.Signals
) -> None:
    mark = str(tmp_path)
    command = [sys.executable, "-m", "lvunet.cli", "export", str(checkpoint), "--to", "torch", "-o", "out"]
    running = subprocess.Popen(command, cwd=tmp_path, env=os.environ | {MARK: mark})
    deadline = time.monotonic() + BEGUN_S
    while len(of_the_command(mark)) < 2 and running.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    assert len(of_the_command(mark)) >= 2  # the conversion has begun
    running.send_signal(interruption)
    killed = interruption == signal.SIGKILL
    assert running.wait(timeout=ENDED_S) == (-signal.SIGKILL if killed else 130)
    deadline = time.monotonic() + ENDED_S
    while killed and of_the_command(mark) and time.monotonic() < deadline:
        time.sleep(0.05)  # the converter looks once a second
    assert list(tmp_path.iterdir()) == []
    assert of_the_command(mark) == []
