"""Exact rewrites of the deployed network for runtimes that are slow at what it has: other operations, equal numbers."""

from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

STRIP = 16  # neighbours in a row: as many as a vector has lanes
BLUR = np.outer((0.25, 0.5, 0.25), (0.25, 0.5, 0.25)).astype(np.float32)


class StripHead(nn.Module):
    """A 1x1 convolution to K channels, as one from 16 neighbours in a row to 16 K channels.

    One output channel fills one lane of 16. In bf16 OpenVINO took 0.32 ms for the head, and takes 0.13 ms so
    (2026-11-23). ExecuTorch's XNNPACK mistakes one output channel for another layout, which 16 are not.
    """

    def __init__(self, head: nn.Conv2d) -> None:
        super().__init__()
        self.classes, channels = head.out_channels, head.in_channels
        self.strip = nn.Conv2d(channels, STRIP * self.classes, (1, STRIP), stride=(1, STRIP))
        weight = torch.zeros(STRIP, self.classes, channels, 1, STRIP)
        for neighbour in range(STRIP):
            weight[neighbour, ..., neighbour] = head.weight.detach()[..., 0]
        bias = torch.zeros(self.classes) if head.bias is None else head.bias.detach()
        self.strip.load_state_dict({"weight": weight.flatten(0, 1), "bias": bias.repeat(STRIP)})

    def forward(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape  # the width is a multiple of 16: the network pads to 128
        strips = self.strip(x).permute(0, 2, 3, 1)  # (B, H, W / 16, 16 K)
        return strips.reshape(batch, height, width, self.classes).permute(0, 3, 1, 2)  # (B, K, H, W)


def blur_after_nearest(x: Any) -> Any:
    """Return bilinear x2 of an OpenVINO output (B, C, H, W), whose sides are known, as nearest x2 and a blur.

    Half-pixel bilinear x2 is nearest x2, its edge repeated, then [1 2 1] / 4 along both axes. The edge is repeated by
    the nearest itself: h + 2 rows to 2 h + 2 with aligned corners take row (i + 1) // 2 for i, so that the outer rows
    of the padded map appear once and all others twice. In bf16 OpenVINO took 0.59 ms for the last bilinear x2 of the
    network, and takes 0.24 ms so (2026-11-23).
    """
    from openvino import opset13 as op

    _, channels, height, width = x.get_shape()
    edge = np.array([0, 0, 1, 1])
    near = op.interpolate(
        op.pad(x, edge, edge, "edge"),
        np.array([2 * height + 2, 2 * width + 2]),
        "nearest",
        "sizes",
        axes=np.array([2, 3]),
        coordinate_transformation_mode="align_corners",
        nearest_mode="round_prefer_floor",
    )
    kernel = op.constant(np.broadcast_to(BLUR, (channels, 1, 1, 3, 3)).copy())
    return op.group_convolution(near, kernel, [1, 1], [0, 0], [0, 0], [1, 1]).output(0)
