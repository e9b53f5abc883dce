"""Pixels as the original authors' code feeds them: the card says the same, of RGB."""

from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file

from lvunet.card import IMAGENET_MEAN, IMAGENET_STD, Card
from lvunet.image import Float32, UInt8
from lvunet.model import PixelsToProbability, import_original
from lvunet.model.original import fed_as_by_the_authors
from models import picture

LOGIT_TOLERANCE = 1e-3  # their input is of size 0.01, so the stem sums ten times as much as it gives


def as_their_dataset_does(rgb: UInt8) -> Float32:
    """cv2 reads BGR; albumentations' Normalize takes mean and std in order; then once more / 255."""
    bgr = rgb[:, :, ::-1].astype(np.float64)
    once = (bgr - np.array(IMAGENET_MEAN) * 255) / (np.array(IMAGENET_STD) * 255)
    return (once / 255).astype(np.float32).transpose(2, 0, 1)


def test_an_rgb_image_gives_the_logits_that_their_code_gets_from_its_own_reading(shared: Path) -> None:
    reference = load_file(shared / "reference" / "lvunet_original.safetensors")
    prefix = "state_dict."
    network = import_original({k.removeprefix(prefix): v for k, v in reference.items() if k.startswith(prefix)})
    network.set_slope(1)
    rgb = picture(128, 128)
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    fed, card = fed_as_by_the_authors(network, Card())
    with torch.inference_mode():
        expected = network(torch.from_numpy(as_their_dataset_does(rgb))[None])
        pixels = torch.from_numpy(rgb).permute(2, 0, 1)[None].float()
        logits = PixelsToProbability(fed, card.mean, card.std).logits(pixels)
    assert (logits - expected).abs().max() < LOGIT_TOLERANCE
    assert expected.std() > 100 * LOGIT_TOLERANCE
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
