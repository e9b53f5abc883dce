"""The deployed form of whole networks: the same function, 510,953 parameters, and a source that is left alone."""

from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.flop_counter import FlopCounterMode
from torchvision.models import mobilenet_v3_large
from torchvision.models.segmentation import lraspp_mobilenet_v3_large

from lvunet.errors import NotFoldable
from lvunet.fold import fold
from lvunet.model import LVUNet, import_original

FLOAT32_TOLERANCE = 1e-4  # the project's link "trained - folded", for logits of size 5
FLOAT64_TOLERANCE = 1e-10


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(0)


def pictures(count: int, channels: int, size: tuple[int, int]) -> Tensor:
    """Random images, coarse and fine: either alone leaves some batch norms next to no variance to divide by."""
    coarse = F.interpolate(torch.randn(count, channels, 4, 4), size, mode="bilinear")
    return coarse + 0.5 * torch.randn(count, channels, *size)


def settle(model: nn.Module, images: Tensor) -> nn.Module:
    """Give every batch norm random scales and shifts and the statistics of these images; return it in evaluation."""
    norms = [module for module in model.modules() if isinstance(module, _BatchNorm)]
    for norm in norms:
        nn.init.uniform_(norm.weight, 0.8, 1.2)
        nn.init.uniform_(norm.bias, -0.2, 0.2)
        norm.momentum = None  # an average over the batches seen
    with torch.no_grad():
        model.train()(images)
    return model.eval()


@cache
def settled_for(classes: int, in_channels: int) -> nn.Module:
    model = LVUNet(classes, in_channels)
    model.set_slope(1)
    return settle(model, pictures(8, in_channels, (256, 256)))


def settled() -> nn.Module:
    return settled_for(classes=1, in_channels=3)


def difference(model: nn.Module, folded: nn.Module, images: Tensor) -> float:
    with torch.no_grad():
        expected = model(images)
        assert 0.1 < expected.abs().max() < 100, "tolerances are meant for logits of size 5"
        return float((folded(images) - expected).abs().max())


@pytest.mark.parametrize(("classes", "in_channels"), [(1, 3), (3, 1)])
@pytest.mark.parametrize("size", [(128, 256), (96, 160)])
def test_the_folded_network_gives_the_same_logits(classes: int, in_channels: int, size: tuple[int, int]) -> None:
    model = settled_for(classes=classes, in_channels=in_channels)
    images = pictures(2, in_channels, size)
    assert difference(model, fold(model), images) < FLOAT32_TOLERANCE
    precise = deepcopy(model).double()
    assert difference(precise, fold(precise), images.double()) < FLOAT64_TOLERANCE


@pytest.mark.parametrize("size", ["256x256", "128x384"])
def test_the_folded_import_gives_the_logits_of_the_authors_deployed_form(shared: Path, size: str) -> None:
    reference = load_file(shared / "reference" / "lvunet_original.safetensors")
    prefix = "state_dict."
    model = import_original({k.removeprefix(prefix): v for k, v in reference.items() if k.startswith(prefix)})
    model.set_slope(1)
    with torch.no_grad():
        logits = fold(model)(reference[f"input_{size}"])
    assert (logits - reference[f"logits_{size}_deployed"]).abs().max() < FLOAT32_TOLERANCE


def test_one_class_leaves_510_953_parameters() -> None:
    # The authors' deployed form has 513,585 and keeps the backbone's 27 batch norms: gamma and beta for each of their
    # 2,600 channels (stem, then features 1 to 9). A folded one leaves one bias a channel instead. Two biases of 16
    # channels, before a 1x1 with nothing between, went into its bias.
    channels = 16 + 32 + 152 + 168 + 184 + 280 + 280 + 560 + 480 + 448
    count = sum(parameter.numel() for parameter in fold(settled()).parameters())
    assert count == 513_585 - channels - 2 * 16 == 510_953


def test_one_256x256_image_costs_157_million_multiply_adds() -> None:
    folded = fold(settled())
    with FlopCounterMode(display=False) as counter:
        folded(torch.zeros(1, 3, 256, 256))
    assert counter.get_total_flops() == 2 * 157_070_080


def test_no_batch_norm_and_no_buffer_is_left() -> None:
    folded = fold(settled())
    assert not [path for path, module in folded.named_modules() if isinstance(module, _BatchNorm)]
    assert not list(folded.buffers())


def test_each_slot_of_a_fusible_block_holds_one_plain_convolution() -> None:
    folded = fold(settled())
    pointwise, series = (folded.get_submodule(f"encoder.2.{slot}") for slot in ("pointwise", "series"))
    assert str(pointwise) == "Conv2d(240, 480, kernel_size=(1, 1), stride=(1, 1))"
    assert str(series) == "Conv2d(480, 480, kernel_size=(3, 3), stride=(1, 1), padding=(1, 1), groups=480)"


def test_the_folded_network_is_in_evaluation_and_wants_no_gradient() -> None:
    folded = fold(settled())
    assert not any(module.training for module in folded.modules())
    assert not any(parameter.requires_grad for parameter in folded.parameters())


