"""An exported model as the beginning of a training: the same answers, another head where asked for, and refusals."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import Tensor

from lvunet.data.phantom import KINDS, phantom
from lvunet.errors import ArtefactError, ConfigError
from lvunet.export.onnx import export_onnx, write_onnx
from lvunet.export.restore import initial
from lvunet.fold.unfold import settle
from lvunet.image import UInt8, find_images, read_image, resize
from lvunet.model import load_checkpoint
from lvunet.runtime.segmenter import load
from lvunet.runtime.torch_backend import TorchSegmenter
from lvunet.runtime.zoo import bundled
from models import card_of, picture, trained_model

POLYPS = "polyp" if "polyp" in bundled() else "kvasir-seg"
PROBABILITY_TOLERANCE = 1e-4  # the project's, between any two forms of one model


def apart(path: str | Path, images: list[UInt8]) -> float:
    network, card = initial(path)
    restored, artefact = TorchSegmenter(network, card), load(path)
    return max(float(np.abs(restored(image) - artefact(image)).max()) for image in images)


@pytest.mark.parametrize(("classes", "in_channels"), [(1, 3), (3, 1)])
def test_the_network_gives_the_probability_of_the_artefact_that_it_is_read_from(
    exported: Callable[[int, int], Path], classes: int, in_channels: int
) -> None:
    image = picture(100, 130, 3 if in_channels == 1 else in_channels)
    assert apart(exported(classes, in_channels), [image]) < PROBABILITY_TOLERANCE


@pytest.mark.parametrize("name", bundled())
def test_so_it_does_of_every_model_in_the_package(name: str) -> None:
    assert apart(name, [phantom(kind, 0, (200, 240))[0] for kind in KINDS]) < PROBABILITY_TOLERANCE


@pytest.mark.slow
def test_the_temperature_of_an_artefact_is_not_in_the_logits_of_the_network(tmp_path: Path) -> None:
    card = replace(card_of(1, 3), temperature=1.7)
    export_onnx(trained_model(1, 3), card, tmp_path / "model.onnx", [picture(90, 70)])
    assert apart(tmp_path / "model.onnx", [picture(100, 130)]) < PROBABILITY_TOLERANCE
    with torch.inference_mode():
        x = torch.from_numpy(picture(256, 256)).permute(2, 0, 1)[None] / 255
        logits, expected = (net(x) for net in (initial(tmp_path / "model.onnx")[0], trained_model(1, 3)))
    assert torch.allclose(logits, expected, atol=1e-3)  # of size 10


def normalised(files: list[Path], mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    pixels = torch.from_numpy(np.stack([resize(read_image(file), (256, 256)) for file in files])) / 255
    return ((pixels - torch.tensor(mean)) / torch.tensor(std)).permute(0, 3, 1, 2)


def test_a_settled_model_of_the_package_finds_the_same_in_training_mode_on_real_images(shared: Path) -> None:
    network, card = initial(POLYPS)
    files = find_images([shared / "datasets" / "kvasir-seg" / "images"])[:16]
    images = normalised(files, card.mean, card.std)

    def mask_dice(one: Tensor, other: Tensor) -> float:
        found, expected = one > 0, other > 0
        return float(2 * (found & expected).sum() / (found.sum() + expected.sum()))

    with torch.no_grad():
        expected = network(images[:8])
        settled = settle(network, [images[:8], images[8:]]).train()(images[:8])
        unsettled = network.train()(images[:8])
    assert mask_dice(settled, expected) > 0.95  # what is left is that a batch of 8 is not all images
    assert mask_dice(unsettled, expected) < 0.5


def test_a_checkpoint_comes_as_it_is(checkpoint: Path) -> None:
    network, card = initial(checkpoint)
    expected, expected_card = load_checkpoint(checkpoint)
    assert card == expected_card
    assert all(torch.equal(network.state_dict()[name], tensor) for name, tensor in expected.state_dict().items())


@pytest.mark.parametrize("form", ["artefact", "checkpoint"])
def test_for_other_classes_all_but_the_last_convolution_is_kept(form: str, request: pytest.FixtureRequest) -> None:
    source: Path = request.getfixturevalue(form)
    same, other = (initial(source, classes)[0] for classes in (1, 3))
    assert other.classes == 3
    assert other.slope == 1
    for name, tensor in other.state_dict().items():
        if name.startswith("head.1."):
            assert tensor.shape[0] == 3
        else:
            assert torch.equal(tensor, same.state_dict()[name]), name


def test_other_channels_are_refused(artefact: Path) -> None:
    with pytest.raises(ConfigError, match="takes 3 channels, not 1"):
        initial(artefact, in_channels=1)


def test_an_unknown_name_and_a_foreign_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=f"Did you mean '{POLYPS}'"):
        initial(f"{POLYPS}s")
    (tmp_path / "model.pth").touch()
    with pytest.raises(ConfigError, match=r"\.onnx\) or from a trained checkpoint"):
        initial(tmp_path / "model.pth")


def test_an_artefact_whose_weights_are_not_stored_in_float_is_refused(artefact: Path, tmp_path: Path) -> None:
    model = onnx.load(artefact)
    weight = next(tensor for tensor in model.graph.initializer if tensor.name == "network.head.1.weight")
    model.graph.initializer.remove(weight)
    values = onnx.helper.make_tensor("whole", onnx.TensorProto.INT8, weight.dims, [1] * 16)
    model.graph.initializer.append(values)
    model.graph.node.insert(0, onnx.helper.make_node("Cast", ["whole"], [weight.name], to=onnx.TensorProto.FLOAT))
    write_onnx(model, tmp_path / "small.onnx")
    with pytest.raises(ArtefactError, match="If it was quantised"):
        initial(tmp_path / "small.onnx")
