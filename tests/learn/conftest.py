"""A folder to train on, and a training that has ended."""

from pathlib import Path

import pytest

from lvunet.data.phantom import write_phantoms
from lvunet.learn.train import Run
from trainings import run


@pytest.fixture(scope="session")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("phantoms")
    write_phantoms(folder, 24, seed=5, size=(80, 96))
    return folder


@pytest.fixture(scope="session")
def finished(phantoms: Path, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return run(phantoms, tmp_path_factory.mktemp("run"))
