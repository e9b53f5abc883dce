"""Exact rewrites of an OpenVINO graph: bilinear x2, the last block of the network, and means, as it is fast at."""

from itertools import pairwise
from typing import Any

import numpy as np
from openvino import opset13 as op

BLUR = np.outer((0.25, 0.5, 0.25), (0.25, 0.5, 0.25)).astype(np.float32)
BETWEEN = ((0.25, 0.75), (0.75, 0.25))  # what an even row of bilinear x2 takes of two rows, and an odd one
CACHE = 2**20  # bytes of a core's own: a map of 16 channels at 128 x 128 in float32 has as many
PATCH = 4  # sides of the square of pixels that is computed at once: 16, as many as a vector has lanes
LAST = ["Relu", "GroupConvolution", "Convolution", "Add"]  # the series activation, and the head behind it
ZERO, LOWEST = (np.full((1, 1, 1, 1), value, np.float32) for value in (0, np.finfo(np.float32).min))


def rewrite(model: Any) -> None:
    """Change a model, whose sides are known, to the same function in other operations."""
    for node in model.get_ordered_ops():
        if node.get_type_name() == "ReduceMean" and _is_of_maps(node):
            node.output(0).replace(_mean(node.input_value(0)))
        elif node.get_type_name() == "Interpolate" and _is_double(node):
            last = _only_users(node, len(LAST))
            if [each.get_type_name() for each in last] == LAST and _is_head(*last[1:3]):
                last[-1].output(0).replace(_in_phases(node.input_value(0), *last[1:]))
            else:
                node.output(0).replace(_doubled(node.input_value(0)))
    model.validate_nodes_and_infer_types()


def with_relu_apart(model: Any) -> Any:
    """Return the same function, with each ReLU in front of a dense 3x3 a step of its own, for a graph to quantise.

    Fused into the depthwise convolution before it, the ReLU takes the rounding to 8 bits with it, which then is slow:
    the whole network took 0.985 of the time so (2026-11-24).
    """
    for node in model.get_ordered_ops():
        if node.get_type_name() == "Convolution" and list(node.input_value(1).get_shape())[2:] == [3, 3]:
            relu = node.input_value(0).get_node()
            if relu.get_type_name() == "Relu":
                relu.output(0).replace(op.maximum(relu.input_value(0), ZERO).output(0))
    return model


def _is_of_maps(mean: Any) -> bool:
    """Whether it makes (B, C, 1, 1) of (B, C, H, W)."""
    before, after = (list(side.get_shape()) for side in (mean.input_value(0), mean.output(0)))
    return after == [*before[:2], 1, 1] and len(before) == len(after)


def _mean(x: Any) -> Any:
    """Return the mean over a map as a pooling: in bf16 OpenVINO took 14 us for one of 120 x 32 x 32, and 5 us so."""
    return op.avg_pool(x, [1, 1], [0, 0], [0, 0], list(x.get_shape())[2:], exclude_pad=True).output(0)


def _is_double(node: Any) -> bool:
    """Whether it is bilinear x2 with half-pixel centres, as in the network's decoder; a peer may have others."""
    attributes = node.get_attributes()
    linear = attributes["mode"] == "linear_onnx" and attributes["coordinate_transformation_mode"].endswith("half_pixel")
    before, after = (np.array(list(side.get_shape())[2:]) for side in (node.input_value(0), node.output(0)))
    return bool(linear and (after == 2 * before).all())


def _only_users(node: Any, steps: int) -> list[Any]:
    """Return the operations after a node, as far as each is the only one to use what is before it."""
    found: list[Any] = []
    while len(found) < steps and len(users := [*node.output(0).get_target_inputs()]) == 1:
        found.append(node := users[0].get_node())
    return found


def _is_head(mix: Any, project: Any) -> bool:
    """Whether it is a depthwise 3x3 that keeps the size, of an even number of rows and columns, and a 1x1 to one."""
    kernels = [list(each.input_value(1).get_shape()) for each in (mix, project)]
    channels, (height, width) = kernels[0][0], list(mix.output(0).get_shape())[2:]
    same = list(mix.output(0).get_shape()) == list(mix.input_value(0).get_shape())
    return (
        kernels == [[channels, 1, 1, 3, 3], [1, channels, 1, 1]]
        and same
        and list(mix.get_dilations()) == [1, 1]
        and height % PATCH == width % PATCH == 0
    )


