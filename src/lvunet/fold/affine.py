"""The algebra of maps that fold: y = K * x + b, a convolution and a bias, closed under composition and sum.

    (g @ f)(x) = g(f(x))        K = K_g K_f,    b = K_g b_f + b_g
    (f + g)(x) = f(x) + g(x)    K = K_f + K_g,  b = b_f + b_g

In evaluation a batch norm is such a map too: the diagonal 1x1 with K = gamma / sqrt(var + eps), b = beta - K mean.
Only what is exact at every pixel, the border included, is composed; the rest raises `NotFoldable`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import singledispatch
from math import gcd

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lvunet.errors import NotFoldable

Pair = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Affine:
    """A map from (B, I, H, W) to (B, O, H', W'): a zero-padded, strided, grouped convolution and a bias, in float64."""

    kernel: Tensor  # (O, I / groups, height, width)
    bias: Tensor  # (O,)
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    groups: int = 1

    @property
    def in_channels(self) -> int:
        """I, over all groups."""
        return self.kernel.shape[1] * self.groups

    @property
    def out_channels(self) -> int:
        """O, over all groups."""
        return self.kernel.shape[0]

    @property
    def is_pointwise(self) -> bool:
        """Whether every output pixel sees one input pixel, and never the padding."""
        return self.kernel.shape[2:] == (1, 1) and self.padding == (0, 0)

    def __matmul__(self, first: Affine) -> Affine:
        """Return self after `first`; one of the two must be 1x1."""
        g, f = self, first
        if g.in_channels != f.out_channels:
            raise NotFoldable(f"{f} gives {f.out_channels} channels, but {g} takes {g.in_channels}.")
        if not g.is_pointwise:
            _require_one_kernel(g, f)
        groups = gcd(g.groups, f.groups)
        outer, inner = g._blocks(groups), f._blocks(groups)  # (G, o, m, y, x), (G, m, i, y, x): y = x = 1 in one
        kernel = torch.einsum("gomyx,gmiyx->goiyx", outer, inner)
        bias = g.bias + torch.einsum("gomyx,gm->go", outer, f.bias.view(groups, -1)).flatten()
        stride = f.stride[0] * g.stride[0], f.stride[1] * g.stride[1]
        padding = f.padding[0] + g.padding[0], f.padding[1] + g.padding[1]  # one of them is 0
        return Affine(kernel.flatten(0, 1), bias, stride, padding, groups)

    def __add__(self, other: Affine) -> Affine:
        """Return the map of two parallel branches; windows of different sizes must have the same centre."""
        padding = max(self.padding[0], other.padding[0]), max(self.padding[1], other.padding[1])
        f, g = self._framed(padding), other._framed(padding)
        same_channels = (f.in_channels, f.out_channels) == (g.in_channels, g.out_channels)
        if not same_channels or f.kernel.shape[2:] != g.kernel.shape[2:] or f.stride != g.stride:
            raise NotFoldable(f"{self} and {other} do not add: channels, strides and centres must be the same.")
        groups = gcd(f.groups, g.groups)
        kernel = f._blocks(groups) + g._blocks(groups)
        return replace(f, kernel=kernel.flatten(0, 1), bias=f.bias + g.bias, groups=groups)

    def carry_into(self, following: Affine) -> tuple[Affine, Affine]:
        """Return two maps that compute `following @ self`, the first without a bias; `following` must be 1x1."""
        shift = Affine(torch.eye(self.out_channels, dtype=torch.float64)[..., None, None], self.bias)
        if not following.is_pointwise:
            raise NotFoldable(f"{following} pads where {self} gives its bias, so the border would differ. Keep both.")
        return replace(self, bias=torch.zeros_like(self.bias)), following @ shift

    def to_conv(self, like: Tensor, bias: bool = True) -> nn.Conv2d:
        """Return this map as a convolution that owns its weights, with the dtype and on the device of `like`."""
        height, width = self.kernel.shape[2:]
        conv = nn.Conv2d(
            *(self.in_channels, self.out_channels, (height, width), self.stride, self.padding),
            groups=self.groups,
            bias=bias,
            device="meta",  # nothing is initialised, so the global random state is left alone
        )
        conv.weight = nn.Parameter(self.kernel.to(like, copy=True))
        if bias:
            conv.bias = nn.Parameter(self.bias.to(like, copy=True))
        return conv

    def _blocks(self, groups: int) -> Tensor:
        """The kernel as (groups, O / groups, I / groups, height, width), for a divisor of this map's own groups."""
        merged = self.groups // groups
        own = self.kernel.reshape(groups, merged, -1, *self.kernel.shape[1:])  # (G, r, o, i, y, x)
        block_diagonal = torch.einsum("groiyx,rs->grosiyx", own, torch.eye(merged, dtype=own.dtype))
        return block_diagonal.flatten(3, 4).flatten(1, 2)  # (G, r o, r i, y, x)

    def _framed(self, padding: Pair) -> Affine:
        """The same map, its kernel framed with as many zeros as its padding grows by."""
        dy, dx = padding[0] - self.padding[0], padding[1] - self.padding[1]
        return replace(self, kernel=F.pad(self.kernel, (dx, dx, dy, dy)), padding=padding)

    def __str__(self) -> str:
        height, width = self.kernel.shape[2:]
        return f"a {height}x{width} map ({self.in_channels} to {self.out_channels} channels)"


