"""The loss, against the paper's formula written out with plain sums."""

import math

import numpy as np
import pytest
import torch
from scipy.ndimage import uniform_filter

from lvunet.errors import ConfigError
from lvunet.learn.loss import BCEDice, imitation, loss_of


def test_one_class_is_half_cross_entropy_plus_dice_of_each_image() -> None:
    logits = torch.tensor([[[[0.0, 2.0]]], [[[-1.0, 3.0]]]])
    target = torch.tensor([[[[0, 1]]], [[[0, 1]]]], dtype=torch.uint8)
    sigmoid = [[1 / (1 + math.exp(-value)) for value in row] for row in ((0.0, 2.0), (-1.0, 3.0))]
    entropy = -sum(math.log(1 - a) + math.log(b) for a, b in sigmoid) / 4
    dice = sum(1 - (2 * b + 1e-5) / (a + b + 1 + 1e-5) for a, b in sigmoid) / 2
    assert BCEDice(classes=1)(logits, target).item() == pytest.approx(0.5 * entropy + dice, abs=1e-6)


def test_an_empty_mask_that_is_predicted_empty_costs_next_to_nothing() -> None:
    loss = BCEDice(classes=1)(torch.full((1, 1, 8, 8), -30.0), torch.zeros(1, 1, 8, 8, dtype=torch.uint8))
    assert loss.item() < 1e-6


def test_a_batch_of_one_dice_makes_more_false_pixels_in_an_empty_image_cost_more() -> None:
    target = torch.zeros(2, 1, 4, 4, dtype=torch.uint8)
    target[0, 0, :2] = 1  # 8 pixels, found; the second image is empty
    logits = torch.where(target == 1, 40.0, -40.0)
    dice = []
    for false_pixels in (0, 1, 4):
        logits[1, 0, 0, :false_pixels] = 40.0
        dice.append(loss_of("batch", 1)(logits, target).item() - 0.5 * 40 * false_pixels / 32)
        each = loss_of("paper", 1)(logits, target).item() - 0.5 * 40 * false_pixels / 32
        both = loss_of("paper+batch", 1)(logits, target).item() - 0.5 * 40 * false_pixels / 32
        assert each == pytest.approx(0.5 if false_pixels else 0, abs=1e-4)
        assert both == pytest.approx((each + dice[-1]) / 2, abs=1e-4)
    assert dice == pytest.approx([0, 1 - 16 / 17, 1 - 16 / 20], abs=1e-4)


def test_several_classes_take_softmax_cross_entropy_and_the_dice_of_the_foreground() -> None:
    target = torch.tensor([[[[0, 1, 2, 2]]]], dtype=torch.uint8)
    right = torch.nn.functional.one_hot(target[:, 0].long(), 3).permute(0, 3, 1, 2) * 40.0
    loss = BCEDice(classes=3)
    assert loss(right, target).item() < 1e-5
    assert loss(right.roll(1, dims=1), target).item() == pytest.approx(0.5 * 40 + 1, abs=1e-3)


def test_half_precision_logits_lose_nothing_in_the_loss() -> None:
    torch.manual_seed(0)
    logits = torch.randn(2, 1, 128, 128).bfloat16()
    target = (torch.rand(2, 1, 128, 128) > 0.5).to(torch.uint8)
    loss = BCEDice(classes=1)
    assert loss(logits, target).item() == pytest.approx(loss(logits.float(), target).item(), abs=1e-7)


def test_the_loss_of_pranet_is_its_formula_with_a_window_of_31() -> None:
    torch.manual_seed(1)
    logits, target = torch.randn(2, 1, 40, 36), (torch.rand(2, 1, 40, 36) > 0.7).to(torch.uint8)
    target[1] = 0
    expected = []
    for logit, mask in zip(logits.double().numpy()[:, 0], target.double().numpy()[:, 0], strict=True):
        weight = 1 + 5 * abs(uniform_filter(mask, 31, mode="constant") - mask)
        p = 1 / (1 + np.exp(-logit))
        entropy = -(mask * np.log(p) + (1 - mask) * np.log(1 - p))
        shared, either = (weight * p * mask).sum(), (weight * (p + mask)).sum()
        expected.append((weight * entropy).sum() / weight.sum() + 1 - (shared + 1) / (either - shared + 1))
    assert loss_of("structure", 1)(logits, target).item() == pytest.approx(np.mean(expected), abs=1e-5)


def test_the_loss_of_pranet_is_refused_for_several_classes() -> None:
    with pytest.raises(ConfigError, match="loss = 'structure' is for one class, not 3"):
        loss_of("structure", 3)


def test_imitation_is_least_at_the_teacher_and_there_equals_its_entropy() -> None:
    p = torch.tensor([0.1, 0.5, 0.9]).view(1, 1, 1, 3)
    entropy = -(p * p.log() + (1 - p) * (1 - p).log()).mean()
    assert imitation(p.logit(), p).item() == pytest.approx(entropy.item(), abs=1e-6)
    assert imitation(p.logit() + 0.3, p) > entropy
    of_three = torch.tensor([0.2, 0.3, 0.5]).view(1, 3, 1, 1)
    assert imitation(of_three.log() + 7, of_three).item() == pytest.approx(1.0296530, abs=1e-6)  # -sum p log p
