"""The runtime as a user installs it: a new virtual environment, the base dependencies, no torch."""

import json
import subprocess
import sys
from pathlib import Path
from urllib.request import urlopen

import pytest

from lvunet.data.phantom import phantom, write_phantoms
from lvunet.image import write_image

ROOT = Path(__file__).parents[1]
PROGRAM = """
import importlib.util, sys, lvunet
assert importlib.util.find_spec("torch") is None
found = lvunet.load(sys.argv[1]).segment(sys.argv[2])
assert found.mask.shape == (90, 120) and found.mask.dtype == "uint8"
assert found.overlay().shape == (90, 120, 3)
found.save(sys.argv[3])
"""


def run(*command: object) -> str:
    ended = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, cwd="/")
    assert ended.returncode == 0, ended.stderr
    return ended.stdout


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a new environment with the package."""
    folder = tmp_path_factory.mktemp("installed")
    run(sys.executable, "-m", "venv", folder)
    run(folder / "bin" / "python", "-m", "pip", "install", "--quiet", ROOT)
    return folder / "bin"


def test_the_page_is_in_the_package_and_served_from_there(installed: Path, page: Path) -> None:
    command = [str(installed / "lvunet"), "demo", "--web", "--no-browser", "--port", "0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd="/") as process:
        assert process.stdout
        address = process.stdout.readline().split()[0]
        for built in filter(Path.is_file, page.rglob("*")):
            with urlopen(address + built.relative_to(page).as_posix(), timeout=10) as answer:
                assert answer.read() == built.read_bytes()
        process.terminate()


def test_a_model_segments_in_an_environment_without_torch(installed: Path, artefact: Path, tmp_path: Path) -> None:
    python, lvunet = installed / "python", installed / "lvunet"
    write_image(tmp_path / "image.png", phantom("polyp", 0, (90, 120))[0])
    run(python, "-c", PROGRAM, artefact, tmp_path / "image.png", tmp_path / "mask.png")
    assert (tmp_path / "mask.png").exists()
    assert "1 of 1" in run(lvunet, "segment", tmp_path / "image.png", "-m", artefact, "-o", tmp_path / "out")
    assert "CVC-ColonDB" in run(lvunet, "data", "list")
    assert "runs; to export: pip install 'lvunet[train]'" in run(lvunet, "doctor")
    to_openvino = ("export", "polyp", "--to", "openvino", "-o", tmp_path / "exported")
    write_phantoms(tmp_path / "data", 2, seed=0)
    to_train = ("train", "--data", tmp_path / "data", "--out", tmp_path / "run")
    for command, extra in ((to_train, "train"), (to_openvino, "openvino")):
        refused = subprocess.run([lvunet, *command], capture_output=True, text=True, check=False)
        assert refused.returncode == 2
        assert f"pip install 'lvunet[{extra}]'" in refused.stderr


@pytest.mark.slow
def test_everything_installs_together_and_pip_finds_out_how(tmp_path: Path) -> None:
    report = tmp_path / "report.json"
    extras = f"{ROOT}[targets,peers,video]"
    run(
        sys.executable, "-m", "pip", "install", "--dry-run", "--ignore-installed", "--quiet", "--report", report, extras
    )
    chosen = {each["metadata"]["name"].lower() for each in json.loads(report.read_text(encoding="utf-8"))["install"]}
    needed = {"torch", "onnxruntime", "openvino", "nncf", "executorch", "torchao", "litert-torch", "coremltools", "av"}
    assert chosen >= needed | {"ai-edge-litert", "ai-edge-quantizer", "ncnn", "pnnx", "monai"}