def test_the_trained_network_is_left_as_it_is() -> None:
    model = settled()
    state, random_state = deepcopy(model.state_dict()), torch.get_rng_state()
    modes = [module.training for module in model.modules()]
    fold(model)
    assert state.keys() == model.state_dict().keys()
    assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
    assert [module.training for module in model.modules()] == modes
    assert all(parameter.requires_grad for parameter in model.parameters())
    assert torch.equal(torch.get_rng_state(), random_state)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_the_two_networks_share_no_memory(dtype: torch.dtype) -> None:
    model = deepcopy(settled()).to(dtype)
    theirs, ours = ({t.untyped_storage().data_ptr() for t in m.state_dict().values()} for m in (model, fold(model)))
    assert theirs.isdisjoint(ours)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_the_dtype_of_the_model_is_kept(dtype: torch.dtype) -> None:
    folded = fold(deepcopy(settled()).to(dtype))
    assert {parameter.dtype for parameter in folded.parameters()} == {dtype}


def test_folding_the_folded_network_changes_nothing() -> None:
    once = fold(settled())
    twice = fold(once)
    assert str(once) == str(twice)
    assert all(torch.equal(tensor, twice.state_dict()[name]) for name, tensor in once.state_dict().items())


@pytest.mark.parametrize("slope", [0.0, 0.9948, 0.9999999])
def test_a_slope_below_1_is_refused_with_its_path(slope: float) -> None:
    model = LVUNet().eval()
    model.set_slope(slope)
    with pytest.raises(NotFoldable, match=r"^encoder\.0\.pointwise\.activation: its slope is 0.* must end at slope 1"):
        fold(model)


def test_a_network_in_training_mode_is_refused_with_its_path_and_left_in_training() -> None:
    model = LVUNet().train()
    model.set_slope(1)
    with pytest.raises(NotFoldable, match=r"^stem\.1: .*training mode.*Call model\.eval"):
        fold(model)
    assert model.training


def test_one_batch_norm_in_training_mode_is_found_in_its_slot() -> None:
    model = deepcopy(settled())
    model.get_submodule("decoder.4.series.norm").train()
    with pytest.raises(NotFoldable, match=r"^decoder\.4\.series\.norm: .*training mode"):
        fold(model)


class PreNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(4)
        self.conv = nn.Conv2d(4, 4, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        return self.conv(self.norm(x))


class Backwards(nn.Sequential):
    """A sequence that does not compute in the order of its children."""

    def forward(self, x: Tensor) -> Tensor:
        for module in reversed(self):
            x = module(x)
        return x


@pytest.mark.parametrize(
    ("model", "path"),
    [
        (nn.BatchNorm2d(4), "the model"),
        (nn.Sequential(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.BatchNorm2d(4)), "2"),
        (nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.BatchNorm2d(4)), "2"),
        (nn.Sequential(nn.ConvTranspose2d(4, 4, 1), nn.BatchNorm2d(4)), "1"),
        (nn.ModuleDict({"body": nn.Sequential(PreNorm())}), "body.0.norm"),
        (Backwards(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)), "1"),
    ],
)
def test_a_batch_norm_that_would_stay_is_refused_with_its_path(model: nn.Module, path: str) -> None:
    with pytest.raises(NotFoldable, match=f"^{path}: no rule folds this BatchNorm2d .* Put it right behind"):
        fold(model.eval())


def test_a_convolution_that_cannot_fold_is_refused_with_its_path() -> None:
    model = nn.Sequential(nn.Sequential(nn.Conv2d(4, 4, 3, dilation=2), nn.BatchNorm2d(4))).eval()
    with pytest.raises(NotFoldable, match=r"^0\.0: a dilation of"):
        fold(model)


def test_a_convolution_without_batch_norm_is_copied_whatever_its_kind() -> None:
    model = nn.Sequential(nn.Conv2d(4, 4, 3, dilation=2, padding=2, padding_mode="reflect"), nn.ReLU())
    x = torch.randn(1, 4, 8, 8)
    assert torch.equal(fold(model)(x), model(x))


def test_one_convolution_before_two_batch_norms_folds_into_two() -> None:
    conv = nn.Conv2d(4, 4, 1)
    model = nn.Sequential(conv, nn.BatchNorm2d(4), nn.ReLU(), conv, nn.BatchNorm2d(4))
    settle(model, torch.randn(8, 4, 8, 8))
    assert difference(model, fold(model), torch.randn(2, 4, 8, 8)) < FLOAT32_TOLERANCE


def test_an_empty_slot_stays_empty() -> None:
    model = nn.Module()
    model.register_module("branch", None)
    assert fold(model).get_submodule("").branch is None


def test_torchvisions_mobilenet_folds_to_the_same_classifier() -> None:
    model = settle(mobilenet_v3_large(weights=None), pictures(8, 3, (64, 64)))
    folded = fold(model)
    assert not list(folded.buffers())
    assert difference(model, folded, pictures(2, 3, (64, 64))) < FLOAT32_TOLERANCE


def test_a_dilated_backbone_is_refused_rather_than_folded_wrongly() -> None:
    model = lraspp_mobilenet_v3_large(weights=None, weights_backbone=None).eval()
    with pytest.raises(NotFoldable, match=r"^backbone\.13\.block\.1\.0: a dilation of"):
        fold(model)
