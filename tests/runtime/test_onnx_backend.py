"""The ONNX runtime: foreign, corrupt and edited files are told apart, and PyTorch is not needed."""

import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import onnx
import pytest

from lvunet.errors import ArtefactError
from lvunet.image import encode_png
from lvunet.runtime.onnx_backend import METADATA_KEY, OnnxSegmenter
from models import picture

Edit = Callable[[onnx.ModelProto], object]


def rename_output(model: onnx.ModelProto) -> None:
    model.graph.output[0].name = model.graph.node[-1].output[0] = "logits"


def set_card(text: str) -> Edit:
    return lambda model: onnx.helper.set_model_props(model, {METADATA_KEY: text})


@pytest.mark.parametrize(
    ("edit", "reason"),
    [
        (lambda model: model.ClearField("metadata_props"), "carries no LV-UNet card"),
        (set_card("{"), "card is not readable"),
        (set_card('{"invented": 1}'), "unknown keys"),
        (rename_output, "it was edited"),
    ],
    ids=["without a card", "with half a card", "with a card of the future", "with another output"],
)
def test_an_onnx_file_that_is_not_ours_is_refused(artefact: Path, tmp_path: Path, edit: Edit, reason: str) -> None:
    model = onnx.load(artefact)
    edit(model)
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(ArtefactError, match=rf"foreign\.onnx.*{reason}"):
        OnnxSegmenter(tmp_path / "foreign.onnx")


def another_threshold(data: bytes) -> bytes:
    assert data.count(b'"threshold": 0.5') == 1
    return data.replace(b'"threshold": 0.5', b'"threshold": 0.1')


def one_bit_of_a_weight(data: bytes) -> bytes:
    edited = bytearray(data)
    edited[len(data) // 2] ^= 1
    return bytes(edited)


@pytest.mark.parametrize("edit", [another_threshold, one_bit_of_a_weight])
def test_an_edited_artefact_is_refused(artefact: Path, tmp_path: Path, edit: Callable[[bytes], bytes]) -> None:
    (tmp_path / "edited.onnx").write_bytes(edit(artefact.read_bytes()))
    with pytest.raises(ArtefactError, match=r"edited\.onnx is not the file that was exported: edited, damaged"):
        OnnxSegmenter(tmp_path / "edited.onnx")


def test_an_artefact_without_its_seal_is_refused(artefact: Path, tmp_path: Path) -> None:
    model = onnx.load(artefact)
    onnx.helper.set_model_props(model, {METADATA_KEY: OnnxSegmenter(artefact).card.to_json()})
    onnx.save(model, tmp_path / "unsealed.onnx")
    with pytest.raises(ArtefactError, match="not the file that was exported"):
        OnnxSegmenter(tmp_path / "unsealed.onnx")


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 a zip", b"<html>"], ids=["empty", "zip", "html"])
def test_a_file_that_is_not_onnx_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "corrupt.onnx").write_bytes(content)
    with pytest.raises(ArtefactError, match=r"corrupt\.onnx"):
        OnnxSegmenter(tmp_path / "corrupt.onnx")


def test_half_an_artefact_is_refused(artefact: Path, tmp_path: Path) -> None:
    data = artefact.read_bytes()
    (tmp_path / "half.onnx").write_bytes(data[: len(data) // 2])
    with pytest.raises(ArtefactError, match=r"half\.onnx is not a readable ONNX model.*Export it again"):
        OnnxSegmenter(tmp_path / "half.onnx")


def test_the_card_of_the_artefact_is_the_models(artefact: Path) -> None:
    card = OnnxSegmenter(artefact).card
    assert (card.classes, card.in_channels, card.mean) == (1, 3, (0.5, 0.5, 0.5))
    assert len(card.source_sha256) == 64


def test_one_session_answers_several_threads(artefact: Path) -> None:
    segmenter = OnnxSegmenter(artefact, threads=1)
    images = [picture(60 + n, 80) for n in range(8)]
    alone = [segmenter(image) for image in images]
    with ThreadPoolExecutor(4) as pool:
        for one, other in zip(alone, pool.map(segmenter, images), strict=True):
            np.testing.assert_array_equal(one, other)


def test_segmenting_loads_no_torch(artefact: Path, tmp_path: Path) -> None:
    (tmp_path / "image.png").write_bytes(encode_png(picture(60, 80)))
    program = f"""
import sys
import lvunet
from lvunet.runtime import segment_files

segmenter = lvunet.load({str(artefact)!r})
found = segmenter.segment({str(tmp_path / "image.png")!r})
found.overlay(), found.to_png()
assert [result.error for result in segment_files(segmenter, [{str(tmp_path)!r}], {str(tmp_path / "out")!r})] == [""]
assert not {{"torch", "onnx", "scipy", "matplotlib"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", program], check=True)
