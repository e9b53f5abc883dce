"""Loading a model by name or path, and what it says about an image."""

import sys
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lvunet
from lvunet.card import Card
from lvunet.errors import ArtefactError, CheckpointError, ConfigError, MissingDependency, OutputError
from lvunet.image import Float32, read_image
from lvunet.runtime import Segmentation
from lvunet.runtime.onnx_backend import OnnxSegmenter
from lvunet.runtime.segmenter import BACKENDS
from lvunet.runtime.torch_backend import TorchSegmenter
from models import picture

IMAGE = picture(2, 2)
PROBABILITY: Float32 = np.array([[0.0, 0.3], [0.5, 1.0]], np.float32)
FOUND = Segmentation(IMAGE, PROBABILITY, Card())


class TestSegmentation:
    @pytest.mark.parametrize(
        ("threshold", "mask"), [(0.5, [[0, 0], [1, 1]]), (0.3, [[0, 1], [1, 1]]), (0.51, [[0, 0], [0, 1]])]
    )
    def test_the_mask_is_where_the_probability_reaches_the_threshold(
        self, threshold: float, mask: list[list[int]]
    ) -> None:
        found = Segmentation(IMAGE, PROBABILITY, Card(threshold=threshold))
        assert found.mask.tolist() == mask
        assert found.mask.dtype == np.uint8

    def test_of_several_classes_the_most_probable_is_the_label(self) -> None:
        probability = np.array([[[0.5, 0.2]], [[0.3, 0.1]], [[0.2, 0.7]]], np.float32)
        found = Segmentation(picture(1, 2), probability, Card(classes=3))
        assert found.mask.tolist() == [[0, 2]]
        assert found.mask.dtype == np.uint8
        assert np.asarray(Image.open(BytesIO(found.to_png()))).tolist() == [[0, 2]]

    def test_areas_count_what_is_not_background(self) -> None:
        assert (FOUND.area_px, FOUND.area_fraction) == (2, 0.5)

    def test_it_shows_itself_in_a_line(self) -> None:
        probability = np.array([[0.9, 0.1, 0.1]], np.float32)
        assert repr(Segmentation(picture(1, 3), probability, Card())) == "Segmentation(1 x 3, 1 px, 33.3 %)"

    def test_a_calibrated_model_says_what_dice_to_expect(self) -> None:
        assert FOUND.expected_dice is None
        card = Card(quality=((1.0, 0.5),))  # half the soft Dice
        soft_dice = 2 * (0.5 + 1) / (0.3**2 + 0.5**2 + 1 + 2)
        assert Segmentation(IMAGE, PROBABILITY, card).expected_dice == pytest.approx(soft_dice / 2)

    def test_a_mask_of_one_class_is_saved_as_black_and_white(self, tmp_path: Path) -> None:
        FOUND.save(tmp_path / "deep" / "mask.png")
        assert (tmp_path / "deep" / "mask.png").read_bytes() == FOUND.to_png()
        assert np.asarray(Image.open(tmp_path / "deep" / "mask.png")).tolist() == [[0, 0], [255, 255]]

    def test_it_saves_only_where_it_can(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(OutputError, match="cannot write"):
            FOUND.save(tmp_path / "file" / "mask.png")

    def test_the_overlay_has_the_geometry_of_the_image(self) -> None:
        assert FOUND.overlay().shape == IMAGE.shape


class TestLoad:
    def test_an_export_and_a_checkpoint_are_told_apart_by_their_suffix(self, artefact: Path, checkpoint: Path) -> None:
        image = picture(50, 40)
        exported, trained = lvunet.load(artefact, threads=1), lvunet.load(str(checkpoint))
        assert isinstance(exported, OnnxSegmenter)
        assert isinstance(trained, TorchSegmenter)
        np.testing.assert_allclose(exported(image), trained(image), atol=1e-4)
        assert exported.card == replace(trained.card, source_sha256=exported.card.source_sha256)

    def test_bytes_in_png_out(self, artefact: Path) -> None:
        image = picture(50, 40)
        found = lvunet.load(artefact).segment(FOUND.to_png())
        assert read_image(found.to_png()).shape == (2, 2, 3)
        assert lvunet.load(artefact).segment(Image.fromarray(image)).mask.shape == (50, 40)

    def test_a_name_is_a_model_of_the_zoo(self) -> None:
        assert isinstance(lvunet.load("kvasir-seg"), OnnxSegmenter)
        with pytest.raises(ConfigError, match="Did you mean 'kvasir-seg'"):
            lvunet.load("kvasir-sge")

    @pytest.mark.parametrize(
        ("name", "answer"),
        [
            ("missing.onnx", r"^no file 'missing\.onnx'\. Give the path of a model, or the name of one\. There is: "),
            ("out/nothing.tflite", r"^no file 'out/nothing\.tflite'\. "),
            ("out/nothing", r"^no file 'out/nothing'\. "),
            ("kvasir-seg.onnx", r"^no file .* Did you mean 'kvasir-seg'\?$"),
            ("no-such-model", r"^no model 'no-such-model'\. "),
        ],
    )
    def test_neither_file_nor_name_says_what_can_be_given(self, name: str, answer: str) -> None:
        with pytest.raises(ConfigError, match=answer):
            lvunet.load(name)

    @pytest.mark.parametrize(
        ("suffix", "module", "cure"),
        [
            (".onnx", "onnxruntime", "pip install lvunet."),
            (".xml", "openvino", "pip install 'lvunet[openvino]', or load its export to .onnx."),
        ],
    )
    def test_without_its_runtime_it_says_what_to_install(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, module: str, cure: str
    ) -> None:
        path = tmp_path / f"model{suffix}"
        path.touch()
        monkeypatch.setitem(sys.modules, module, None)  # so that it is not found
        monkeypatch.delitem(sys.modules, f"lvunet.runtime.{BACKENDS[suffix].module}", raising=False)
        with pytest.raises(MissingDependency) as error:
            lvunet.load(path)
        assert str(error.value) == f"{path} needs {module}: {cure}"

    def test_another_suffix_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "model.pth").touch()
        with pytest.raises(ConfigError, match=r"a model ends in \.onnx, \.safetensors, "):
            lvunet.load(tmp_path / "model.pth")

    def test_no_thread_is_not_enough(self, artefact: Path) -> None:
        with pytest.raises(ConfigError, match="at least 1"):
            lvunet.load(artefact, threads=0)

    @pytest.mark.parametrize(("suffix", "error"), [(".onnx", ArtefactError), (".safetensors", CheckpointError)])
    def test_a_file_of_noise_is_refused(self, tmp_path: Path, suffix: str, error: type[Exception]) -> None:
        path = tmp_path / f"noise{suffix}"
        path.write_bytes(bytes(range(256)) * 10)
        with pytest.raises(error, match="noise"):
            lvunet.load(path)
