"""Networks of other packages as peers of LV-UNet: named, built, and initialised as it is.

What the packages disagree about ends here: a `PeerNetwork` takes and gives what `LVUNet` does, so that training,
evaluation and export know no difference. Nothing of the packages is copied.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from lvunet.card import LVUNET
from lvunet.errors import CheckpointError, ConfigError, MissingDependency, did_you_mean
from lvunet.model import Constructor, LVUNet
from lvunet.model.backbone import LAYERS, Weights, mobilenet_features

Package = Literal["segmentation-models-pytorch", "torchvision", "monai"]
Encoder = Literal["mobilenetv3-large", "resnet18", "resnet34"]

STRIDE = 32  # the deepest map of the deepest peer is 1/32 of the input
CHANNELS, STRIDES = (16, 32, 64, 128, 256), (2, 2, 2, 2)  # of MONAI's tutorials for U-Net


@dataclass(frozen=True)
class Peer:
    """A network of another package; without an `encoder` there is nothing to initialise from ImageNet."""

    name: str
    package: Package
    constructor: str
    encoder: Encoder | None = None
    options: Mapping[str, object] = field(default_factory=dict)


PEERS = {
    peer.name: peer
    for peer in (
        *(
            Peer(f"{name}-{encoder}", "segmentation-models-pytorch", constructor, encoder)
            for name, constructor in (
                ("unet", "Unet"),
                ("unetplusplus", "UnetPlusPlus"),
                ("deeplabv3plus", "DeepLabV3Plus"),
                ("segformer", "Segformer"),
            )
            for encoder in ("mobilenetv3-large", "resnet18", "resnet34")
        ),
        Peer("lraspp-mobilenetv3-large", "torchvision", "lraspp_mobilenet_v3_large", "mobilenetv3-large"),
        Peer("monai-unet", "monai", "UNet", options={"num_res_units": 2}),
        Peer("monai-attention-unet", "monai", "AttentionUnet"),
    )
}


class PeerNetwork(nn.Module):
    """Image to logits: normalised float (B, in_channels, H, W) to (B, classes, H, W), whatever the package's own way.

    As in LV-UNet, sides that the deepest map does not divide (here 32) are padded by their last row and column.
    """

    def __init__(self, network: nn.Module, classes: int, in_channels: int) -> None:
        super().__init__()
        self.network, self.classes, self.in_channels = network, classes, in_channels

    def forward(self, image: Tensor) -> Tensor:
        height, width = image.shape[-2:]
        right, bottom = -width % STRIDE, -height % STRIDE
        if right or bottom:
            image = F.pad(image, (0, right, 0, bottom), mode="replicate")
        answer = self.network(image)
        logits: Tensor = answer["out"] if isinstance(answer, dict) else answer  # torchvision names its outputs
        return logits[..., :height, :width]  # (B, classes, H, W)


def constructor(name: str) -> Constructor:
    """Return what makes the network of this name, LV-UNet or a peer; raises `ConfigError` for another name."""
    return LVUNet if name == LVUNET else partial(build, _peer(name).name)


def build(name: str, classes: int = 1, in_channels: int = 3, weights: Weights = None) -> PeerNetwork:
    """Return a peer by its name in `PEERS`; `weights` as in `usable`, which says what a peer can be initialised from.

    Raises `ConfigError` for a name or weights that it does not have, `MissingDependency` without its package,
    `CheckpointError` where the weights cannot be had.
    """
    peer = _peer(name)
    if usable(name, weights) != weights:
        raise ConfigError(f"{name} cannot be initialised from {weights}; give weights=None to start from scratch.")
    try:
        network = _BUILDERS[peer.package](peer, classes, in_channels, weights)
    except ModuleNotFoundError as error:
        raise MissingDependency(f"{name} needs {error.name}: pip install 'lvunet[peers]'.") from error
    except OSError as error:
        raise CheckpointError(
            f"the ImageNet weights of {name} could not be downloaded ({error}). Offline, start from scratch "
            "(weights=None), or give a file of MobileNetV3-Large to a peer with that encoder."
        ) from error
    return PeerNetwork(network, classes, in_channels)


def usable(name: str, weights: Weights) -> Weights:
    """Return `weights` if the network can be initialised from them, else None: it then starts from scratch.

    "imagenet" is the download of the package, for every peer with an encoder. A file is the one that `LVUNet` takes,
    MobileNetV3-Large under torchvision's names, for those with that encoder, of which it fills features[0..9].
    """
    if name == LVUNET:
        return weights
    encoder = _peer(name).encoder
    fits = encoder is not None if weights == "imagenet" else encoder == "mobilenetv3-large"
    return weights if fits else None


def initialised(name: str, weights: Weights) -> str:
    """Return in words what the encoder starts from where `weights` are offered; LV-UNet's ends with features[9]."""
    used = usable(name, weights)
    if used is None:
        return "random"
    if used == "imagenet":
        return "ImageNet, downloaded"
    return f"ImageNet, {Path(used).name}" + ("" if name == LVUNET else f": features[0..{LAYERS - 1}], the rest random")


