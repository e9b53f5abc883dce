"""From the trained form to the deployed form: `fold` writes every chain of affine maps as one plain convolution.

In the two slots of LV-UNet's fusible block (arXiv 2408.16886), N being a batch norm:

    pointwise = N_project @ project @ N_expand @ expand    one 1x1, once deep training has made the activation x -> x
    series    = N @ mix                                    one depthwise 3x3

Behind the last depthwise 3x3 of the decoder, and of the head, comes a 1x1 with nothing between: it takes their bias.
In any `nn.Sequential`, torchvision's Conv2dNormActivation among them: N @ convolution, and an identity for N.
Everything else, such as a squeeze-and-excitation, keeps its convolutions and is only copied.
"""

from collections.abc import Mapping
from copy import deepcopy
from functools import singledispatch
from itertools import pairwise
from typing import cast

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from lvunet.errors import NotFoldable
from lvunet.fold.affine import Affine, affine
from lvunet.model import LVUNet
from lvunet.model.blocks import DeepPointwise, DepthwiseMix, FusibleBlock


def fold(model: nn.Module) -> nn.Module:
    """Return the deployed form of `model`: a new network with the same outputs, convolutions and no batch norm.

    The model must be in evaluation mode, at slope 1; it is left as it is and shares no memory with the new network,
    which is in evaluation mode, wants no gradients, and keeps dtype and device (the arithmetic is float64 on the CPU).
    Raises `NotFoldable`, with the module's dotted path, where a fold would not be exact or a batch norm would stay.
    """
    return rule(model, "").eval().requires_grad_(False)


@singledispatch
def rule(module: nn.Module, prefix: str) -> nn.Module:
    """Return the folded form of one module, `prefix` being its dotted path and a dot; by default its children fold.

    A further type joins by `@rule.register`.
    """
    return _skeleton(module, prefix, {})


@rule.register
def _(network: LVUNet, prefix: str) -> nn.Module:
    """No skip and no activation lie between the last depthwise maps and the 1x1 that follows: their biases go there."""
    folded = cast(LVUNet, _skeleton(network, prefix, {}))
    block, head = cast(FusibleBlock, folded.head[0]), folded.head[1]
    last = cast(FusibleBlock, folded.decoder[-1])
    last.series, block.pointwise = _carried(last.series, block.pointwise)
    block.series, folded.head[1] = _carried(block.series, head)
    return folded


@rule.register
def _(deep: DeepPointwise, prefix: str) -> nn.Module:
    if (slope := deep.activation.slope.item()) != 1:
        raise NotFoldable(
            f"{prefix}activation: its slope is {slope:.9g}, so its two convolutions are not one. "
            "Deep training must end at slope 1 exactly; setting it by hand makes another network."
        )
    slots = ("expand", "expand_norm", "project", "project_norm")
    expand, expand_norm, project, project_norm = (_map_in(deep, slot, prefix) for slot in slots)
    return (project_norm @ project @ expand_norm @ expand).to_conv(like=deep.expand.weight)


@rule.register
def _(series: DepthwiseMix, prefix: str) -> nn.Module:
    return (_map_in(series, "norm", prefix) @ _map_in(series, "mix", prefix)).to_conv(like=series.mix.weight)


@rule.register
def _(sequence: nn.Sequential, prefix: str) -> nn.Module:
    filled: dict[str, nn.Module] = {}
    if type(sequence).forward is nn.Sequential.forward:  # else the order of the children is not that of computing
        for (conv_slot, conv), (norm_slot, norm) in pairwise(_children(sequence).items()):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, _BatchNorm):
                merged = _map_in(sequence, norm_slot, prefix) @ _map_in(sequence, conv_slot, prefix)
                filled |= {conv_slot: merged.to_conv(like=conv.weight), norm_slot: nn.Identity()}
    return _skeleton(sequence, prefix, filled)


@rule.register
def _(norm: _BatchNorm, prefix: str) -> nn.Module:
    raise NotFoldable(
        f"{prefix.rstrip('.') or 'the model'}: no rule folds this {type(norm).__name__} into a convolution. "
        "Put it right behind one in an nn.Sequential, or `@lvunet.fold.rules.rule.register` the type it stands in."
    )


def _carried(first: nn.Module, following: nn.Module) -> tuple[nn.Module, nn.Module]:
    like = next(first.parameters())
    linear, shifted = affine(first).carry_into(affine(following))
    return linear.to_conv(like, bias=False), shifted.to_conv(like)


def _map_in(owner: nn.Module, slot: str, prefix: str) -> Affine:
    try:
        return affine(owner.get_submodule(slot))
    except NotFoldable as error:
        raise NotFoldable(f"{prefix}{slot}: {error}") from error


def _skeleton(module: nn.Module, prefix: str, filled: Mapping[str, nn.Module]) -> nn.Module:
    """A copy of `module` with these slots filled, and the other children folded."""
    children = _children(module)
    folded = {
        slot: filled[slot] if slot in filled else rule(child, f"{prefix}{slot}.") for slot, child in children.items()
    }
    copy = deepcopy(module, {id(child): folded[slot] for slot, child in children.items()})
    for slot, child in folded.items():
        copy.add_module(slot, child)  # by name: one module in two slots can have two folded forms
    return copy


def _children(module: nn.Module) -> dict[str, nn.Module]:
    """Every filled slot; `named_children` would leave out the second of two that hold the same module."""
    return {slot: child for slot, child in module._modules.items() if child is not None}
