"""One function a format: a deployed network in, a file out; each is called in a process of its own (`worker`)."""

import os
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import cast

import onnx
import torch
from torch import nn

from lvunet.errors import ConfigError
from lvunet.export.deployed import Deployed, graph
from lvunet.export.onnx import to_onnx
from lvunet.export.targets import TargetName
from lvunet.model import LVUNet


def onnx_file(network: nn.Module, deployed: Deployed, path: Path) -> None:
    """ONNX, with the resize inside: any size in, that size out."""
    onnx.save(to_onnx(network, deployed.card), path)


def openvino_file(network: nn.Module, deployed: Deployed, path: Path) -> None:
    """OpenVINO's .xml and .bin."""
    import openvino as ov

    ov.save_model(ov.convert_model(graph(deployed, deployed.image)), path, compress_to_fp16=False)


def executorch_file(network: nn.Module, deployed: Deployed, path: Path) -> None:
    """ExecuTorch's .pte, lowered to XNNPACK.

    Its delegate mistakes an output of one channel for another layout (executorch 1.5.1), so the head gives its only
    class twice, and the second is cut off.
    """
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    network_of_many = _Twice(deployed) if deployed.card.classes == 1 else deployed
    lowered = to_edge_transform_and_lower(graph(network_of_many, deployed.image), partitioner=[XnnpackPartitioner()])
    path.write_bytes(lowered.to_executorch().buffer)


class _Twice(nn.Module):
    """The probability of one class, out of a head that computes it twice."""

    def __init__(self, deployed: Deployed) -> None:
        super().__init__()
        self.deployed = deepcopy(deployed)
        head = cast(LVUNet, self.deployed.planes.network).head
        once = cast(nn.Conv2d, head[1])
        head[1] = nn.Conv2d(once.in_channels, 2, 1)
        head[1].load_state_dict({name: torch.cat([tensor, tensor]) for name, tensor in once.state_dict().items()})

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        probability: torch.Tensor = self.deployed(image)
        return probability[:, :1]  # (1, 1, size, size)


def litert_file(network: nn.Module, deployed: Deployed, path: Path) -> None:
    """LiteRT's .tflite."""
    import litert_torch

    litert_torch.convert(deployed, (deployed.image,)).export(str(path))


def ncnn_file(network: nn.Module, deployed: Deployed, path: Path) -> None:
    """ncnn's .param and .bin, by pnnx, which leaves its other files behind."""
    import pnnx

    os.chdir(path.parent)  # pnnx writes some of its files to where it was started
    pnnx.export(deployed.planes, str(path.with_suffix(".pt")), (deployed.pixels,), fp16=False)
    for suffix in (".param", ".bin"):
        path.with_suffix(f".ncnn{suffix}").replace(path.with_suffix(suffix))


def coreml_file(network: nn.Module, deployed: Deployed, path: Path) -> None:
    """Core ML's .mlpackage, which takes an image of the system; it cannot be executed but on Apple's."""
    import coremltools as ct

    if deployed.card.in_channels not in (1, 3):
        raise ConfigError("Core ML takes pictures, grey or in colour: not this network of other channels.")
    package = ct.convert(
        graph(deployed.planes, deployed.pixels),
        inputs=[ct.ImageType(name="image", shape=tuple(deployed.pixels.shape), color_layout=ct.colorlayout.RGB)],
        outputs=[ct.TensorType(name="probability")],
        compute_precision=ct.precision.FLOAT32,
        minimum_deployment_target=ct.target.iOS16,
    )
    package.short_description, package.version = deployed.card.intended_use, deployed.card.version
    package.license = deployed.card.licence
    package.user_defined_metadata["lvunet"] = deployed.card.to_json()
    package.save(str(path))


def program_file(network: nn.Module, deployed: Deployed, path: Path) -> None:
    """PyTorch's .pt2."""
    torch.export.save(graph(deployed, deployed.image), path)


CONVERTERS: Mapping[TargetName, Callable[[nn.Module, Deployed, Path], None]] = {
    "onnx": onnx_file,
    "openvino": openvino_file,
    "executorch": executorch_file,
    "litert": litert_file,
    "ncnn": ncnn_file,
    "coreml": coreml_file,
    "torch": program_file,
}
