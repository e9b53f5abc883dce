"""The loss, against the paper's formula written out with plain sums."""

import math

import pytest
import torch

from lvunet.learn.loss import BCEDice


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
