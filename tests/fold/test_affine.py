"""The laws of the algebra on random maps, in float64, against running the maps themselves; and every refusal."""

from collections.abc import Callable
from dataclasses import replace
from math import lcm

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from lvunet.errors import NotFoldable
from lvunet.fold.affine import Affine, affine

TOLERANCE = 1e-12  # a sum of some hundred float64 products of size 1 errs by some 1e-14
Pair = tuple[int, int]

law = settings(deadline=None, max_examples=80, derandomize=True)
groups, multiplier = st.sampled_from([1, 2, 3, 4, 6]), st.integers(1, 3)
pairs = st.tuples(st.integers(1, 3), st.integers(1, 3))
paddings = st.tuples(st.integers(0, 2), st.integers(0, 2))
seeds = st.integers(0, 2**31)


def random_map(
    channels: Pair, window: Pair = (1, 1), *, stride: Pair = (1, 1), padding: Pair = (0, 0), groups: int = 1
) -> Affine:
    """A map of `channels` = (in, out) with weights and biases between -1 and 1."""
    kernel = torch.rand(channels[1], channels[0] // groups, *window, dtype=torch.float64) * 2 - 1
    bias = torch.rand(channels[1], dtype=torch.float64) * 2 - 1
    return Affine(kernel, bias, stride, padding, groups)


def image(channels: int) -> Tensor:
    return torch.randn(2, channels, 9, 11, dtype=torch.float64)


def run(f: Affine, x: Tensor) -> Tensor:
    return F.conv2d(x, f.kernel, f.bias, f.stride, f.padding, groups=f.groups)


def unbiased(f: Affine) -> Affine:
    return replace(f, bias=torch.zeros_like(f.bias))


def assert_same(actual: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(actual, expected, rtol=TOLERANCE, atol=TOLERANCE)


def assert_same_map(f: Affine, g: Affine) -> None:
    assert (f.stride, f.padding, f.in_channels) == (g.stride, g.padding, g.in_channels)
    x = image(f.in_channels)
    assert_same(run(f, x), run(g, x))


@law
@given(seeds, groups, groups, multiplier, multiplier, multiplier, pairs, pairs, pairs, paddings)
def test_a_1x1_after_any_map_is_one_map(
    seed: int, f_groups: int, g_groups: int, a: int, b: int, c: int, window: Pair, stride: Pair, skip: Pair, pad: Pair
) -> None:
    torch.manual_seed(seed)
    between = lcm(f_groups, g_groups) * b  # output channels of 1, depthwise and multipliers are among these
    f = random_map((a * f_groups, between), window, stride=stride, padding=pad, groups=f_groups)
    g = random_map((between, c * g_groups), stride=skip, groups=g_groups)
    x = image(f.in_channels)
    assert_same(run(g @ f, x), run(g, run(f, x)))


@law
@given(seeds, groups, groups, multiplier, multiplier, multiplier, pairs, pairs, paddings)
def test_any_map_after_a_1x1_is_one_map_if_its_padding_meets_no_bias(
    seed: int, f_groups: int, g_groups: int, a: int, b: int, c: int, window: Pair, stride: Pair, pad: Pair
) -> None:
    torch.manual_seed(seed)
    between = lcm(f_groups, g_groups) * b
    f = random_map((a * f_groups, between), groups=f_groups)
    f = unbiased(f) if any(pad) else f
    g = random_map((between, c * g_groups), window, stride=stride, padding=pad, groups=g_groups)
    x = image(f.in_channels)
    assert_same(run(g @ f, x), run(g, run(f, x)))


@law
@given(seeds, pairs, pairs, paddings)
def test_composition_is_associative(seed: int, window: Pair, stride: Pair, pad: Pair) -> None:
    torch.manual_seed(seed)
    f = unbiased(random_map((4, 6), groups=2))
    g = random_map((6, 6), window, stride=stride, padding=pad, groups=6)
    h = random_map((6, 9), groups=3)
    assert_same_map((h @ g) @ f, h @ (g @ f))


@law
@given(seeds, pairs, pairs, paddings, st.sampled_from([1, 2, 6]))
def test_the_diagonal_of_ones_is_the_identity_on_both_sides(
    seed: int, window: Pair, stride: Pair, pad: Pair, groups: int
) -> None:
    torch.manual_seed(seed)
    f = random_map((6, 6), window, stride=stride, padding=pad, groups=groups)
    one = Affine(torch.ones(6, 1, 1, 1, dtype=torch.float64), torch.zeros(6, dtype=torch.float64), groups=6)
    for same in (one @ f, f @ one):
        assert torch.equal(same.kernel, f.kernel)
        assert torch.equal(same.bias, f.bias)
        assert (same.stride, same.padding, same.groups) == (f.stride, f.padding, f.groups)


@law
@given(seeds, groups, groups, pairs, pairs, paddings, paddings)
def test_a_sum_is_both_branches_added(
    seed: int, f_groups: int, g_groups: int, window: Pair, stride: Pair, pad: Pair, frame: Pair
) -> None:
    torch.manual_seed(seed)
    channels = lcm(f_groups, g_groups), 2 * lcm(f_groups, g_groups)
    wide_window = window[0] + 2 * frame[0], window[1] + 2 * frame[1]
    wide_pad = pad[0] + frame[0], pad[1] + frame[1]
    f = random_map(channels, window, stride=stride, padding=pad, groups=f_groups)
    g = random_map(channels, wide_window, stride=stride, padding=wide_pad, groups=g_groups)
    x = image(channels[0])
    assert_same(run(f + g, x), run(f, x) + run(g, x))
    assert_same_map(f + g, g + f)


@law
@given(seeds, pairs, pairs, paddings)
def test_composition_distributes_over_the_sum(seed: int, window: Pair, stride: Pair, pad: Pair) -> None:
    torch.manual_seed(seed)
    f, also_f = (random_map((4, 6), window, stride=stride, padding=pad, groups=n) for n in (1, 2))
    g, also_g = (random_map((6, 3), groups=n) for n in (1, 3))
    assert_same_map((g + also_g) @ f, g @ f + also_g @ f)
    linear = unbiased(g)  # a bias would be added once on the left and twice on the right
    assert_same_map(linear @ (f + also_f), linear @ f + linear @ also_f)


def test_a_tall_window_and_a_wide_one_add_to_a_square_one() -> None:
    tall = random_map((2, 2), (3, 1), padding=(1, 0))
    wide = random_map((2, 2), (1, 3), padding=(0, 1))
    x = image(2)
    assert (tall + wide).kernel.shape == (2, 2, 3, 3)
    assert_same(run(tall + wide, x), run(tall, x) + run(wide, x))


def test_groups_combine_to_their_greatest_common_divisor() -> None:
    assert (random_map((12, 12), groups=4) @ random_map((12, 12), groups=6)).groups == 2
    assert (random_map((12, 12), groups=4) + random_map((12, 12), groups=6)).groups == 2
    assert (random_map((12, 24), groups=12) @ random_map((12, 12), groups=12)).groups == 12


@pytest.mark.parametrize(
    "conv",
    [
        nn.Conv2d(3, 5, 3, stride=2, padding=1),
        nn.Conv2d(4, 8, (1, 5), padding=(0, 2), groups=4, bias=False),
        nn.Conv2d(6, 1, 1),
        nn.Conv2d(2, 2, (3, 5), padding="same"),
        nn.Conv2d(2, 2, 4, padding="valid"),
    ],
    ids=str,
)
def test_a_convolution_is_its_map(conv: nn.Conv2d) -> None:
    conv = conv.double()
    x = image(conv.in_channels)
    assert_same(run(affine(conv), x), conv(x))


@pytest.mark.parametrize("norm_type", [nn.BatchNorm2d, nn.SyncBatchNorm])
@pytest.mark.parametrize("learned", [True, False])
def test_a_batch_norm_in_evaluation_is_its_map(
    norm_type: type[nn.BatchNorm2d] | type[nn.SyncBatchNorm], learned: bool
) -> None:
    norm = norm_type(7, eps=1e-3, affine=learned).double().eval()
    for statistic in norm.state_dict().values():
        statistic.copy_(torch.rand_like(statistic.double()) + 0.5)
    x = image(7)
    assert affine(norm).groups == 7
    assert_same(run(affine(norm), x), norm(x))


def test_a_batch_norm_over_a_convolution_by_hand() -> None:
    conv, norm = nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1, eps=1.0).eval()
    conv.load_state_dict({"weight": torch.full((1, 1, 1, 1), 3.0), "bias": torch.tensor([2.0])})
    norm.load_state_dict(
        {
            "weight": torch.tensor([4.0]),
            "bias": torch.tensor([5.0]),
            "running_mean": torch.tensor([1.0]),
            "running_var": torch.tensor([3.0]),
            "num_batches_tracked": torch.tensor(1),
        }
    )
    merged = affine(norm) @ affine(conv)  # 4 (3 x + 2 - 1) / sqrt(3 + 1) + 5 = 6 x + 7
    assert (merged.kernel.item(), merged.bias.item()) == (6.0, 7.0)


def test_a_map_is_a_value_that_later_training_does_not_change() -> None:
    conv = nn.Conv2d(2, 2, 1).double()
    before = affine(conv)
    kernel, bias = before.kernel.clone(), before.bias.clone()
    with torch.no_grad():
        conv.weight.add_(1)
        before.to_conv(like=conv.weight).weight.add_(1)
    assert torch.equal(before.kernel, kernel)
    assert torch.equal(before.bias, bias)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_map_becomes_a_convolution_of_the_wanted_dtype(dtype: torch.dtype) -> None:
    f = random_map((4, 6), (3, 5), stride=(2, 1), padding=(1, 2), groups=2)
    conv = f.to_conv(like=torch.empty(0, dtype=dtype))
    assert conv.bias is not None
    assert (conv.weight.dtype, conv.bias.dtype) == (dtype, dtype)
    assert torch.equal(conv.weight, f.kernel.to(dtype))
    x = image(4)
    assert_same(f.to_conv(like=x)(x), run(f, x))


def test_making_a_convolution_draws_no_random_numbers() -> None:
    f, state = random_map((2, 3)), torch.get_rng_state()
    f.to_conv(like=f.kernel)
    assert torch.equal(torch.get_rng_state(), state)


def hooked() -> nn.Conv2d:
    conv = nn.Conv2d(2, 2, 1)
    conv.register_forward_hook(lambda _module, _inputs, output: 2 * output)
    return conv


class Doubled(nn.Conv2d):
    def forward(self, input: Tensor) -> Tensor:  # torch's name
        return 2 * super().forward(input)


@pytest.mark.parametrize(
    ("module", "reason"),
    [
        (nn.BatchNorm2d(2), "training mode.*Call model.eval"),
        (nn.BatchNorm2d(2, track_running_stats=False).eval(), "without running statistics"),
        (nn.Conv2d(2, 2, 3, dilation=2), "dilation of \\(2, 2\\)"),
        (nn.Conv2d(2, 2, 3, padding=1, padding_mode="reflect"), "padding_mode 'reflect'"),
        (nn.Conv2d(2, 2, 2, padding="same"), "2x2 kernel is lopsided"),
        (Doubled(2, 2, 1), "Doubled may compute something else than Conv2d"),
        (weight_norm(nn.Conv2d(2, 2, 1)), "ParametrizedConv2d may compute something else"),
        (hooked(), "a hook may change"),
        (nn.ReLU(), "ReLU is not known to be affine"),
        (nn.ConvTranspose2d(2, 2, 1), "ConvTranspose2d is not known to be affine"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_a_module_that_is_no_such_map_is_refused(module: nn.Module, reason: str) -> None:
    with pytest.raises(NotFoldable, match=reason):
        affine(module)


@pytest.mark.parametrize(
    ("compose", "reason"),
    [
        (
            lambda: random_map((2, 2), (3, 3), padding=(1, 1)) @ random_map((2, 2)),
            "3x3 map .2 to 2 channels. pads with 0 where a 1x1 map .* gives its bias",
        ),
        (lambda: random_map((2, 2), padding=(0, 1)) @ random_map((2, 2)), "pads with 0"),
        (lambda: random_map((2, 2), (3, 3)) @ random_map((2, 2), (3, 3)), "one must be 1x1"),
        (lambda: random_map((2, 2), (3, 3)) @ random_map((2, 2), padding=(1, 1)), "one must be 1x1 without padding"),
        (lambda: random_map((2, 2), (1, 3)) @ random_map((2, 2), stride=(1, 2)), "need holes"),
        (lambda: random_map((3, 2)) @ random_map((2, 2)), "gives 2 channels, but .* takes 3"),
        (lambda: random_map((2, 2)) + random_map((2, 3)), "do not add"),
        (lambda: random_map((1, 2)) + random_map((2, 2)), "do not add"),
        (lambda: random_map((2, 2)) + random_map((2, 2), stride=(2, 2)), "do not add"),
        (lambda: random_map((2, 2)) + random_map((2, 2), (3, 3)), "do not add"),
        (lambda: random_map((2, 2), (2, 2)) + random_map((2, 2), (3, 3), padding=(1, 1)), "do not add"),
    ],
    ids=lambda value: value if isinstance(value, str) else None,
)
def test_what_is_not_exactly_one_map_is_refused(compose: Callable[[], Affine], reason: str) -> None:
    with pytest.raises(NotFoldable, match=reason):
        compose()


def test_the_refused_bias_would_indeed_be_wrong_at_the_border_only() -> None:
    f, g = random_map((2, 2)), random_map((2, 2), (3, 3), padding=(1, 1))
    x = image(2)
    naive = g @ unbiased(f)
    naive = replace(naive, bias=naive.bias + g.kernel.sum((2, 3)) @ f.bias)
    error = (run(naive, x) - run(g, run(f, x))).abs()
    assert error[..., 1:-1, 1:-1].max() < TOLERANCE
    assert error.max() > 0.01


def test_a_bias_is_carried_into_the_1x1_that_follows_and_into_nothing_wider() -> None:
    first, following = affine(nn.Conv2d(4, 4, 3, padding=1, groups=4)), affine(nn.Conv2d(4, 2, 1))
    linear, shifted = first.carry_into(following)
    assert not linear.bias.any()
    together = following @ first
    assert torch.allclose((shifted @ linear).kernel, together.kernel, rtol=0, atol=TOLERANCE)
    assert torch.allclose((shifted @ linear).bias, together.bias, rtol=0, atol=TOLERANCE)
    with pytest.raises(NotFoldable, match="border"):
        following.carry_into(first)
