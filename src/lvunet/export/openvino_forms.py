"""Exact rewrites of an OpenVINO graph: bilinear x2 in forms that it is fast at, large maps band by band."""

from itertools import pairwise
from typing import Any

import numpy as np
from openvino import opset13 as op

BLUR = np.outer((0.25, 0.5, 0.25), (0.25, 0.5, 0.25)).astype(np.float32)
CACHE = 2**20  # bytes of a core's own: a map of 16 channels at 256 x 256 in float32 has four times as many
SERIES = ["Relu", "GroupConvolution", "Convolution", "Add"]  # the series activation, and the 1x1 behind it


def rewrite(model: Any) -> None:
    """Change a model, whose sides are known, to the same function in other operations.

    With the last x2 of the network in bands float32 took 0.97 and bf16 0.94 of the time (2026-11-23).
    """
    doubling = [node for node in model.get_ordered_ops() if node.get_type_name() == "Interpolate" and _is_double(node)]
    for node in doubling:
        series, bands = _only_users(node, len(SERIES)), _bands(node)
        if len(bands) > 1 and [each.get_type_name() for each in series] == SERIES:
            series[-1].output(0).replace(_in_bands(node, series, bands))
        else:
            node.output(0).replace(_doubled(_with_edge(node.input_value(0)), top=True, bottom=True))
    model.validate_nodes_and_infer_types()


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


def _with_edge(x: Any) -> Any:
    """Return a map (B, C, H, W) with its edge repeated, (B, C, H + 2, W + 2)."""
    edge = np.array([0, 0, 1, 1])
    return op.pad(x, edge, edge, "edge").output(0)


def _doubled(padded: Any, *, top: bool, bottom: bool) -> Any:
    """Return bilinear x2 of the inner of (B, C, h + 2, W + 2): (B, C, 2 h, 2 W), and a row more where it is cut.

    Half-pixel bilinear x2 is nearest x2 of the map with its edge repeated, then [1 2 1] / 4 along both axes. `top` and
    `bottom` say that the outer row there is that edge. The nearest, with aligned corners, takes row (i + 1) // 2 for
    row i from an edge on, so that the edge appears once and all others twice, and row i // 2 from a cut on. In bf16
    OpenVINO took 0.59 ms for the last bilinear x2 of the network, and 0.24 ms so (2026-11-23).
    """
    _, channels, height, width = padded.get_shape()
    near = op.interpolate(
        padded,
        np.array([2 * height - top - bottom, 2 * width - 2]),
        "nearest",
        "sizes",
        axes=np.array([2, 3]),
        coordinate_transformation_mode="align_corners",
        nearest_mode="round_prefer_ceil" if top else "round_prefer_floor",
    )
    kernel = op.constant(np.broadcast_to(BLUR, (channels, 1, 1, 3, 3)).copy())
    return op.group_convolution(near, kernel, [1, 1], [0, 0], [0, 0], [1, 1]).output(0)


def _bands(double: Any) -> list[tuple[int, int]]:
    """Return the first row and the one after the last of each band of the map before, doubled to fit the cache."""
    height, size = double.input_value(0).get_shape()[2], 4 * int(np.prod(double.output(0).get_shape()))
    rows = max(4, height * CACHE // size)
    return list(pairwise([*range(0, height, rows), height]))


def _in_bands(double: Any, series: list[Any], bands: list[tuple[int, int]]) -> Any:
    """Return what the series activation and the 1x1 make of the doubled map, a band at a time."""
    _, mix, project, shift = series
    padded = _with_edge(double.input_value(0))
    done = []
    for start, end in bands:
        top, bottom = start == 0, end == bands[-1][1]
        part = op.slice(padded, [start], [end + 2], [1], [2]).output(0)  # (B, C, end - start + 2, W + 2)
        y = op.relu(_doubled(part, top=top, bottom=bottom))
        y = op.group_convolution(y, mix.input_value(1), [1, 1], [int(top), 1], [int(bottom), 1], [1, 1])
        done.append(op.convolution(y, project.input_value(1), project.get_strides(), [0, 0], [0, 0], [1, 1]).output(0))
    return op.add(op.concat(done, 2), shift.input_value(1)).output(0)
