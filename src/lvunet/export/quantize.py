"""Fewer bits: one function for each runtime and precision that is worth offering, all from the same deployed network.

Calibration images are uint8 squares (size, size, C); what was tried and is not worth offering is in docs/lab-notes.md.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from torch import nn

from lvunet.export.converters import litert_file, lowered, openvino_model
from lvunet.export.deployed import Deployed, graph
from lvunet.export.onnx import to_onnx, write_onnx
from lvunet.export.targets import Precision, TargetName
from lvunet.image import UInt8

SMALL_MAPS = 8  # int8 pays on maps of 1/8 of the image and less: above, memory is the limit, as it is in bf16
KEPT_FLOAT = ("Add", "AvgPool", "Divide", "GroupConvolution", "HSwish", "Interpolate", "MaxPool", "Multiply", "Pad")
SENSITIVE = ("_stem/", r"Sequential_2/.*InvertedResidual_[123]/.*Conv2dNormActivation_1/")  # LiteRT's names of layers
FEW = 256  # a tensor with fewer values is left as it is


def openvino_fp16(network: nn.Module, deployed: Deployed, calibration: Sequence[UInt8], path: Path) -> None:
    """OpenVINO with its weights stored in 16 bits, computed in float32."""
    import openvino as ov

    ov.save_model(openvino_model(deployed), path, compress_to_fp16=True)


def openvino_bf16(network: nn.Module, deployed: Deployed, calibration: Sequence[UInt8], path: Path) -> None:
    """OpenVINO with its weights stored in 16 bits, computed in bf16 where the processor can."""
    import openvino as ov

    from lvunet.runtime.openvino_backend import COMPUTED_IN

    model = openvino_model(deployed)
    model.set_rt_info("bf16", COMPUTED_IN)
    ov.save_model(model, path, compress_to_fp16=True)


def openvino_int8(network: nn.Module, deployed: Deployed, calibration: Sequence[UInt8], path: Path) -> None:
    """OpenVINO with int8 in the dense 3x3 and in the 1x1 of small maps, which hold most weights; the rest is bf16."""
    import nncf
    import openvino as ov

    from lvunet.export.openvino_forms import with_relu_apart
    from lvunet.runtime.openvino_backend import COMPUTED_IN

    model = with_relu_apart(openvino_model(deployed))
    kept = [node.get_friendly_name() for node in model.get_ordered_ops() if _stays_float(node, deployed.card.size)]
    quantized = nncf.quantize(
        model,
        nncf.Dataset(_batches(deployed, calibration)),
        preset=nncf.QuantizationPreset.MIXED,
        subset_size=len(calibration),
        ignored_scope=nncf.IgnoredScope(names=kept),
    )
    quantized.set_rt_info("bf16", COMPUTED_IN)
    ov.save_model(quantized, path, compress_to_fp16=True)


def litert_int8(network: nn.Module, deployed: Deployed, calibration: Sequence[UInt8], path: Path) -> None:
    """LiteRT with int8, weights a channel, for XNNPACK.

    Hard-swish and the ReLU behind a resize stay float: XNNPACK leaves their int8 forms to slow reference kernels, 10.6
    against 2.5 ms (2026-11-23). So do the stem and the depthwise convolutions in front of a hard-swish, whose values
    reach 80 where 3 would do.
    """
    from ai_edge_quantizer import qtyping, quantizer, recipe_manager

    in_float = path.with_suffix(".float.tflite")
    litert_file(network, deployed, in_float)
    recipe = recipe_manager.RecipeManager()
    for name in ("CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "MUL", "PAD", "MEAN", "MAX_POOL_2D", "RESIZE_BILINEAR"):
        operation = qtyping.TFLOperationName[name]
        recipe.add_static_config(".*", operation, activation_num_bits=8, weight_num_bits=8)
        for scope in SENSITIVE:
            recipe.add_quantization_config(scope, operation, algorithm_key="no_quantize")
    worker = quantizer.Quantizer(str(in_float), recipe.get_quantization_recipe())
    samples = {"serving_default": [{"args_0": batch} for batch in _batches(deployed, calibration)]}
    worker.quantize(worker.calibrate(samples)).export_model(str(path))
    in_float.unlink()


def executorch_int8(network: nn.Module, deployed: Deployed, calibration: Sequence[UInt8], path: Path) -> None:
    """ExecuTorch with int8 for XNNPACK, weights a channel, by PT2E; normalisation and probability stay float."""
    import torch
    from executorch.backends.xnnpack.quantizer.xnnpack_quantizer import (
        XNNPACKQuantizer,
        get_symmetric_quantization_config,
    )
    from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

    quantizer = XNNPACKQuantizer()
    quantizer.set_global(get_symmetric_quantization_config(is_per_channel=True))
    quantizer.set_filter_function(_is_behind_the_stem)
    observed = prepare_pt2e(graph(deployed.with_strip_head(), deployed.image).module(), quantizer)
    with torch.no_grad():
        for batch in _batches(deployed, calibration):
            observed(torch.from_numpy(batch))
    path.write_bytes(lowered(torch.export.export(convert_pt2e(observed), (deployed.image,))))


def _is_behind_the_stem(node: Any) -> bool:
    """The stem stays float: the values in front of its hard-swish reach 80, where 3 would do."""
    return not any("network.stem" in path for path, _ in node.meta.get("nn_module_stack", {}).values())


def onnx_weights(bits: int, network: nn.Module, deployed: Deployed, calibration: Sequence[UInt8], path: Path) -> None:
    """ONNX with its weights stored in 16 or 8 bits, which ONNX Runtime unfolds on loading: smaller, and as fast.

    Eight bits are a Cast and a Mul: DequantizeLinear ONNX Runtime would keep, and rerun at every call (8.8 ms).
    """
    model = to_onnx(network, deployed.card)
    graph_, unfolding = model.graph, []
    large = (tensor for tensor in graph_.initializer if tensor.data_type == onnx.TensorProto.FLOAT)
    for tensor in [tensor for tensor in large if np.prod(tensor.dims) >= FEW]:
        weight, name = onnx.numpy_helper.to_array(tensor), tensor.name
        graph_.initializer.remove(tensor)
        stored, steps = (_halves if bits == 16 else _bytes)(weight, name)
        graph_.initializer.extend(onnx.numpy_helper.from_array(values, slot) for slot, values in stored.items())
        unfolding += steps
    nodes = [*unfolding, *graph_.node]
    del graph_.node[:]
    graph_.node.extend(nodes)
    onnx.checker.check_model(model, full_check=True)
    write_onnx(model, path)


def _halves(weight: Any, name: str) -> tuple[dict[str, Any], list[onnx.NodeProto]]:
    half = f"{name}.half"
    return {half: weight.astype(np.float16)}, [onnx.helper.make_node("Cast", [half], [name], to=onnx.TensorProto.FLOAT)]


def _bytes(weight: Any, name: str) -> tuple[dict[str, Any], list[onnx.NodeProto]]:
    """Symmetric, with a scale for each output channel."""
    largest = np.abs(weight).max(axis=tuple(range(1, weight.ndim)), keepdims=True)
    scale = np.maximum(largest, np.finfo(np.float32).tiny) / 127
    stored = {f"{name}.int8": np.rint(weight / scale).astype(np.int8), f"{name}.scale": scale.astype(np.float32)}
    return stored, [
        onnx.helper.make_node("Cast", [f"{name}.int8"], [f"{name}.whole"], to=onnx.TensorProto.FLOAT),
        onnx.helper.make_node("Mul", [f"{name}.whole", f"{name}.scale"], [name]),
    ]


def _batches(deployed: Deployed, calibration: Sequence[UInt8]) -> list[UInt8]:
    """Return each image as a batch of itself, of the size that the network was converted for."""
    return [np.repeat(image[None], deployed.batch, axis=0) for image in calibration]


def _stays_float(node: Any, size: int) -> bool:
    """All but the stem and the head, which are 3x3, and the 1x1 of small maps; squeeze-and-excitation is sensitive."""
    if node.get_type_name() != "Convolution":
        return node.get_type_name() in KEPT_FLOAT
    height, kernel = node.input_value(0).get_shape()[2], list(node.input_value(1).get_shape())[2:]
    return kernel != [3, 3] and not 1 < height <= size // SMALL_MAPS  # squeeze-and-excitation is of one pixel


Writer = Callable[[nn.Module, Deployed, Sequence[UInt8], Path], None]
REDUCED: Mapping[tuple[TargetName, Precision], Writer] = {
    ("onnx", "fp16"): partial(onnx_weights, 16),
    ("onnx", "int8"): partial(onnx_weights, 8),
    ("openvino", "fp16"): openvino_fp16,
    ("openvino", "bf16"): openvino_bf16,
    ("openvino", "int8"): openvino_int8,
    ("executorch", "int8"): executorch_int8,
    ("litert", "int8"): litert_int8,
}
