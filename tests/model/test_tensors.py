"""Checkpoints of others: what is none is said to be none, whatever its bytes do to the unpickler."""

from pathlib import Path
from typing import Any

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


@pytest.mark.parametrize("key", ["model", "state_dict", "net"])
def test_tensors_under_a_key_are_taken(tmp_path: Path, key: str) -> None:
    optimizer = {"state": {}, "param_groups": [{"lr": 0.1}]}
    torch.save({key: {"weight": torch.ones(1)}, "optimizer": optimizer, "epoch": 3}, tmp_path / "wrapped.pth")
    assert read_tensors(tmp_path / "wrapped.pth") == {"weight": torch.ones(1)}


def test_among_several_the_one_under_its_usual_name_is_taken(tmp_path: Path) -> None:
    torch.save({"ema": {"weight": torch.zeros(1)}, "state_dict": {"weight": torch.ones(1)}}, tmp_path / "wrapped.pth")
    assert read_tensors(tmp_path / "wrapped.pth") == {"weight": torch.ones(1)}


@pytest.mark.parametrize(
    "wrapped", [{"model": {"weight": torch.zeros(1)}, "ema": {"weight": torch.ones(1)}}, {"model": {}}]
)
def test_a_checkpoint_of_several_networks_or_none_says_what_it_has(tmp_path: Path, wrapped: dict[str, Any]) -> None:
    torch.save(wrapped, tmp_path / "wrapped.pth")
    with pytest.raises(CheckpointError, match=r"not one state dict of tensors, alone or under a key; it has 'model'"):
        read_tensors(tmp_path / "wrapped.pth")
