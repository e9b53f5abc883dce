"""What training minimises: the loss of the paper, 0.5 x binary cross-entropy + Dice, and two others."""

from collections.abc import Mapping, Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from monai.losses.dice import DiceLoss
from torch import Tensor, nn

from lvunet.errors import ConfigError

WINDOW = 31  # pixels, at any size of the network
SMOOTH = 1e-5  # of numerator and denominator: an empty mask predicted empty has Dice loss 0


class BCEDice(nn.Module):
    """Logits (B, K, H, W) and class indices (B, 1, H, W) to a scalar; cross-entropy over K classes where K > 1.

    Dice is the mean of that of each image, and that of the batch as one, or of one of the two. In an empty image of its
    own Dice is lost from the first false pixel on, and one more costs nothing; in the batch each costs. There large
    structures hide small ones, of which each image's own takes care.
    """

    def __init__(self, classes: int, dice_of: Sequence[Literal["image", "batch"]] = ("image",)) -> None:
        super().__init__()
        self.classes = classes
        several = classes > 1
        self.dice = nn.ModuleList(
            DiceLoss(
                sigmoid=not several,
                softmax=several,
                to_onehot_y=several,
                include_background=not several,
                smooth_nr=SMOOTH,
                smooth_dr=SMOOTH,
                batch=one == "batch",
            )
            for one in dice_of
        )

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        logits = logits.float()  # sums over an image need more than the 8 bits of bfloat16
        if self.classes == 1:
            entropy = F.binary_cross_entropy_with_logits(logits, target.to(logits.dtype))
        else:
            entropy = F.cross_entropy(logits, target[:, 0].long())
        overlaps = [torch.as_tensor(dice(logits, target.to(logits.dtype))) for dice in self.dice]
        return 0.5 * entropy + torch.stack(overlaps).mean()


class Structure(nn.Module):
    """PraNet's loss (Fan et al., MICCAI 2020, arXiv 2006.11392): cross-entropy + IoU, up to 6 x heavier at outlines.

    The weight of a pixel is 1 + 5 |mean of the mask in the window around it - mask|. Logits (B, 1, H, W) and class
    indices (B, 1, H, W) to a scalar; the mean of both terms over the images.
    """

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        logits, truth = logits.float(), target.float()
        around = F.avg_pool2d(F.avg_pool2d(truth, (WINDOW, 1), 1, (WINDOW // 2, 0)), (1, WINDOW), 1, (0, WINDOW // 2))
        weight = 1 + 5 * (around - truth).abs()
        entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
        probability = logits.sigmoid()
        shared, either = (weight * probability * truth).sum((2, 3)), (weight * (probability + truth)).sum((2, 3))
        overlap = 1 - (shared + 1) / (either - shared + 1)
        return ((weight * entropy).sum((2, 3)) / weight.sum((2, 3)) + overlap).mean()


OVERLAPS: Mapping[str, Sequence[Literal["image", "batch"]]] = {
    "paper": ("image",),
    "batch": ("batch",),
    "paper+batch": ("image", "batch"),
}


def imitation(logits: Tensor, probability: Tensor) -> Tensor:
    """Return the cross-entropy of logits (B, K, H, W) to the probability (B, K, H, W) that a teacher gives.

    Distillation (Hinton et al., arXiv 1503.02531) at the temperature of the teacher's own calibration.
    """
    logits, probability = logits.float(), probability.float()
    if logits.shape[1] == 1:
        return F.binary_cross_entropy_with_logits(logits, probability)
    return F.cross_entropy(logits, probability)


def loss_of(name: str, classes: int) -> nn.Module:
    """Return a loss by its name in the configuration; raises `ConfigError` for one that cannot be had."""
    if name in OVERLAPS:
        return BCEDice(classes, OVERLAPS[name])
    if classes > 1:
        raise ConfigError(f"loss = {name!r} is for one class, not {classes}; take loss = 'paper'.")
    return Structure()
