"""Artefacts of one size: between them and any image stands the one resize, and nothing at their own size."""

from typing import Any

import numpy as np
import pytest
import torch

from lvunet.errors import InputError
from lvunet.export.deployed import Deployed
from lvunet.export.parity import FOLDED_TO_ARTEFACT
from lvunet.fold import fold
from lvunet.image import Float32, UInt8, resize
from lvunet.runtime.square import SquareSegmenter, squared
from lvunet.runtime.torch_backend import TorchSegmenter
from models import SIZE, card_of, picture, trained_model

VARIANTS = [(1, 3), (3, 1), (2, 5)]  # classes, channels
SIZES = [(352, 352), (333, 250), (40, 57), (1, 1), (300, 7)]


class Network:
    """A runtime: the network as the converters get it, and what it was last given."""

    def __init__(self, classes: int, in_channels: int) -> None:
        self.folded = fold(trained_model(classes, in_channels))
        self.deployed = Deployed(self.folded, card_of(classes, in_channels))

    def __call__(self, image: UInt8) -> Float32:
        self.given = image
        with torch.inference_mode():
            return self.deployed(torch.from_numpy(image)).numpy()


@pytest.fixture(params=VARIANTS, ids=lambda variant: "{} classes of {} channels".format(*variant))
def network(request: pytest.FixtureRequest) -> Network:
    return Network(*request.param)


@pytest.fixture
def segmenter(network: Network) -> SquareSegmenter:
    return SquareSegmenter(network.deployed.card, network)


@pytest.fixture
def channels(network: Network) -> int:
    return network.deployed.image.shape[3]


def planes(probability: Float32) -> Float32:
    """(K, H, W), for one class too."""
    return probability.reshape(-1, *probability.shape[-2:])


def test_a_square_of_its_size_goes_in_and_comes_out_as_it_is(
    network: Network, segmenter: SquareSegmenter, channels: int
) -> None:
    image = picture(SIZE, SIZE, channels)
    np.testing.assert_array_equal(planes(segmenter(image)), network(image[None])[0])
    np.testing.assert_array_equal(network.given, image[None])


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_any_other_size_is_resized_rounded_and_resized_back(
    network: Network, segmenter: SquareSegmenter, channels: int, size: tuple[int, int]
) -> None:
    image = picture(*size, channels)
    probability = segmenter(image)
    assert probability.shape == (size if segmenter.card.classes == 1 else (segmenter.card.classes, *size))
    assert probability.dtype == np.float32
    assert network.given.dtype == np.uint8
    assert np.abs(network.given[0] - resize(image, (SIZE, SIZE))).max() <= 0.5 + 1e-4  # half a grey level
    folded = TorchSegmenter(network.folded, segmenter.card)
    wanted = [resize(plane, size) for plane in planes(folded(network.given[0]))]
    np.testing.assert_allclose(planes(probability), wanted, rtol=0, atol=FOLDED_TO_ARTEFACT)


def test_a_view_is_as_good_as_its_copy_and_stays_as_it_is(segmenter: SquareSegmenter, channels: int) -> None:
    view = picture(SIZE, 2 * SIZE, channels)[::-1, ::2]
    before = view.copy()
    np.testing.assert_array_equal(segmenter(view), segmenter(before))
    np.testing.assert_array_equal(view, before)


def test_what_a_runtime_gives_beyond_0_and_1_is_cut_off() -> None:
    segmenter = SquareSegmenter(
        card_of(1, 3), lambda image: np.where(image[:, None, :, :, 0] > 100, 1 + 1e-6, -1e-6).astype(np.float32)
    )
    assert sorted(np.unique(segmenter(picture(SIZE, SIZE)))) == [0, 1]


def test_anything_but_uint8_of_its_shape_is_refused(segmenter: SquareSegmenter, channels: int) -> None:
    image = picture(SIZE, SIZE, channels)
    wrongs: list[Any] = [image.astype(np.float32), image[:, :, 0], image[:, :, :2], image[None], image[:0]]
    for wrong in wrongs:
        with pytest.raises(InputError, match=rf"\(H, W, {channels}\)"):
            segmenter(wrong)


def test_squaring_rounds_and_does_not_cut_off() -> None:
    flat = np.full((10, 20, 3), 255, np.uint8)
    np.testing.assert_array_equal(squared(flat, card_of(1, 3)), np.full((SIZE, SIZE, 3), 255))
    ramp = np.repeat(np.array([[[10], [13]]], np.uint8), 3, axis=2)  # (1, 2, 3)
    assert set(np.unique(squared(ramp, card_of(1, 3)))) == {10, 11, 12, 13}
