"""The encoder's first half: features 0 to 9 of torchvision's MobileNetV3-Large (arXiv 1905.02244), from ImageNet."""

from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn
from torchvision.models import MobileNet_V3_Large_Weights, mobilenet_v3_large

from lvunet.errors import CheckpointError
from lvunet.model.tensors import read_tensors

Weights = Literal["imagenet"] | str | Path | None
STEM = "0.0.weight"
LAYERS = 10


def mobilenet_features(in_channels: int, weights: Weights) -> nn.Sequential:
    """Return features[0..9], (B, in_channels, H, W) to (B, 80, H/16, W/16).

    `weights` is "imagenet" (torchvision's download), a file with torchvision's key names, or None (random).
    The ImageNet stem sees RGB. For one channel its kernels are summed, which is exact for a grey picture shown as RGB;
    for any other number they are repeated in turn and scaled by 3 / in_channels, which keeps the response's mean.
    """
    features: nn.Sequential = mobilenet_v3_large(weights=None).features[:LAYERS]
    if in_channels != 3:
        stem = nn.Conv2d(in_channels, 16, 3, stride=2, padding=1, bias=False)
        nn.init.kaiming_normal_(stem.weight, mode="fan_out")  # as torchvision does
        features[0].add_module("0", stem)
    if weights is not None:
        state = (
            _imagenet_state() if weights == "imagenet" else _only_features(read_tensors(Path(weights)), str(weights))
        )
        state[STEM] = _adapt_stem(state[STEM], in_channels)
        features.load_state_dict(state)
    return features


def _adapt_stem(kernel: Tensor, in_channels: int) -> Tensor:
    if in_channels == 1:
        return kernel.sum(dim=1, keepdim=True)  # (16, 1, 3, 3)
    repeated = torch.arange(in_channels) % 3
    return kernel[:, repeated] * (3 / in_channels)  # (16, in_channels, 3, 3)


def _imagenet_state() -> dict[str, Tensor]:
    try:
        state: dict[str, Tensor] = MobileNet_V3_Large_Weights.DEFAULT.get_state_dict(progress=True, check_hash=True)
    except (OSError, RuntimeError) as error:
        raise CheckpointError(
            f"the ImageNet weights could not be downloaded ({error}). Offline, give a file instead: "
            "--weights path/to/mobilenet_v3_large.safetensors (or .pth), or --weights none to start from scratch."
        ) from error
    return _only_features(state, "torchvision's download")


def _only_features(state: dict[str, Tensor], source: str) -> dict[str, Tensor]:
    wanted = mobilenet_v3_large(weights=None).features[:LAYERS].state_dict()
    found = {key: state[f"features.{key}"] for key in wanted if f"features.{key}" in state}
    if missing := sorted(set(wanted) - set(found)):
        raise CheckpointError(f"{source} lacks {len(missing)} tensors of the backbone, first 'features.{missing[0]}'.")
    return found
