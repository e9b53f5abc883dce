"""Back from the deployed form to one that trains: `unfold`, and `settle`, which readies its batch norms for training.

A folded convolution W * x + b becomes the trainable modules of its slot, N_b being the batch norm that only adds b:

    pointwise = N_b @ W @ N_0 @ 1    project is W, expand the identity, the slope 1
    series    = N_b @ W              mix is W
    elsewhere = N_b @ W              or W and b as they are, where no batch norm follows

In evaluation that is the same function. In training a batch norm divides by the statistics of its batch instead, so the
first step would see another network; `settle` gives every batch norm the statistics of real images, and changes scale
and shift such that it computes what it did:

    gamma / sqrt(var + eps) x + ... = gamma' / sqrt(v + eps) x + ...,    m, v = mean and variance of x over the images
"""

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from lvunet.errors import ConfigError, EmptyInput
from lvunet.fold.affine import affine
from lvunet.model import LVUNet
from lvunet.model.blocks import DeepPointwise, DepthwiseMix
from lvunet.model.checkpoint import Network


@torch.no_grad()
def unfold(folded: LVUNet) -> LVUNet:
    """Return a trainable network, at slope 1 and in evaluation mode, that computes what the folded one does.

    It has the dtype and the device of `folded`, which is left as it is. Before it is trained its batch norms, which
    have no statistics yet, want `settle`. Raises `ConfigError` for a network that was not folded.
    """
    if any(isinstance(module, _BatchNorm) for module in folded.modules()):
        raise ConfigError("a network with batch norms is in its trained form already: there is nothing to unfold.")
    model = LVUNet(folded.classes, folded.in_channels).to(next(folded.parameters())).eval()
    model.set_slope(1)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_var is not None:
            module.running_var.fill_(1 - module.eps)  # with the rest as initialised: x -> x
        elif isinstance(module, DeepPointwise):
            nn.init.dirac_(module.expand.weight)
            for conv in (module.expand, module.project):
                conv.get_parameter("bias").zero_()
    for path, folded_conv in folded.named_modules():
        if isinstance(folded_conv, nn.Conv2d):
            kernel_of, bias_of = _slot(model, path)
            kernel_of.weight.copy_(folded_conv.weight)
            bias_of.get_parameter("bias").copy_(affine(folded_conv).bias)
    return model


@torch.no_grad()
def settle(network: Network, batches: Iterable[Tensor]) -> Network:
    """Return a copy that computes the same in evaluation, and nearly so in training on images like these.

    `batches` are what the network takes: normalised, (B, C, H, W), on its device. A few dozen images that are augmented
    as in training are enough. Where a channel is always the same, v is 0 and training, too, computes what it did.
    Raises `EmptyInput` without a batch.
    """
    settled = deepcopy(network).eval()
    norms = [module for module in settled.modules() if isinstance(module, nn.BatchNorm2d)]
    seen = [_Moments() for _ in norms]
    hooks = [norm.register_forward_pre_hook(moments.add) for norm, moments in zip(norms, seen, strict=True)]
    for batch in batches:
        settled(batch)
    for hook in hooks:
        hook.remove()
    for norm, moments in zip(norms, seen, strict=True):
        if not moments.count:
            raise EmptyInput("no images to settle the batch norms on: give at least one batch.")
        _restate(norm, *moments.mean_and_variance())
    return settled


@dataclass
class _Moments:
    """Sums over the images and pixels of a channel, (C,) in float64."""

    count: int = 0
    total: Tensor | float = 0.0
    squares: Tensor | float = 0.0

    def add(self, norm: nn.Module, inputs: tuple[Tensor]) -> None:
        """Add what a batch norm is given: it is called as a hook."""
        x = inputs[0].double()  # (B, C, H, W)
        self.count += x.numel() // x.shape[1]
        self.total += x.sum((0, 2, 3))
        self.squares += x.square().sum((0, 2, 3))

    def mean_and_variance(self) -> tuple[Tensor, Tensor]:
        """Return mean and biased variance, (C,), on the CPU."""
        mean, square = (torch.as_tensor(sums).cpu() / self.count for sums in (self.total, self.squares))
        return mean, (square - mean**2).clamp(min=0)


def _restate(norm: nn.BatchNorm2d, mean: Tensor, var: Tensor) -> None:
    """Give the batch norm these statistics, and the scale and shift with which it still is the same map."""
    same = affine(norm)
    scale = same.kernel.flatten()
    new = {
        "running_mean": mean,
        "running_var": var,
        "weight": scale * torch.sqrt(var + norm.eps),
        "bias": same.bias + scale * mean,
    }
    norm.load_state_dict(norm.state_dict() | new)


def _slot(model: LVUNet, path: str) -> tuple[nn.Conv2d, nn.Conv2d | nn.BatchNorm2d]:
    """Return what takes the kernel of the folded convolution at `path`, and what takes its bias."""
    module = model.get_submodule(path)
    if isinstance(module, DeepPointwise):
        return module.project, module.project_norm
    if isinstance(module, DepthwiseMix):
        return module.mix, module.norm
    assert isinstance(module, nn.Conv2d)  # the skeletons are the same
    if module.bias is not None:
        return module, module
    place, _, slot = path.rpartition(".")
    norm = model.get_submodule(f"{place}.{int(slot) + 1}")
    assert isinstance(norm, nn.BatchNorm2d)
    return module, norm
