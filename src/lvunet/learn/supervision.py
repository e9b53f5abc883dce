"""Deep supervision (Lee et al., arXiv 1409.5185): decoder stages learn the mask too, by heads that stay behind."""

from functools import partial
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lvunet.model import LVUNet
from lvunet.model.blocks import FusibleBlock
from lvunet.model.lvunet import STRIDE


class DeepSupervision(nn.Module):
    """A 1x1 convolution for each decoder stage that a skip is added to, whose logits are held against the mask.

    It watches the network that it is made with, and is no part of it: what is saved and deployed is as before.
    """

    def __init__(self, network: LVUNet, loss: nn.Module) -> None:
        super().__init__()
        stages = [cast(FusibleBlock, stage) for stage in network.decoder[:-1]]  # to the last belongs the network's head
        self.heads = nn.ModuleList(nn.Conv2d(stage.out_channels, network.classes, 1) for stage in stages)
        self.loss = loss
        self._seen: dict[int, Tensor] = {}  # by place
        for place, stage in enumerate(stages):
            stage.register_forward_hook(partial(self._watch, place))

    def _watch(self, place: int, stage: nn.Module, _: object, output: Tensor) -> None:
        if stage.training:
            self._seen[place] = output

    def forward(self, target: Tensor) -> Tensor:
        """Return the mean loss of the stages in the step that the network has just made, to a target (B, 1, H, W)."""
        logits = [head(self._seen[place]) for place, head in enumerate(self.heads)]
        self._seen.clear()
        height, width = target.shape[-2:]
        padded = (height + -height % STRIDE, width + -width % STRIDE)  # as the network has it inside
        full = (F.interpolate(each, padded, mode="bilinear")[..., :height, :width] for each in logits)
        return torch.stack([self.loss(each, target) for each in full]).mean()
