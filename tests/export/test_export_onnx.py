"""The ONNX artefact: it says what it is, computes what was trained, and does not appear unless that is proven."""

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from safetensors.torch import load_file

from lvunet.card import INTENDED_USE, Card
from lvunet.errors import NotFoldable, OutputError, ParityError
from lvunet.export.onnx import export_onnx
from lvunet.image import UInt8, read_image, resize
from lvunet.model import LVUNet, import_original, state_sha256
from lvunet.runtime.onnx_backend import OnnxSegmenter
from lvunet.runtime.torch_backend import TorchSegmenter
from models import card_of, picture, trained_model

REAL_TOLERANCE = 1e-4  # of a probability, on real images


class TestOnRealImages:
    @pytest.fixture
    def network(self, shared: Path) -> LVUNet:
        """The weights of `shared/reference`: settled statistics, logits of some 5."""
        stored = load_file(shared / "reference" / "lvunet_original.safetensors")
        model = import_original(
            {key.removeprefix("state_dict."): value for key, value in stored.items() if key.startswith("state_dict.")}
        )
        model.set_slope(1)
        return model

    @pytest.fixture
    def photographs(self, shared: Path) -> list[UInt8]:
        """Of Kvasir-SEG: two as they are, the others at odd sizes."""
        files = sorted((shared / "datasets" / "kvasir-seg" / "images").glob("*.jpg"))[:6]
        images = [read_image(file) for file in files]
        sizes = [(333, 250), (40, 57), (446, 512), (256, 256)]
        return images[:2] + [
            resize(image, size).astype(np.uint8) for image, size in zip(images[2:], sizes, strict=True)
        ]

    def test_the_three_forms_compute_the_same(self, network: LVUNet, photographs: list[UInt8], tmp_path: Path) -> None:
        report = export_onnx(network, Card(), tmp_path / "model.onnx", photographs)
        trained, artefact = TorchSegmenter(network, Card()), OnnxSegmenter(tmp_path / "model.onnx", threads=1)
        apart = [float(np.abs(trained(image) - artefact(image)).max()) for image in photographs]
        assert max(apart) < REAL_TOLERANCE
        assert report.images == len(photographs)
        to_folded, to_artefact = report.links
        assert to_folded.name == "trained -> folded"
        assert to_artefact.name == "folded -> artefact"
        assert 0 < to_folded.max_abs_difference < REAL_TOLERANCE
        assert to_artefact.max_abs_difference == pytest.approx(max(apart), rel=0.5)
        assert min(to_folded.lowest_dice, to_artefact.lowest_dice) > 0.9995


class TestTheArtefact:
    def test_it_takes_and_gives_any_size_and_needs_opset_20(self, artefact: Path) -> None:
        model = onnx.load(artefact)

        def shape(value: onnx.ValueInfoProto) -> list[str | int]:
            return [axis.dim_param or axis.dim_value for axis in value.type.tensor_type.shape.dim]

        assert [(value.name, shape(value)) for value in model.graph.input] == [("image", ["H", "W", 3])]
        assert [(value.name, shape(value)) for value in model.graph.output] == [("probability", ["H", "W"])]
        assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 20)]

    def test_it_carries_the_card_of_the_network_and_its_hash(self, artefact: Path) -> None:
        card = OnnxSegmenter(artefact).card
        assert card.source_sha256 == state_sha256(trained_model(1, 3))
        assert (card.classes, card.in_channels, card.size) == (1, 3, 256)
        assert onnx.load(artefact).doc_string == INTENDED_USE

    def test_it_tells_nothing_of_the_machine_that_made_it(self, artefact: Path) -> None:
        data = artefact.read_bytes()
        assert b".py" not in data
        assert str(Path.home()).encode() not in data

    def test_the_same_network_gives_the_same_file_in_silence(
        self, artefact: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
    ) -> None:
        export_onnx(trained_model(1, 3), card_of(1, 3), tmp_path / "again.onnx", [picture(90, 70)])
        assert (tmp_path / "again.onnx").read_bytes() == artefact.read_bytes()
        assert capfd.readouterr() == ("", "")


class TestNoArtefactAppears:
    def refused(self, model: LVUNet, error: type[Exception], match: str, folder: Path) -> None:
        with pytest.raises(error, match=match):
            export_onnx(model, card_of(1, 3), folder / "model.onnx", [picture(90, 70)])
        assert list(folder.iterdir()) == []

    def test_of_a_network_that_cannot_be_folded(self, tmp_path: Path) -> None:
        model = LVUNet().eval()
        model.set_slope(0.9948)  # where the original authors' schedule ends
        self.refused(model, NotFoldable, r"slope is 0\.9947", tmp_path)

    def test_of_a_network_in_training(self, tmp_path: Path) -> None:
        model = LVUNet()
        model.set_slope(1)
        self.refused(model, NotFoldable, "eval", tmp_path)

    def test_of_a_network_that_gives_no_numbers(self, tmp_path: Path) -> None:
        model = LVUNet().eval()
        model.set_slope(1)
        with torch.no_grad():
            next(model.head[1].parameters()).fill_(torch.nan)
        self.refused(model, ParityError, "trained -> folded: a probability differs by nan", tmp_path)

    def test_where_it_cannot_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        with pytest.raises(OutputError, match="cannot write"):
            export_onnx(trained_model(1, 3), card_of(1, 3), tmp_path / "file" / "model.onnx", [picture(90, 70)])

    def test_and_one_that_was_there_before_stays(self, artefact: Path, tmp_path: Path) -> None:
        path = tmp_path / "model.onnx"
        path.write_bytes(artefact.read_bytes())
        with pytest.raises(NotFoldable):
            export_onnx(LVUNet().eval(), card_of(1, 3), path, [picture(90, 70)])
        assert path.read_bytes() == artefact.read_bytes()


def test_a_name_that_the_runtime_would_not_know_is_refused_first(tmp_path: Path) -> None:
    with pytest.raises(OutputError, match=r"\.onnx"):
        export_onnx(trained_model(1, 3), card_of(1, 3), tmp_path / "model.xyz", [picture(90, 70)])
    assert list(tmp_path.iterdir()) == []