def _peer(name: str) -> Peer:
    if name not in PEERS:
        raise ConfigError(f"no network {name!r}.{did_you_mean(name, (LVUNET, *PEERS))}")
    return PEERS[name]


def _smp(peer: Peer, classes: int, in_channels: int, weights: Weights) -> nn.Module:
    mobile, download = peer.encoder == "mobilenetv3-large", weights == "imagenet"
    network: nn.Module = getattr(import_module("segmentation_models_pytorch"), peer.constructor)(
        encoder_name="tu-mobilenetv3_large_100" if mobile else peer.encoder,
        encoder_weights=(True if mobile else "imagenet") if download else None,  # timm's way and the package's own
        in_channels=in_channels,
        classes=classes,
    )
    if weights is not None and not download:
        _copy_features(mobilenet_features(in_channels, weights), network.get_submodule("encoder.model"))
    return network


def _torchvision(peer: Peer, classes: int, in_channels: int, weights: Weights) -> nn.Module:
    network: nn.Module = getattr(import_module("torchvision.models.segmentation"), peer.constructor)(
        weights=None, weights_backbone="DEFAULT" if weights == "imagenet" else None, num_classes=classes
    )
    for number, layer in enumerate(mobilenet_features(in_channels, weights)):
        network.get_submodule("backbone").add_module(str(number), layer)
    return network


def _monai(peer: Peer, classes: int, in_channels: int, weights: Weights) -> nn.Module:
    shape = {"spatial_dims": 2, "channels": CHANNELS, "strides": STRIDES}
    make: Callable[..., nn.Module] = getattr(import_module("monai.networks.nets"), peer.constructor)
    return make(in_channels=in_channels, out_channels=classes, **shape, **peer.options)


_BUILDERS: dict[Package, Callable[[Peer, int, int, Weights], nn.Module]] = {
    "segmentation-models-pytorch": _smp,
    "torchvision": _torchvision,
    "monai": _monai,
}


def _copy_features(features: nn.Module, encoder: nn.Module) -> None:
    """Copy torchvision's first features to timm's MobileNetV3-Large: the same layers in the same order, renamed.

    The epsilon of their batch norms differs (1e-3, 1e-5); the difference goes to the variance, so that they compute
    the same.
    """
    surplus = _epsilon(features) - _epsilon(encoder)
    pairs = zip(features.state_dict().items(), encoder.state_dict().items(), strict=False)  # the encoder goes on
    for (name, tensor), (theirs, slot) in pairs:
        kind = name.rpartition(".")[2]
        if kind != theirs.rpartition(".")[2] or tensor.shape != slot.shape:
            raise CheckpointError(f"timm's {theirs} is not torchvision's {name}: another version of timm? Use 1.0.")
        slot.copy_(tensor + surplus if kind == "running_var" else tensor)


def _epsilon(network: nn.Module) -> float:
    return next(module.eps for module in network.modules() if isinstance(module, nn.BatchNorm2d))