def _require_one_kernel(g: Affine, f: Affine) -> None:
    if not f.is_pointwise:
        raise NotFoldable(f"{g} after {f}: of two composed maps one must be 1x1 without padding. Keep both.")
    if f.stride != (1, 1):
        raise NotFoldable(f"{g} after {f} of stride {f.stride}: one kernel would need holes. Keep both.")
    if any(g.padding) and f.bias.any():
        raise NotFoldable(
            f"{g} pads with 0 where {f} gives its bias, so the border would differ. Keep both, or drop that bias."
        )


@singledispatch
def affine(module: nn.Module) -> Affine:
    """Return what a trained module computes in evaluation, as a float64 value on the CPU that shares no memory with it.

    Raises `NotFoldable` for whatever is no such map; a further type joins by `@affine.register`.
    """
    raise NotFoldable(f"{type(module).__name__} is not known to be affine. If it is, `@affine.register` a function.")


@affine.register
def _(conv: nn.Conv2d) -> Affine:
    _require_plain(conv, nn.Conv2d)
    if conv.dilation != (1, 1):
        raise NotFoldable(f"a dilation of {conv.dilation} has no place in the algebra. Keep this convolution apart.")
    if conv.padding_mode != "zeros":
        raise NotFoldable(f"padding_mode {conv.padding_mode!r} is not affine in the kernel alone. Use 'zeros'.")
    kernel = _value(conv.weight)
    bias = kernel.new_zeros(conv.out_channels) if conv.bias is None else _value(conv.bias)
    stride, groups = (conv.stride[0], conv.stride[1]), conv.groups
    return Affine(kernel, bias, stride, _symmetric_padding(conv), groups)


@affine.register(nn.BatchNorm2d)
@affine.register(nn.SyncBatchNorm)
def _(norm: nn.BatchNorm2d | nn.SyncBatchNorm) -> Affine:
    _require_plain(norm, nn.BatchNorm2d, nn.SyncBatchNorm)
    if norm.running_mean is None or norm.running_var is None:
        raise NotFoldable("a batch norm without running statistics depends on the batch. Use track_running_stats=True.")
    if norm.training:
        raise NotFoldable("a batch norm in training mode depends on the batch. Call model.eval() first.")
    mean, var = _value(norm.running_mean), _value(norm.running_var)
    gamma = torch.ones_like(mean) if norm.weight is None else _value(norm.weight)
    beta = torch.zeros_like(mean) if norm.bias is None else _value(norm.bias)
    scale = gamma / torch.sqrt(var + norm.eps)
    return Affine(scale.view(-1, 1, 1, 1), beta - scale * mean, groups=norm.num_features)


def _require_plain(module: nn.Module, *known: type[nn.Module]) -> None:
    if type(module) not in known:
        raise NotFoldable(
            f"{type(module).__name__} may compute something else than {known[0].__name__}. "
            "Remove its parametrisation, or `@affine.register` the type."
        )
    if module._forward_hooks or module._forward_pre_hooks:
        raise NotFoldable(f"a hook may change what this {known[0].__name__} computes. Remove the hook first.")


def _symmetric_padding(conv: nn.Conv2d) -> Pair:
    """Rows and columns of zeros on each side; "same" is half the kernel, if that is odd."""
    if not isinstance(conv.padding, str):
        return conv.padding[0], conv.padding[1]
    if conv.padding == "valid":
        return 0, 0
    height, width = conv.kernel_size
    if height % 2 == 0 or width % 2 == 0:
        raise NotFoldable(f"padding 'same' of a {height}x{width} kernel is lopsided. Use an odd kernel.")
    return height // 2, width // 2


def _value(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", torch.float64, copy=True)