def _doubled(x: Any) -> Any:
    """Return bilinear x2 of a map (B, C, H, W).

    With half-pixel centres it is nearest x2 of the map with its edge repeated, then [1 2 1] / 4 along both axes. The
    nearest, with aligned corners, takes row (i + 1) // 2 for row i, so that the edge appears once and all others twice.
    In bf16 OpenVINO took 0.59 ms for the last bilinear x2 of the network, and 0.24 ms so (2026-11-23).
    """
    _, channels, height, width = x.get_shape()
    near = op.interpolate(
        _with_edge(x),
        np.array([2 * height + 2, 2 * width + 2]),
        "nearest",
        "sizes",
        axes=np.array([2, 3]),
        coordinate_transformation_mode="align_corners",
        nearest_mode="round_prefer_ceil",
    )
    return op.group_convolution(near, _depthwise(BLUR, channels), [1, 1], [0, 0], [0, 0], [1, 1]).output(0)


def _in_phases(x: Any, mix: Any, project: Any, shift: Any) -> Any:
    """Return bilinear x2, ReLU, depthwise 3x3 and 1x1 to one channel of a map (B, C, H, W), without ever doubling it.

    Behind the ReLU all is linear: one dense 3x3, here as 6x6 to the 16 pixels of a patch of 4x4. In float32 it took
    0.99, in bf16 0.96 of the time of the whole network (2026-11-24, docs/lab-notes.md).
    """
    batch, _, height, width = x.get_shape()
    kernel, padded = _patch_kernel(_values(mix.input_value(1)), _values(project.input_value(1))), _with_edge(x)
    patches = op.concat([_patches(padded, *band, kernel) for band in _bands(x)], 2)
    # The maximum changes nothing, and keeps the sigmoid out of the convolution, which would cost 0.5 ms for its layout.
    logits = op.maximum(op.add(patches, shift.input_value(1)), LOWEST)  # (B, 16, H / 2, W / 2)
    rows, columns = batch * height // 2, width // 2
    square = op.reshape(op.transpose(logits, [0, 2, 3, 1]), [rows, columns, PATCH, PATCH], special_zero=False)
    return op.reshape(op.transpose(square, [0, 2, 1, 3]), [batch, 1, 2 * height, 2 * width], False).output(0)


def _bands(x: Any) -> list[tuple[int, int]]:
    """Return the first row and the one after the last of each band of a map that fits the cache, an even number.

    In float32 the whole network took 0.88 of the time so at batch 8 and 0.91 at 512 px; 256 px is one (2026-11-28).
    """
    batch, channels, height, width = x.get_shape()
    rows = max(2, CACHE // (4 * batch * channels * width) // 2 * 2)
    return list(pairwise([*range(0, height, rows), height]))


def _patches(padded: Any, start: int, end: int, kernel: Any) -> Any:
    """Return the patches (B, 16, (end - start) / 2, W / 2) of rows of a map with its edge, (B, C, H + 2, W + 2).

    The even and odd rows and columns of the doubled map are four maps, each from 2x2 pixels, and each has 3x3 of the
    6x6 of a patch. That begins a row before the patch, and is 0 beyond the map.
    """
    _, channels, height, width = padded.get_shape()
    top, bottom, total = start == 0, end == height - 2, None
    for row, column in np.ndindex(2, 2):
        rows = (start + top, end + 2) if row else (start, end + 2 - bottom)
        part = op.slice(padded, [rows[0], column], [rows[1], column + width - 1], [1, 1], [2, 3])
        between = _depthwise(np.outer(BETWEEN[row], BETWEEN[column]), channels)
        phase = op.relu(op.group_convolution(part, between, [1, 1], [0, 0], [0, 0], [1, 1]))
        taps = np.ascontiguousarray(kernel[..., 1 - row :: 2, 1 - column :: 2])
        beyond = [int(row and top), column], [int(not row and bottom), 1 - column]
        share = op.convolution(phase, taps, [2, 2], *beyond, [1, 1])
        total = share if total is None else op.add(total, share)
    return total


def _patch_kernel(mix: Any, project: Any) -> Any:
    """Return depthwise (C, 1, 1, 3, 3) and then 1x1 (1, C, 1, 1), as the (16, C, 6, 6) that gives a patch at once."""
    dense = mix[:, 0, 0] * project[0]  # (C, 3, 3)
    kernel = np.zeros((PATCH, PATCH, len(dense), PATCH + 2, PATCH + 2), np.float32)
    for y, x in np.ndindex(PATCH, PATCH):
        kernel[y, x, :, y : y + 3, x : x + 3] = dense
    return kernel.reshape(PATCH**2, *kernel.shape[2:])


def _with_edge(x: Any) -> Any:
    """Return a map (B, C, H, W) with its edge repeated, (B, C, H + 2, W + 2)."""
    edge = np.array([0, 0, 1, 1])
    return op.pad(x, edge, edge, "edge").output(0)


def _depthwise(kernel: Any, channels: int) -> Any:
    return op.constant(np.broadcast_to(kernel.astype(np.float32), (channels, 1, 1, *kernel.shape)).copy())


def _values(constant: Any) -> Any:
    return constant.get_node().data
