"""The loss of the paper: 0.5 x binary cross-entropy + Dice (soft, per image)."""

import torch
import torch.nn.functional as F
from monai.losses.dice import DiceLoss
from torch import Tensor, nn

SMOOTH = 1e-5  # of numerator and denominator: an empty mask predicted empty has Dice loss 0


class BCEDice(nn.Module):
    """Logits (B, K, H, W) and class indices (B, 1, H, W) to a scalar; cross-entropy over K classes where K > 1."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.classes = classes
        several = classes > 1
        self.dice = DiceLoss(
            sigmoid=not several,
            softmax=several,
            to_onehot_y=several,
            include_background=not several,
            smooth_nr=SMOOTH,
            smooth_dr=SMOOTH,
        )

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        logits = logits.float()  # sums over an image need more than the 8 bits of bfloat16
        if self.classes == 1:
            entropy = F.binary_cross_entropy_with_logits(logits, target.to(logits.dtype))
        else:
            entropy = F.cross_entropy(logits, target[:, 0].long())
        return 0.5 * entropy + torch.as_tensor(self.dice(logits, target.to(logits.dtype)))
