"""Fixtures that every folder of tests shares."""

import os
import signal
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from lvunet import cli
from lvunet.cli.web import PAGE
from lvunet.export.onnx import export_onnx
from lvunet.model import save_checkpoint
from models import card_of, picture, trained_model

SHARED = Path(os.environ.get("LVUNET_SHARED", Path(__file__).parents[1].parent / "shared"))

signal.signal(signal.SIGINT, signal.default_int_handler)  # behind `nohup` it is ignored, also by what tests start


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real data, pretrained weights and reference values (`LVUNET_SHARED`)."""
    if not (SHARED / "datasets").is_dir():
        message = f"no real data at {SHARED}; set LVUNET_SHARED"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    return SHARED


@pytest.fixture(scope="session")
def page() -> Path:
    """The folder of the built page, which is there after `make web`."""
    if not (PAGE / "index.html").is_file():
        message = "the page was not built: make web"
        pytest.fail(message) if os.environ.get("CI") == "true" else pytest.skip(message)
    return PAGE


@pytest.fixture(scope="session")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], Path]:
    """The artefact of a model of so many classes and channels, exported once a session."""

    @cache
    def export(classes: int = 1, in_channels: int = 3) -> Path:
        path = tmp_path_factory.mktemp("artefacts") / f"{classes}-{in_channels}.onnx"
        seen = 3 if in_channels == 1 else in_channels
        export_onnx(trained_model(classes, in_channels), card_of(classes, in_channels), path, [picture(90, 70, seen)])
        return path

    return export


@pytest.fixture(scope="session")
def artefact(exported: Callable[[int, int], Path]) -> Path:
    """The artefact of a model of one class and three channels."""
    return exported(1, 3)


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The trained form of `artefact`."""
    path = tmp_path_factory.mktemp("checkpoints") / "model.safetensors"
    save_checkpoint(path, trained_model(1, 3), card_of(1, 3))
    return path


@pytest.fixture
def lvunet(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Run a command line in this process; return exit code, standard output and standard error."""

    def run(*arguments: object) -> tuple[int, str, str]:
        with pytest.raises(SystemExit) as end:
            cli.main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        return int(end.value.code or 0), captured.out, captured.err

    return run
