"""What every form of a model promises, whatever runs it: one contract, inherited by each."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from lvunet.card import Card
from lvunet.errors import ConfigError, InputError, UnreadableImage
from lvunet.fold import fold
from lvunet.image import encode_png
from lvunet.model import LVUNet
from lvunet.runtime import Segmenter
from lvunet.runtime.onnx_backend import OnnxSegmenter
from lvunet.runtime.torch_backend import TorchSegmenter
from models import card_of, picture, trained_model

Exported = Callable[[int, int], Path]

IMAGE = picture(40, 50)
SIZES = [(352, 352), (333, 250), (40, 57), (256, 256), (1, 1), (300, 7)]
AGREEMENT = 1e-3  # of a probability, on noise: no picture is harder for a resize that computes in float32
VARIANTS = [(1, 3), (3, 1), (2, 5)]  # classes, channels


class SegmenterContract(ABC):
    """Inherit it, and say how to make the segmenter."""

    @abstractmethod
    def make(self, exported: Exported, classes: int, in_channels: int) -> Segmenter: ...

    @pytest.fixture(params=VARIANTS, ids=lambda variant: "{} classes of {} channels".format(*variant))
    def segmenter(self, request: pytest.FixtureRequest, exported: Exported) -> Segmenter:
        return self.make(exported, *request.param)

    @pytest.fixture
    def channels(self, segmenter: Segmenter) -> int:
        """Of the images that it takes: a model of one channel takes RGB."""
        return 3 if segmenter.card.in_channels == 1 else segmenter.card.in_channels

    @pytest.mark.parametrize("size", SIZES, ids=str)
    def test_the_probability_has_the_geometry_of_the_image(
        self, segmenter: Segmenter, channels: int, size: tuple[int, int]
    ) -> None:
        probability = segmenter(picture(*size, channels))
        classes = segmenter.card.classes
        assert probability.shape == (size if classes == 1 else (classes, *size))
        assert probability.dtype == np.float32
        assert 0 <= probability.min() <= probability.max() <= 1
        if classes > 1:
            np.testing.assert_allclose(probability.sum(axis=0), 1, atol=1e-5)

    @pytest.mark.parametrize("size", SIZES, ids=str)
    def test_it_computes_what_the_trained_network_computes(
        self, segmenter: Segmenter, channels: int, size: tuple[int, int]
    ) -> None:
        card = segmenter.card
        trained = TorchSegmenter(trained_model(card.classes, card.in_channels), card)
        image = picture(*size, channels)
        np.testing.assert_allclose(segmenter(image), trained(image), rtol=0, atol=AGREEMENT)

    def test_the_same_image_gives_the_same_bits_and_is_left_as_it_is(self, segmenter: Segmenter, channels: int) -> None:
        image = picture(90, 70, channels)
        before = image.copy()
        first = segmenter(image)
        segmenter(picture(60, 80, channels))
        np.testing.assert_array_equal(segmenter(image), first)
        np.testing.assert_array_equal(image, before)

    def test_an_image_that_is_a_view_is_as_good_as_its_copy(self, segmenter: Segmenter, channels: int) -> None:
        view = picture(90, 70, channels)[::-1, ::2]
        np.testing.assert_array_equal(segmenter(view), segmenter(view.copy()))

    def test_anything_but_uint8_of_its_shape_is_refused(self, segmenter: Segmenter, channels: int) -> None:
        image = picture(32, 32, channels)
        wrong = [
            image.astype(np.float32),
            image[:, :, 0],
            image[:, :, :2],
            image[None],
            image[:0],
            image.tolist(),
        ]
        for array in wrong:
            with pytest.raises(InputError, match=rf"\(H, W, {channels}\)"):
                segmenter(array)

    def test_segment_takes_its_arrays_and_names_its_card(self, segmenter: Segmenter, channels: int) -> None:
        image = picture(40, 50, channels)
        found = segmenter.segment(image)
        assert found.card is segmenter.card
        np.testing.assert_array_equal(found.probability, segmenter(image))

    def test_segment_reads_files_of_three_channels_and_refuses_what_is_none(
        self, segmenter: Segmenter, channels: int
    ) -> None:
        if channels == 3:
            np.testing.assert_array_equal(segmenter.segment(encode_png(IMAGE)).probability, segmenter(IMAGE))
            with pytest.raises(UnreadableImage):
                segmenter.segment(b"not an image")
        else:
            with pytest.raises(InputError, match=rf"\(H, W, {channels}\)"):
                segmenter.segment(encode_png(IMAGE))


class TestTrained(SegmenterContract):
    def make(self, exported: Exported, classes: int, in_channels: int) -> Segmenter:
        return TorchSegmenter(trained_model(classes, in_channels), card_of(classes, in_channels))


class TestFolded(SegmenterContract):
    def make(self, exported: Exported, classes: int, in_channels: int) -> Segmenter:
        return TorchSegmenter(fold(trained_model(classes, in_channels)), card_of(classes, in_channels))


class TestOnnx(SegmenterContract):
    def make(self, exported: Exported, classes: int, in_channels: int) -> Segmenter:
        return OnnxSegmenter(exported(classes, in_channels), threads=1)


def test_a_network_in_training_mode_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"call its \.eval\(\) first"):
        TorchSegmenter(LVUNet(), Card())
