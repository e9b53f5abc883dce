"""Checkpoints: one safetensors file with the tensors and the card; no pickle is ever written, none is ever run."""

import hashlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor, nn

from lvunet.card import LVUNET, Card
from lvunet.errors import CheckpointError, OutputError
from lvunet.model.lvunet import LVUNet
from lvunet.model.tensors import read_tensors

Network = TypeVar("Network", bound=nn.Module)

HEADER = "lvunet"  # the key of the card in the safetensors header

# The original authors' names, in the order of their network, and ours.
ORIGINAL_PARTS = {
    "firstconv": "stem",
    "encoder1": "groups.0",
    "encoder2": "groups.1",
    "encoder3": "groups.2",
    "stages": "encoder",
    "up_stages1": "decoder",
    "up_stages2": "decoder",
    "final": "head",
}
ORIGINAL_LAYERS = {
    "conv1.0": "pointwise.expand",
    "conv1.1": "pointwise.expand_norm",
    "conv2.0": "pointwise.project",
    "conv2.1": "pointwise.project_norm",
    "act.weight": "series.mix.weight",
    "act.bn": "series.norm",
}


def state_sha256(model: nn.Module) -> str:
    """Return the SHA-256 over names, types, shapes and bytes of every tensor, in order of name."""
    digest = hashlib.sha256()
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def save_checkpoint(path: str | Path, model: nn.Module, card: Card) -> None:
    """Write tensors and card to one file, whole or not at all; raises `OutputError`."""
    path = Path(path)
    card = replace(card, source_sha256=state_sha256(model))
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(save(tensors, metadata={HEADER: card.to_json()}))  # save_file hides it from colleagues
        partial.replace(path)
    except (OSError, SafetensorError) as error:
        raise OutputError(f"cannot write the checkpoint {path}: {error}") from error
    finally:
        if partial.is_file():
            partial.unlink()


def load_checkpoint(path: str | Path) -> tuple[LVUNet, Card]:
    """Read a checkpoint that `save_checkpoint` wrote; the network comes back in evaluation mode, on the CPU."""

    def lvunet(name: str) -> type[LVUNet]:
        if name != LVUNET:
            raise CheckpointError(f"{path} is of a peer, {name}: it can teach, but only LV-UNet is folded and used.")
        return LVUNet

    return load_network(path, lvunet)


def load_card(path: str | Path) -> Card:
    """Return what a checkpoint says of itself; its tensors are not read."""
    with _opened(Path(path)) as (_, card):
        return card


def load_network(path: str | Path, constructor: Callable[[str], Callable[[int, int], Network]]) -> tuple[Network, Card]:
    """Read the checkpoint of any network, as `load_checkpoint`.

    `constructor` returns, for the name of a network, what makes it from classes and channels.
    """
    with _opened(Path(path)) as (file, card):
        tensors = {name: file.get_tensor(name) for name in file.offset_keys()}
    model = constructor(card.network)(card.classes, card.in_channels)
    _load_state(model, tensors, str(path))
    if state_sha256(model) != card.source_sha256:
        raise CheckpointError(f"{path}: the tensors are not those the card was written for; the file was edited.")
    return model.eval(), card


@contextmanager
def _opened(path: Path) -> Iterator[tuple[Any, Card]]:
    """Yield the open file, whose tensors are read by name, and its card; raises `CheckpointError`."""
    try:
        with safe_open(path, framework="pt") as file:
            header = (file.metadata() or {}).get(HEADER)
            if header is None:
                raise CheckpointError(f"{path} holds tensors, but no LV-UNet card: another program made it.")
            yield file, Card.from_json(header)
    except FileNotFoundError as error:
        raise CheckpointError(f"no checkpoint at {path}: give the best.safetensors of a run.") from error
    except (SafetensorError, OSError) as error:
        raise CheckpointError(
            f"{path} is not a readable safetensors file ({error}): give the best.safetensors of a run."
        ) from error


def import_original(source: str | Path | Mapping[str, Tensor]) -> LVUNet:
    """Return an LV-UNet with the weights of a checkpoint of the original authors' code.

    Takes their `.pth` (tensors only: a pickle that wants to run code is refused), a safetensors file, or a state dict.
    Their checkpoints do not hold the slope of deep training; set it: `model.set_slope(1)` for a run trained to the end,
    0 (as it comes back) for a plain one.
    """
    named = dict(source) if isinstance(source, Mapping) else read_tensors(Path(source))
    renamed = {_our_name(name.removeprefix("module.")): tensor for name, tensor in named.items()}
    head = renamed.get("head.1.weight")
    stem = renamed.get("stem.0.weight")
    if head is None or stem is None:
        raise CheckpointError(
            "not a state dict of the original LV-UNet: 'firstconv.0.weight' or 'final.1.weight' lacks."
        )
    model = LVUNet(classes=head.shape[0], in_channels=stem.shape[1])
    slopes = {name: slope for name, slope in model.state_dict().items() if name.endswith(".slope")}
    _load_state(model, slopes | renamed, "the original checkpoint")
    return model.eval()


def _our_name(name: str) -> str:
    part, *rest = name.split(".")
    if part == "up_stages2":  # our decoder is their two lists in a row
        rest[0] = str(int(rest[0]) + 3)
    if part in ("final", "stages", "up_stages1", "up_stages2"):
        block, tail = rest[0], ".".join(rest[1:])
        for theirs, ours in ORIGINAL_LAYERS.items():
            tail = tail.replace(theirs, ours) if tail.startswith(theirs) else tail
        rest = [block, tail]
    return ".".join([ORIGINAL_PARTS.get(part, part), *rest])


def _load_state(model: nn.Module, state: Mapping[str, Tensor], source: str) -> None:
    try:
        model.load_state_dict(state)
    except RuntimeError as error:
        first = str(error).splitlines()[1:2]
        what = f"{type(model).__name__}: {' '.join(first).strip()[:300]}"
        raise CheckpointError(f"{source} does not fit {what}") from error
