"""What every form of a model promises, whatever runs it: one contract, inherited by each."""

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from scipy.special import logit

from lvunet.card import Card
from lvunet.errors import ConfigError, InputError, UnreadableImage
from lvunet.export.onnx import export_onnx
from lvunet.fold import fold
from lvunet.image import encode_png
from lvunet.model import LVUNet
from lvunet.runtime import Segmenter
from lvunet.runtime.onnx_backend import OnnxSegmenter
from lvunet.runtime.torch_backend import TorchSegmenter
from models import SIZE, card_of, picture, trained_model

Exported = Callable[[int, int], Path]

IMAGE = picture(40, 50)
SIZES = [(352, 352), (333, 250), (40, 57), (256, 256), (1, 1), (300, 7)]
AGREEMENT = 1e-3  # of a probability, on noise: no picture is harder for a resize that computes in float32
READABLE = 0.4999  # nearer to 0 or 1 a float32 probability no longer tells its logit
OF_LOGITS = 2e-3  # there 1e-7 of a probability is 1e-3 of a logit, on either side
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


class TestTemperature:
    """In every form the logits are divided by it; seen at the size of the network, where nothing is resized."""

    IMAGE = picture(SIZE, SIZE)

    @pytest.mark.parametrize("temperature", [0.5, 2.5])
    def test_logits_are_divided_and_the_mask_at_one_half_stays(self, temperature: float) -> None:
        card, model = card_of(1, 3), trained_model(1, 3)
        before = TorchSegmenter(model, card).segment(self.IMAGE)
        after = TorchSegmenter(model, replace(card, temperature=temperature)).segment(self.IMAGE)
        readable = np.maximum(*(np.abs(each.probability - 0.5) for each in (before, after))) < READABLE
        logits, divided = (logit(each.probability[readable].astype(np.float64)) for each in (before, after))
        np.testing.assert_allclose(divided, logits / temperature, rtol=0, atol=OF_LOGITS)
        np.testing.assert_array_equal(after.mask, before.mask)

    @pytest.mark.parametrize(
        ("variant", "temperature"), [((1, 3), 2.5), pytest.param((3, 1), 0.5, marks=pytest.mark.slow)]
    )
    def test_the_three_forms_agree_for_one_multiplication_more(
        self, variant: tuple[int, int], temperature: float, exported: Exported, tmp_path: Path
    ) -> None:
        model, card = trained_model(*variant), replace(card_of(*variant), temperature=temperature)
        report = export_onnx(model, card, tmp_path / "model.onnx", [self.IMAGE, picture(90, 70)])
        assert all(link.holds for link in report.links)
        trained, artefact = TorchSegmenter(model, card), OnnxSegmenter(tmp_path / "model.onnx", threads=1)
        assert artefact.card.temperature == temperature
        np.testing.assert_allclose(artefact(self.IMAGE), trained(self.IMAGE), rtol=0, atol=AGREEMENT)
        assert np.abs(artefact(self.IMAGE) - OnnxSegmenter(exported(*variant))(self.IMAGE)).max() > 0.05
        with_it, without = (
            Counter(node.op_type for node in onnx.load(path).graph.node)
            for path in (tmp_path / "model.onnx", exported(*variant))
        )
        assert with_it - without == Counter({"Mul": 1})


def test_a_network_in_training_mode_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"call its \.eval\(\) first"):
        TorchSegmenter(LVUNet(), Card())
