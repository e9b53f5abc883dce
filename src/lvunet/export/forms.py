"""Exact rewrites of the deployed network for runtimes that are slow at what it has: other operations, equal numbers."""

import torch
from torch import Tensor, nn

STRIP = 16  # neighbours in a row: as many as a vector has lanes


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
