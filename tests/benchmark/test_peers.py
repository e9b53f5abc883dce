"""The peers: built from their packages, shaped like LV-UNet, initialised as they say, and able to learn."""

import sys
from collections.abc import Callable
from copy import deepcopy
from functools import cache
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torchvision.models import MobileNet_V3_Large_Weights, ResNet18_Weights, ResNet34_Weights, mobilenet_v3_large
from torchvision.models.segmentation import LRASPP_MobileNet_V3_Large_Weights

from lvunet.benchmark.peers import PEERS, PeerNetwork, build, constructor, initialised, usable
from lvunet.card import LVUNET
from lvunet.data.phantom import write_phantoms
from lvunet.errors import CheckpointError, ConfigError, MissingDependency
from lvunet.learn.config import TrainConfig
from lvunet.learn.loss import BCEDice
from lvunet.learn.start import teachers
from lvunet.learn.train import train
from lvunet.model import LVUNet, PixelsToProbability, load_card, load_checkpoint, load_network
from lvunet.model.backbone import mobilenet_features
from trainings import rows

ROUNDING = 1e-5  # of the largest feature: ten layers in float32, and 0.00099 added to a variance of 24 bits
# What the classifiers that an encoder leaves out have: published parameters less these are the encoder's.
RESNET_CLASSIFIER = 512 * 1000 + 1000
MOBILENET_CLASSIFIER = (960 * 1280 + 1280) + (1280 * 1000 + 1000)
SMP = [name for name, peer in PEERS.items() if peer.package == "segmentation-models-pytorch"]
Peers = Callable[[str], PeerNetwork]


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of MobileNetV3-Large as torchvision names it, settled on other statistics than those of a new one."""
    torch.manual_seed(0)
    network = mobilenet_v3_large(weights=None)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean = torch.randn(module.num_features) / 10
            module.running_var = torch.rand(module.num_features) + 0.5
    path = tmp_path_factory.mktemp("weights") / "mobilenet.safetensors"
    save_file(network.state_dict(), path)
    return path


@pytest.fixture(scope="module")
def peers(weights: Path) -> Peers:
    """Any peer by its name, built once, in evaluation mode, initialised from the file where it can be."""

    @cache
    def peer(name: str) -> PeerNetwork:
        torch.manual_seed(1)
        network = build(name, weights=usable(name, weights))
        return network.eval()

    return peer


def image(height: int, width: int, channels: int = 3, n: int = 1) -> Tensor:
    return torch.randn(n, channels, height, width, generator=torch.Generator().manual_seed(height * width))


def test_the_registry_holds_what_issue_3_asks_for() -> None:
    pairs = [(name.rpartition("-")[0], peer.constructor) for name, peer in PEERS.items() if peer.encoder == "resnet18"]
    assert pairs == [
        ("unet", "Unet"),
        ("unetplusplus", "UnetPlusPlus"),
        ("deeplabv3plus", "DeepLabV3Plus"),
        ("segformer", "Segformer"),
    ]
    assert len(SMP) == 4 * 3
    assert set(PEERS) - set(SMP) == {"lraspp-mobilenetv3-large", "monai-unet", "monai-attention-unet"}


@pytest.mark.parametrize("name", PEERS)
def test_logits_have_the_size_of_the_image_whatever_it_is(name: str, peers: Peers) -> None:
    network = peers(name)
    with torch.inference_mode():
        whole, odd = network(image(96, 128)), network(image(70, 97))
    assert (whole.shape, odd.shape) == ((1, 1, 96, 128), (1, 1, 70, 97))
    assert whole.std() > 0


def test_an_odd_image_is_padded_by_its_last_row_and_column(peers: Peers) -> None:
    network, odd = peers("monai-unet"), image(63, 60)
    by_hand = torch.cat([odd, odd[:, :, -1:]], dim=2)
    by_hand = torch.cat([by_hand, *[by_hand[..., -1:]] * 4], dim=3)  # (1, 3, 64, 64)
    with torch.inference_mode():
        assert torch.equal(network(odd), network.network(by_hand)[..., :63, :60])


@pytest.mark.parametrize("name", SMP)
def test_an_encoder_has_the_parameters_that_torchvision_publishes(name: str, peers: Peers) -> None:
    published = {
        "mobilenetv3-large": MobileNet_V3_Large_Weights.DEFAULT.meta["num_params"] - MOBILENET_CLASSIFIER,
        "resnet18": ResNet18_Weights.DEFAULT.meta["num_params"] - RESNET_CLASSIFIER,
        "resnet34": ResNet34_Weights.DEFAULT.meta["num_params"] - RESNET_CLASSIFIER,
    }
    encoder = peers(name).get_submodule("network.encoder")
    assert sum(parameter.numel() for parameter in encoder.parameters()) == published[str(PEERS[name].encoder)]


def test_lraspp_of_one_class_lacks_twenty_of_the_published_classes(peers: Peers) -> None:
    published = LRASPP_MobileNet_V3_Large_Weights.DEFAULT.meta["num_params"]  # 21 classes
    of_a_class = (40 + 1) + (128 + 1)  # a 1x1 convolution with bias from the low, and one from the high features
    count = sum(parameter.numel() for parameter in peers("lraspp-mobilenetv3-large").parameters())
    assert count == published - 20 * of_a_class


@pytest.mark.parametrize("name", ["unet-mobilenetv3-large", "deeplabv3plus-mobilenetv3-large"])
def test_timm_computes_the_features_of_torchvision_from_its_weights(name: str, peers: Peers, weights: Path) -> None:
    encoder = peers(name).get_submodule("network.encoder.model")
    features = mobilenet_features(3, weights).eval()
    ends = {"blocks.0": 2, "blocks.1": 4, "blocks.2": 7, "blocks.3.2": 10}  # theirs, and how many of ours lead there
    found: list[Tensor] = []
    for block in ends:
        encoder.get_submodule(block).register_forward_hook(lambda _module, _input, output: found.append(output))
    with torch.inference_mode():
        encoder(image(64, 64))
        for theirs, number in zip(found, ends.values(), strict=True):
            expected = features[:number](image(64, 64))
            assert (theirs - expected).abs().max() < ROUNDING * expected.abs().max()


def test_lraspp_starts_from_the_weights_too(peers: Peers, weights: Path) -> None:
    backbone = peers("lraspp-mobilenetv3-large").get_submodule("network.backbone")
    x = image(64, 64)
    with torch.inference_mode():
        expected = mobilenet_features(3, weights).eval()(x)
        for number in range(10):
            x = backbone.get_submodule(str(number))(x)
    assert torch.equal(x, expected)


@pytest.mark.parametrize("name", ["segformer-mobilenetv3-large", "lraspp-mobilenetv3-large", "monai-attention-unet"])
def test_classes_and_channels_can_be_chosen(name: str, weights: Path) -> None:
    network = build(name, 4, 1, usable(name, weights)).eval()
    with torch.inference_mode():
        assert network(image(32, 64, channels=1)).shape == (1, 4, 32, 64)
    assert (network.classes, network.in_channels) == (4, 1)


@pytest.mark.parametrize("name", ["monai-unet", "segformer-mobilenetv3-large"])
def test_a_step_down_the_gradient_lowers_the_loss(name: str, peers: Peers) -> None:
    network = deepcopy(peers(name)).train()
    pixels, target, loss = image(64, 64, n=2), torch.zeros(2, 1, 64, 64, dtype=torch.uint8), BCEDice(classes=1)
    target[..., 16:40, 24:56] = 1
    before = loss(network(pixels), target)
    before.backward()
    torch.optim.SGD(network.parameters(), lr=1e-3).step()
    with torch.no_grad():
        assert loss(network(pixels), target) < before


def test_what_a_network_starts_from_is_what_it_can_use_and_is_said() -> None:
    file, download = "w/mobilenet.safetensors", "imagenet"
    said = {name: initialised(name, file) for name in (LVUNET, "unet-mobilenetv3-large", "unet-resnet18", "monai-unet")}
    assert said == {
        LVUNET: "ImageNet, mobilenet.safetensors",
        "unet-mobilenetv3-large": "ImageNet, mobilenet.safetensors: features[0..9], the rest random",
        "unet-resnet18": "random",
        "monai-unet": "random",
    }
    assert [usable(name, download) for name in ("unet-resnet18", "monai-unet")] == [download, None]
    assert initialised("lraspp-mobilenetv3-large", download) == "ImageNet, downloaded"


def test_weights_that_a_peer_cannot_use_and_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"unet-resnet18 cannot be initialised from .*weights=None"):
        build("unet-resnet18", weights="mobilenet.safetensors")
    with pytest.raises(ConfigError, match="monai-unet cannot"):
        build("monai-unet", weights="imagenet")
    with pytest.raises(ConfigError, match="Did you mean 'unet-resnet18'"):
        constructor("unet-resnet-18")


def test_a_constructor_is_of_lvunet_or_of_a_peer(peers: Peers) -> None:
    assert constructor(LVUNET) is LVUNet
    made = constructor("monai-unet")(classes=2)
    assert isinstance(made, PeerNetwork)
    assert made.classes == 2


def test_without_a_network_the_download_is_refused_with_the_cure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(CheckpointError, match=r"could not be downloaded .*weights=None"):
        build("segformer-resnet18", weights="imagenet")


def test_without_the_package_the_command_that_installs_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "segmentation_models_pytorch", None)
    with pytest.raises(MissingDependency, match=r"pip install 'lvunet\[peers\]'"):
        build("unet-resnet18")


def test_a_peer_is_trained_saved_and_read_like_lvunet_and_teaches_it(tmp_path: Path) -> None:
    write_phantoms(tmp_path / "data", 14, size=(64, 64))
    name = "monai-unet"
    places = {"data": tmp_path / "data", "out": tmp_path / "run"}
    config = TrainConfig(**places, network=name, epochs=2, batch_size=4, size=64, weights=None)
    run = train(config, progress_bar=False, constructor=constructor)
    network, card = load_network(run.best, constructor)
    assert card.training["config"]["network"] == name
    assert network(image(64, 64)).shape == (1, 1, 64, 64)
    with pytest.raises(CheckpointError, match="is of a peer, monai-unet: it can teach"):
        load_checkpoint(run.best)
    changes = {"out": tmp_path / "student", "network": LVUNET, "teacher": (run.best,), "split_seed": 1, "deep": "done"}
    student = config.model_copy(update=changes)
    with pytest.raises(ConfigError, match="only lv-unet is known here, not monai-unet"):
        train(student, progress_bar=False)
    (teacher,) = teachers(student, constructor)
    pixels = torch.rand(2, 3, 64, 64) * 255
    torch.testing.assert_close(
        teacher(pixels), PixelsToProbability(network, card.mean, card.std, card.temperature)(pixels)
    )
    taught = train(student, progress_bar=False, constructor=constructor)
    alone = train(student.model_copy(update={"teacher": (), "out": tmp_path / "alone"}), progress_bar=False)
    assert rows(taught.folder)[0]["train_loss"] != rows(alone.folder)[0]["train_loss"]
    _, its = load_checkpoint(taught.best)
    assert {*its.training["seen"]} > {*load_card(alone.best).training["seen"]}  # the teacher's, of another split
