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
DOUBLINGS = 7


def answer(deployed: Deployed, images: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """What OpenVINO computes in float32, and its operations."""
    import openvino as ov

    model = openvino_model(deployed)
    compiled = ov.Core().compile_model(model, "CPU", {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": "1"})
    return compiled([images])[0].copy(), [node.get_type_name() for node in model.get_ordered_ops()]


@pytest.mark.parametrize(("classes", "batch"), [(1, 1), (1, 2), (3, 1)])
def test_the_last_block_is_the_same_without_a_doubled_map(classes: int, batch: int) -> None:
    deployed = Deployed(fold(trained_model(classes, 3)), replace(card_of(classes, 3), size=SIZE), batch)
    images = np.stack([np.rot90(picture(SIZE, SIZE), turn) for turn in range(batch)])
    found, operations = answer(deployed, images)
    assert operations.count("Interpolate") == DOUBLINGS - (classes == 1)
    assert "ReduceMean" not in operations
    np.testing.assert_allclose(found, deployed(torch.from_numpy(images)).numpy(), rtol=0, atol=FOLDED_TO_ARTEFACT)


class Likeness(nn.Module):
    """Ends as the network does, but for one thing."""

    def __init__(self, *, padding: int, dilation: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.mix = nn.Conv2d(8, 8, 3, padding=padding, dilation=dilation, groups=8, bias=False)
        self.head = nn.Conv2d(8, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        doubled = nn.functional.interpolate(self.stem(x), scale_factor=2, mode="bilinear")
        logits: torch.Tensor = self.head(self.mix(doubled.relu()))
        return nn.functional.interpolate(logits, size=x.shape[2:], mode="nearest")


@pytest.mark.parametrize(("padding", "dilation", "taken"), [(1, 1, True), (2, 2, False), (0, 1, False)])
def test_only_a_depthwise_3x3_that_keeps_the_size_is_taken_for_the_last_block(
    padding: int, dilation: int, taken: bool
) -> None:
    torch.manual_seed(0)
    deployed = Deployed(Likeness(padding=padding, dilation=dilation).eval(), card_of(1, 3))
    images = picture(deployed.card.size, deployed.card.size)[None]
    found, operations = answer(deployed, images)
    assert ("Maximum" in operations) is taken
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
