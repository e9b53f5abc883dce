"""The deployed form that every converter gets: the folded network, its normalisation and its probability in one."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from lvunet.card import Card
from lvunet.export.deployed import Deployed, graph
from lvunet.export.parity import FOLDED_TO_ARTEFACT
from lvunet.fold import fold
from lvunet.image import Float32
from lvunet.model import LVUNet
from lvunet.runtime.torch_backend import TorchSegmenter
from models import SIZE, card_of, picture, trained_model

OF_A_PIXEL = 2e-6  # of a normalised one, of up to 5: a few roundings of float32
VARIANTS = [
    (1, 3, 1.0),
    (1, 3, 0.4),
    (3, 3, 2.5),
    (1, 1, 1.0),
    (3, 1, 2.5),
    (2, 5, 1.0),
]  # classes, channels, temperature
COLOURED = Card(mean=(0.6, 0.4, 0.3), std=(0.3, 0.2, 0.25))


def answers(network: nn.Module, card: Card, size: int) -> tuple[Float32, Float32]:
    """The probability (K, size, size) of a picture by `Deployed`, and by the `TorchSegmenter` of the same network."""
    deployed = Deployed(network, card)
    image = picture(size, size, deployed.image.shape[3])
    probability = deployed(torch.from_numpy(image)[None]).numpy()
    assert probability.shape == (1, card.classes, size, size)
    return probability[0], TorchSegmenter(network, card)(image).reshape(card.classes, size, size)


@pytest.mark.parametrize(("classes", "channels", "temperature"), VARIANTS)
def test_it_computes_what_the_folded_network_computes(classes: int, channels: int, temperature: float) -> None:
    card = replace(card_of(classes, channels), temperature=temperature)
    ours, wanted = answers(fold(trained_model(classes, channels)), card, SIZE)
    np.testing.assert_allclose(ours, wanted, rtol=0, atol=FOLDED_TO_ARTEFACT)


def test_a_size_that_the_network_pads_is_no_other() -> None:
    size = 160
    ours, wanted = answers(fold(trained_model(1, 3)), replace(card_of(1, 3), size=size), size)
    np.testing.assert_allclose(ours, wanted, rtol=0, atol=FOLDED_TO_ARTEFACT)


def test_each_colour_is_normalised_by_its_own_mean_and_deviation() -> None:
    deployed = Deployed(fold(trained_model(1, 3)), COLOURED)
    image = picture(SIZE, SIZE)
    normalised = (image.astype(np.float64) / 255 - COLOURED.mean) / COLOURED.std
    found = deployed.planes.get_submodule("normalisation")(torch.from_numpy(image)[None].permute(0, 3, 1, 2).float())
    np.testing.assert_allclose(found[0].permute(1, 2, 0).numpy(), normalised, rtol=0, atol=OF_A_PIXEL)


def test_a_grey_network_sees_the_luma_of_colours() -> None:
    deployed = Deployed(fold(trained_model(1, 1)), replace(card_of(1, 1), mean=(0.3,), std=(0.2,)))
    image = picture(SIZE, SIZE)
    luma = image @ np.array([0.299, 0.587, 0.114])
    found = deployed.planes.get_submodule("normalisation")(torch.from_numpy(image)[None].permute(0, 3, 1, 2).float())
    np.testing.assert_allclose(found[0, 0].numpy(), (luma / 255 - 0.3) / 0.2, rtol=0, atol=OF_A_PIXEL)


def test_from_planes_on_it_is_the_same() -> None:
    deployed = Deployed(fold(trained_model(1, 3)), card_of(1, 3))
    image = torch.from_numpy(picture(SIZE, SIZE))[None]
    planes = deployed.planes(image.permute(0, 3, 1, 2).float())
    np.testing.assert_allclose(deployed(image).numpy(), planes.numpy(), rtol=0, atol=FOLDED_TO_ARTEFACT)


def test_the_network_that_it_is_made_of_stays_as_it_was() -> None:
    network = fold(trained_model(1, 3))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    deployed = Deployed(network, card_of(1, 3))
    with torch.no_grad():
        for parameter in deployed.parameters():
            parameter.zero_()
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert any(isinstance(module, nn.AdaptiveAvgPool2d) for module in network.modules())


def test_it_has_nothing_to_train() -> None:
    trained = trained_model(1, 3)
    assert not any(parameter.requires_grad for parameter in Deployed(trained, card_of(1, 3)).parameters())
    assert all(parameter.requires_grad for parameter in trained.parameters())


@pytest.mark.slow
def test_its_graph_has_no_step_that_converters_lack() -> None:
    deployed = Deployed(fold(trained_model(1, 3)), card_of(1, 3))
    operations = {str(node.target) for node in graph(deployed, deployed.image).graph.nodes}
    assert not {name for name in operations if "alias" in name or "adaptive" in name or "batch_norm" in name}


def test_a_trained_network_that_was_not_folded_gives_the_same_too() -> None:
    trained: LVUNet = trained_model(1, 3)
    ours, wanted = answers(trained, card_of(1, 3), SIZE)
    np.testing.assert_allclose(ours, wanted, rtol=0, atol=FOLDED_TO_ARTEFACT)
