"""Back from what was deployed: a network to go on training, out of the 2 MB of an exported model."""

from pathlib import Path
from typing import cast

import onnx
import torch
from torch import Tensor, nn

from lvunet.card import Card
from lvunet.errors import ArtefactError, ConfigError
from lvunet.fold import fold
from lvunet.fold.unfold import unfold
from lvunet.model import LVUNet, load_checkpoint
from lvunet.runtime.onnx_backend import OnnxSegmenter
from lvunet.runtime.zoo import model_file

HEAD = "head.1."  # the last 1x1, of as many channels as classes


def initial(source: str | Path, classes: int | None = None, in_channels: int | None = None) -> tuple[LVUNet, Card]:
    """Return a trainable network that computes what a model does, in evaluation mode, with the card of the model.

    `source` is a model of the zoo by name, an export (.onnx), or a trained checkpoint (.safetensors), whose slope
    stays. For another number of classes everything is kept but the last 1x1 of the head, which starts anew.
    Raises `ConfigError` for an unknown name and for other channels, `ArtefactError` and `CheckpointError` for a file
    that is not ours, or whose weights were quantised.
    """
    path = model_file(source)
    if path.suffix not in (".onnx", ".safetensors"):
        raise ConfigError(f"{path}: go on from an export (.onnx) or from a trained checkpoint (.safetensors).")
    network, card = load_checkpoint(path) if path.suffix == ".safetensors" else _from_onnx(path)
    if in_channels not in (None, network.in_channels):
        raise ConfigError(
            f"{source} takes {network.in_channels} channels, not {in_channels}, so its first convolution does not fit. "
            "Train with as many, or go on from another model."
        )
    return network if classes in (None, network.classes) else _with_head(network, classes), card


def _from_onnx(path: Path) -> tuple[LVUNet, Card]:
    """Fill a folded network with the convolutions of an artefact: both compute them in the same order."""
    card = OnnxSegmenter(path, threads=1).card
    skeleton = LVUNet(card.classes, card.in_channels).eval()
    skeleton.set_slope(1)
    folded = cast(LVUNet, fold(skeleton))
    try:
        convolutions = (module for module in folded.modules() if isinstance(module, nn.Conv2d))
        for conv, stored in zip(convolutions, _convolutions(onnx.load(path).graph), strict=True):
            zeros = {name: torch.zeros_like(tensor) for name, tensor in conv.state_dict().items()}
            conv.load_state_dict(zeros | stored)  # the exporter leaves out a bias of zeros
    except (RuntimeError, ValueError) as error:
        raise ArtefactError(
            f"{path} does not hold the convolutions of a folded LV-UNet in float. If it was quantised, go on from the "
            "export in float or from the checkpoint."
        ) from error
    return unfold(folded), card


def _convolutions(graph: onnx.GraphProto) -> list[dict[str, Tensor]]:
    """Return weight and bias of each convolution that has stored weights, in the order of computing."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    return [
        {
            slot: torch.from_numpy(onnx.numpy_helper.to_array(stored[name]).copy())
            for slot, name in zip(("weight", "bias"), node.input[1:], strict=False)
        }
        for node in graph.node
        if node.op_type == "Conv" and stored.keys() >= set(node.input[1:])
    ]


def _with_head(network: LVUNet, classes: int) -> LVUNet:
    fresh = LVUNet(classes, network.in_channels)
    kept = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith(HEAD)}
    fresh.load_state_dict(fresh.state_dict() | kept)
    return fresh.eval()
