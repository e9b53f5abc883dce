"""Back from the deployed form: the same function, in evaluation and, once settled, in training; and it folds again."""

from copy import deepcopy
from functools import cache
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lvunet.errors import ConfigError, EmptyInput
from lvunet.fold import fold
from lvunet.fold.unfold import settle, unfold
from lvunet.model import LVUNet
from models import trained_model

FLOAT64_TOLERANCE = 1e-10  # for logits of size 30; measured 1e-13
TRAINING_TOLERANCE = 1e-8  # 52 batch norms, each of which divides the rounding of the one before; measured 1e-11
SIZE = (128, 256)  # whole multiples of 128: nothing is padded, so what a layer sees can be computed here


def pictures(count: int, channels: int = 3, seed: int = 0) -> Tensor:
    random = torch.Generator().manual_seed(seed)
    coarse = F.interpolate(torch.randn(count, channels, 4, 4, generator=random).double(), SIZE, mode="bilinear")
    return coarse + 0.5 * torch.randn(count, channels, *SIZE, generator=random)


@cache
def folded_model(classes: int, in_channels: int) -> LVUNet:
    return cast(LVUNet, fold(deepcopy(trained_model(classes, in_channels)).double()))


@cache
def settled_model() -> LVUNet:
    return settle(unfold(folded_model(1, 3)), [pictures(6)[:4], pictures(6)[4:]])


@torch.no_grad()
def logits(network: nn.Module, images: Tensor) -> Tensor:
    return network(images)


def apart(one: Tensor, other: Tensor) -> float:
    assert 1 < other.abs().max() < 100, "the tolerances are meant for logits of size 30"
    return float((one - other).abs().max())


def in_training(network: LVUNet, images: Tensor) -> Tensor:
    return logits(deepcopy(network).train(), images)


@pytest.mark.parametrize(("classes", "in_channels"), [(1, 3), (3, 1)])
def test_the_unfolded_network_gives_the_same_logits(classes: int, in_channels: int) -> None:
    folded = folded_model(classes, in_channels)
    images = pictures(2, in_channels)
    assert apart(logits(unfold(folded), images), logits(folded, images)) < FLOAT64_TOLERANCE


def test_folded_again_it_has_the_weights_that_it_came_from() -> None:
    folded = folded_model(1, 3)
    again = fold(unfold(folded)).state_dict()
    assert again.keys() == folded.state_dict().keys()
    assert all(torch.allclose(again[name], tensor, atol=1e-12) for name, tensor in folded.state_dict().items())


def test_it_is_the_whole_training_form_at_slope_1() -> None:
    network = unfold(folded_model(1, 3))
    assert sum(parameter.numel() for parameter in network.parameters()) == 934_545
    assert network.slope == 1
    assert not network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float64}


def test_the_folded_network_is_left_as_it_is() -> None:
    folded = folded_model(1, 3)
    before = deepcopy(folded.state_dict())
    theirs = {tensor.untyped_storage().data_ptr() for tensor in folded.state_dict().values()}
    ours = {tensor.untyped_storage().data_ptr() for tensor in unfold(folded).state_dict().values()}
    assert theirs.isdisjoint(ours)
    assert all(torch.equal(tensor, before[name]) for name, tensor in folded.state_dict().items())


def test_a_network_that_was_not_folded_is_refused() -> None:
    with pytest.raises(ConfigError, match="nothing to unfold"):
        unfold(trained_model(1, 3))


def test_settling_changes_nothing_in_evaluation() -> None:
    images = pictures(2, seed=1)
    assert apart(logits(settled_model(), images), logits(folded_model(1, 3), images)) < FLOAT64_TOLERANCE


def test_on_the_images_that_it_settled_on_it_computes_the_same_in_training() -> None:
    images = pictures(6)
    expected = logits(folded_model(1, 3), images)
    assert apart(in_training(settled_model(), images), expected) < TRAINING_TOLERANCE
    assert apart(in_training(unfold(folded_model(1, 3)), images), expected) > 1, "without it, training begins elsewhere"


def test_statistics_are_those_of_the_input_of_each_batch_norm() -> None:
    network, images = settled_model(), pictures(6)
    norm = cast(nn.BatchNorm2d, network.get_submodule("stem.1"))
    seen = logits(network.get_submodule("stem.0"), images)
    mean, var = (cast(Tensor, statistic) for statistic in (norm.running_mean, norm.running_var))
    assert torch.allclose(mean, seen.mean((0, 2, 3)))
    assert torch.allclose(var, seen.var((0, 2, 3), correction=0))


def test_a_channel_that_is_always_the_same_stays_so_in_both_modes() -> None:
    folded = deepcopy(folded_model(1, 3))
    with torch.no_grad():
        folded.get_parameter("encoder.1.series.weight")[7] = 0
    images = pictures(4)
    network = settle(unfold(folded), [images])
    norm = cast(nn.BatchNorm2d, network.get_submodule("encoder.1.series.norm"))
    assert cast(Tensor, norm.running_var)[7] == 0
    expected = logits(folded, images)
    assert apart(logits(network, images), expected) < FLOAT64_TOLERANCE
    assert apart(in_training(network, images), expected) < TRAINING_TOLERANCE
    assert apart(logits(fold(network), images), expected) < FLOAT64_TOLERANCE


def test_settling_leaves_its_network_alone_and_no_hook_behind() -> None:
    network = unfold(folded_model(1, 3)).train()
    before = deepcopy(network.state_dict())
    settled = settle(network, [pictures(2)])
    assert network.training
    assert not settled.training
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert not any(module._forward_pre_hooks for module in (*network.modules(), *settled.modules()))


def test_settling_without_images_is_refused() -> None:
    with pytest.raises(EmptyInput, match="at least one batch"):
        settle(unfold(folded_model(1, 3)), [])


def test_it_trains_and_folds_afterwards() -> None:
    network, images = deepcopy(settled_model()).float().train(), pictures(4).float()
    optimizer = torch.optim.Adam(network.parameters(), 1e-3)
    losses = []
    for _ in range(4):
        loss = F.binary_cross_entropy_with_logits(network(images), (images[:, :1] > 0).float())
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        assert all(cast(Tensor, parameter.grad).isfinite().all() for parameter in network.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < losses[0]
    trained = network.eval()
    expected = logits(trained, images)
    assert float((logits(fold(trained), images) - expected).abs().max()) < 1e-4 * max(1.0, float(expected.abs().max()))
