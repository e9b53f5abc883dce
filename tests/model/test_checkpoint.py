"""Checkpoints: ours round-trip, the original authors' compute what their code computed, bad ones are refused."""

import os
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from lvunet.card import Card
from lvunet.errors import CheckpointError, OutputError
from lvunet.model import LVUNet, import_original, load_checkpoint, save_checkpoint

LOGIT_TOLERANCE = 1e-4  # their logits reach 5; float32 rounding through 60 layers


@pytest.fixture(scope="module")
def reference(shared: Path) -> dict[str, Tensor]:
    return load_file(shared / "reference" / "lvunet_original.safetensors")


@pytest.fixture(scope="module")
def original_state(reference: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key.removeprefix("state_dict."): t for key, t in reference.items() if key.startswith("state_dict.")}


@pytest.mark.parametrize("size", ["256x256", "128x384"])
@pytest.mark.parametrize("slope", [0.0, 0.5, 1.0])
def test_imported_weights_give_the_logits_of_the_original_code(
    reference: dict[str, Tensor], original_state: dict[str, Tensor], size: str, slope: float
) -> None:
    model = import_original(original_state)
    model.set_slope(slope)
    with torch.inference_mode():
        logits = model(reference[f"input_{size}"])
    assert (logits - reference[f"logits_{size}_slope_{slope}"]).abs().max() < LOGIT_TOLERANCE


def test_a_pth_of_the_original_code_is_read_without_running_code(
    original_state: dict[str, Tensor], tmp_path: Path
) -> None:
    torch.save({f"module.{key}": tensor for key, tensor in original_state.items()}, tmp_path / "model.pth")
    imported = import_original(tmp_path / "model.pth")
    assert torch.equal(imported.state_dict()["head.1.weight"], original_state["final.1.weight"])


def test_a_checkpoint_brings_back_tensors_slope_and_card(tmp_path: Path) -> None:
    model = LVUNet(classes=3, in_channels=1)
    model.set_slope(0.25)
    card = Card(classes=3, class_names=("background", "a", "b"), in_channels=1, mean=(0.4,), std=(0.2,), threshold=0.3)
    save_checkpoint(tmp_path / "m.safetensors", model, card)
    again, card_again = load_checkpoint(tmp_path / "m.safetensors")
    assert again.slope == 0.25
    assert all(torch.equal(a, b) for a, b in zip(model.state_dict().values(), again.state_dict().values(), strict=True))
    assert (card_again.class_names, card_again.threshold, card_again.mean) == (card.class_names, 0.3, (0.4,))


class Bomb:
    """Unpickled, it would make a folder."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.target),)


def test_a_pickle_that_tries_to_run_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    torch.save({"state_dict": Bomb(tmp_path / "ran")}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match="could run code"):
        import_original(tmp_path / "evil.pth")
    assert not (tmp_path / "ran").exists()


def test_corrupt_foreign_and_edited_checkpoints_are_refused_with_the_reason(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no checkpoint at"):
        load_checkpoint(tmp_path / "none.safetensors")
    (tmp_path / "corrupt.safetensors").write_bytes(b"\x00" * 100)
    with pytest.raises(CheckpointError, match="not a readable safetensors"):
        load_checkpoint(tmp_path / "corrupt.safetensors")
    save_file({"x": torch.zeros(2)}, tmp_path / "foreign.safetensors")
    with pytest.raises(CheckpointError, match="another program"):
        load_checkpoint(tmp_path / "foreign.safetensors")
    save_checkpoint(tmp_path / "good.safetensors", LVUNet(), Card())
    edited = bytearray((tmp_path / "good.safetensors").read_bytes())
    edited[-5] ^= 1
    (tmp_path / "edited.safetensors").write_bytes(edited)
    with pytest.raises(CheckpointError, match="edited"):
        load_checkpoint(tmp_path / "edited.safetensors")


def test_a_state_dict_of_another_network_is_named_as_such() -> None:
    with pytest.raises(CheckpointError, match="not a state dict of the original"):
        import_original({"layer.weight": torch.zeros(1)})


def test_a_checkpoint_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(OutputError):
        save_checkpoint(tmp_path / "file" / "m.safetensors", LVUNet(), Card())
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
