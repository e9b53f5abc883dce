"""The network: the paper's numbers, every variant's contract, and its refusals."""

from pathlib import Path
from urllib.error import URLError

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from lvunet.errors import CheckpointError, ConfigError, InputError
from lvunet.model import LVUNet, PixelsToProbability
from lvunet.model.blocks import DeepActivation

PRETRAINED = Path("pretrained") / "mobilenet_v3_large_features_imagenet.safetensors"


@pytest.fixture(scope="module")
def network() -> LVUNet:
    torch.manual_seed(0)
    return LVUNet().eval()


def test_the_training_form_has_934_545_parameters_and_174_6_million_multiply_adds(network: LVUNet) -> None:
    assert sum(parameter.numel() for parameter in network.parameters()) == 934_545
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(torch.zeros(1, 3, 256, 256))
    assert counter.get_total_flops() == 2 * 174_580_480


@pytest.mark.parametrize("classes", [1, 4])
@pytest.mark.parametrize("in_channels", [1, 3, 5])
@pytest.mark.parametrize("size", [(32, 32), (100, 260), (128, 256)])
def test_logits_have_the_size_of_the_image_for_every_variant(
    classes: int, in_channels: int, size: tuple[int, int]
) -> None:
    model = LVUNet(classes, in_channels).eval()
    with torch.inference_mode():
        assert model(torch.randn(2, in_channels, *size)).shape == (2, classes, *size)


def test_other_sizes_are_padded_by_their_border_and_cropped_back(network: LVUNet) -> None:
    image = torch.randn(1, 3, 100, 200)
    padded = F.pad(image, (0, 56, 0, 28), mode="replicate")
    with torch.inference_mode():
        assert torch.equal(network(image), network(padded)[..., :100, :200])


@pytest.mark.parametrize(("shape", "message"), [((1, 1, 64, 64), "3 channels, not 1"), ((1, 3, 31, 64), "at least 32")])
def test_an_image_it_cannot_take_is_refused_with_the_reason(
    network: LVUNet, shape: tuple[int, ...], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        network(torch.zeros(shape))


def test_one_image_of_128_pixels_cannot_train_and_the_error_says_why() -> None:
    model = LVUNet().train()
    with pytest.raises(InputError, match=r"batch norm.*two images"):
        model(torch.zeros(1, 3, 128, 128))
    assert model(torch.zeros(2, 3, 128, 128)).shape == (2, 1, 128, 128)
    assert model(torch.zeros(1, 3, 128, 129)).shape == (1, 1, 128, 129)


@pytest.mark.parametrize("slope", [0.0, 0.3, 1.0])
def test_the_activation_is_a_leaky_relu_and_at_slope_one_exactly_the_identity(slope: float) -> None:
    activation = DeepActivation()
    activation.slope.fill_(slope)
    x = torch.randn(1000)
    torch.testing.assert_close(activation(x), F.leaky_relu(x, slope))
    if slope == 1:
        assert torch.equal(activation(x), x)


def test_the_slope_is_part_of_the_state_and_stays_in_range() -> None:
    model, again = LVUNet(), LVUNet()
    model.set_slope(0.75)
    again.load_state_dict(model.state_dict())
    assert again.slope == 0.75
    with pytest.raises(ConfigError, match="between 0 and 1"):
        model.set_slope(1.01)


def test_impossible_classes_and_channels_are_refused() -> None:
    with pytest.raises(ConfigError, match="at least 1"):
        LVUNet(classes=0)


def test_probabilities_come_from_pixels_by_normalisation_and_sigmoid_or_softmax(network: LVUNet) -> None:
    pixels = torch.full((1, 3, 128, 128), 255 * 0.5)
    normal = torch.full((1, 3, 128, 128), (0.5 - 0.2) / 0.4)
    with torch.inference_mode():
        expected = network(normal).sigmoid()
        actual = PixelsToProbability(network, (0.2,) * 3, (0.4,) * 3).eval()(pixels)
        several = PixelsToProbability(LVUNet(classes=3).eval(), (0.2,) * 3, (0.4,) * 3).eval()(pixels)
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(several.sum(dim=1), torch.ones(1, 128, 128))


@pytest.mark.parametrize("classes", [1, 3])
def test_the_temperature_divides_the_logits(classes: int) -> None:
    several, pixels = LVUNet(classes).eval(), torch.rand(1, 3, 64, 64) * 255
    with torch.inference_mode():
        warm = PixelsToProbability(several, (0.2,) * 3, (0.4,) * 3, temperature=2.5)
        divided = warm.logits(pixels) / 2.5
        torch.testing.assert_close(warm(pixels), divided.sigmoid() if classes == 1 else divided.softmax(dim=1))


def test_imagenet_weights_come_from_a_file(shared: Path, tmp_path: Path) -> None:
    model = LVUNet(weights=shared / PRETRAINED)
    weights = load_file(shared / PRETRAINED)
    assert torch.equal(model.state_dict()["stem.0.weight"], weights["features.0.0.weight"])
    assert torch.equal(model.state_dict()["groups.2.3.block.0.0.weight"], weights["features.9.block.0.0.weight"])
    torch.save(weights, tmp_path / "weights.pth")
    assert torch.equal(
        LVUNet(weights=tmp_path / "weights.pth").state_dict()["stem.0.weight"], weights["features.0.0.weight"]
    )


def test_the_stem_is_adapted_to_other_channels_so_that_its_response_stays(shared: Path) -> None:
    grey = torch.randn(1, 1, 64, 64)

    def response(in_channels: int) -> Tensor:
        stem = LVUNet(in_channels=in_channels, weights=shared / PRETRAINED).state_dict()["stem.0.weight"]
        return F.conv2d(grey.expand(-1, in_channels, -1, -1), stem)

    rgb, one, six = response(3), response(1), response(6)
    torch.testing.assert_close(one, rgb, rtol=1e-5, atol=1e-4)
    torch.testing.assert_close(six, rgb, rtol=1e-5, atol=1e-4)


def test_without_a_network_the_error_names_the_file_option(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*_: object, **__: object) -> None:
        raise URLError("no route to host")

    monkeypatch.setattr("torch.hub.download_url_to_file", no_network)
    monkeypatch.setattr("torch.hub.get_dir", lambda: "/nonexistent")
    monkeypatch.setattr("os.makedirs", lambda *_, **__: None)
    with pytest.raises(CheckpointError, match=r"no route to host.*--weights path/to/"):
        LVUNet(weights="imagenet")


def test_a_weights_file_that_lacks_tensors_or_is_missing_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no file at"):
        LVUNet(weights=tmp_path / "none.safetensors")
    save_file({"features.0.0.weight": torch.zeros(16, 3, 3, 3)}, tmp_path / "some.safetensors")
    with pytest.raises(CheckpointError, match="lacks"):
        LVUNet(weights=tmp_path / "some.safetensors")
