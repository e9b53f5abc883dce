"""Checkpoints of others: what is none is said to be none, whatever its bytes do to the unpickler."""

from pathlib import Path

import numpy as np
import pytest
import torch

from lvunet.errors import CheckpointError
from lvunet.model.tensors import read_tensors


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@pytest.mark.parametrize("name", ["noise.pth", "noise.safetensors"])
def test_noise_is_no_checkpoint(tmp_path: Path, name: str) -> None:
    random = np.random.default_rng(0)
    for length in range(200):  # an IndexError of PyTorch among them
        (tmp_path / name).write_bytes(random.bytes(length))
        with pytest.raises(CheckpointError, match=rf"{name} (is not a readable checkpoint|holds more than tensors)"):
            read_tensors(tmp_path / name)


def test_a_checkpoint_that_wraps_its_tensors_says_what_it_has(tmp_path: Path) -> None:
    torch.save({"model": {"weight": torch.zeros(1)}, "epoch": 3}, tmp_path / "wrapped.pth")
    with pytest.raises(CheckpointError, match=r"alone or under 'state_dict'; it has 'model', 'epoch'\."):
        read_tensors(tmp_path / "wrapped.pth")
