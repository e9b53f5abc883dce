"""One function a format: a deployed network in, a file out; each is called in a process of its own (`worker`)."""

from collections.abc import Callable, Mapping
from contextlib import chdir
from pathlib import Path
from typing import Any

import torch
from torch import nn

from lvunet.errors import ConfigError
from lvunet.export.deployed import Deployed, graph
from lvunet.export.onnx import to_onnx, write_onnx
from lvunet.export.targets import TargetName


def onnx_file(network: nn.Module, deployed: Deployed, path: Path) -> None:
    """ONNX, with the resize inside: any size in, that size out."""
    write_onnx(to_onnx(network, deployed.card), path)


def openvino_file(network: nn.Module, deployed: Deployed, path: Path) -> None:
    """OpenVINO's .xml and .bin."""
    import openvino as ov

    ov.save_model(openvino_model(deployed), path, compress_to_fp16=False)


def openvino_model(deployed: Deployed) -> Any:
    """Return the network as an OpenVINO model of fixed shape, in the forms that it is fast at.

    A batch that may vary costs 15 % (2026-11-23).
    """
    import openvino as ov

    from lvunet.export.openvino_forms import rewrite

    form = deployed if deployed.card.classes == 1 else deployed.with_strip_head()
    model = ov.convert_model(graph(form, deployed.image))
    model.reshape(list(deployed.image.shape))
    rewrite(model)
    return model


def executorch_file(network: nn.Module, deployed: Deployed, path: Path) -> None:
    """ExecuTorch's .pte, for XNNPACK, which mistakes an output of one channel for another layout (1.5.1)."""
    path.write_bytes(lowered(graph(deployed.with_strip_head(), deployed.image)))


def lowered(program: torch.export.ExportedProgram) -> bytes:
    """Return a graph as ExecuTorch runs it, with all that XNNPACK can do left to that."""
    from executorch.backends.xnnpack.partition.xnnpack_partitioner import XnnpackPartitioner
    from executorch.exir import to_edge_transform_and_lower

    return bytes(to_edge_transform_and_lower(program, partitioner=[XnnpackPartitioner()]).to_executorch().buffer)


def litert_file(network: nn.Module, deployed: Deployed, path: Path) -> None:
    """LiteRT's .tflite."""
    import litert_torch

    litert_torch.convert(deployed, (deployed.image,)).export(str(path))


def ncnn_file(network: nn.Module, deployed: Deployed, path: Path) -> None:
    """ncnn's .param and .bin, by pnnx, which leaves its other files behind."""
    import pnnx

    with chdir(path.parent):  # pnnx writes some of its files to where it was started
        pnnx.export(deployed.planes, "model.pt", (deployed.pixels,), fp16=False)
        for suffix in (".param", ".bin"):
            Path(f"model.ncnn{suffix}").replace(path.with_suffix(suffix))


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
