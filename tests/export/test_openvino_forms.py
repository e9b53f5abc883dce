"""OpenVINO's graph in other operations, against PyTorch."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from lvunet.export.converters import openvino_model
from lvunet.export.deployed import Deployed
from lvunet.export.parity import FOLDED_TO_ARTEFACT
from lvunet.export.targets import TARGETS, absent
from lvunet.fold import fold
from models import card_of, picture, trained_model

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(absent(TARGETS["openvino"].modules)), reason="pip install 'lvunet[openvino]'"),
]
SIZE = 384
BANDS = 10 + 3  # 21 rows of 192 each, but for the last of 3; of the x2 before it 42 rows of 96, but for the last of 12
SMALL = 5  # maps that fit the cache whole


def answer(deployed: Deployed, images: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """What OpenVINO computes in float32, and its operations."""
    import openvino as ov

    model = openvino_model(deployed)
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": "1"})
    return compiled([images])[0].copy(), [node.get_type_name() for node in model.get_ordered_ops()]


@pytest.mark.parametrize("classes", [1, 3])
def test_large_maps_in_bands_of_which_the_last_is_shorter_are_the_same(classes: int) -> None:
    deployed = Deployed(fold(trained_model(classes, 3)), replace(card_of(classes, 3), size=SIZE))
    images = picture(SIZE, SIZE)[None]
    found, operations = answer(deployed, images)
    assert operations.count("Interpolate") == SMALL + BANDS
    np.testing.assert_allclose(found, deployed(torch.from_numpy(images)).numpy(), rtol=0, atol=FOLDED_TO_ARTEFACT)


@pytest.mark.parametrize(("factor", "aligned"), [(4, False), (2, True)])
def test_a_peers_other_upsampling_stays_as_it_is(factor: int, aligned: bool) -> None:
    torch.manual_seed(0)
    peer = nn.Sequential(
        nn.Conv2d(3, 1, 3, stride=factor, padding=1),
        nn.Upsample(scale_factor=factor, mode="bilinear", align_corners=aligned),
    ).eval()
    deployed = Deployed(peer, card_of(1, 3))
    images = picture(deployed.card.size, deployed.card.size)[None]
    found, operations = answer(deployed, images)
    assert operations.count("GroupConvolution") == 0
    np.testing.assert_allclose(found, deployed(torch.from_numpy(images)).numpy(), rtol=0, atol=FOLDED_TO_ARTEFACT)
