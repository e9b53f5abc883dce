"""Every target that is installed here, with real conversions; of every other, what it says."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import lvunet
from lvunet.errors import ConfigError, MissingDependency
from lvunet.export.deploy import deploy
from lvunet.export.parity import FOLDED_TO_ARTEFACT
from lvunet.export.targets import FOR_ALL, TARGETS, absent, wanted
from lvunet.image import UInt8, find_images, read_image, write_image
from lvunet.model import save_checkpoint
from lvunet.runtime.segmenter import BACKENDS
from lvunet.runtime.square import squared
from models import SIZE, card_of, picture, trained_model

PADDED = 320  # a size that is no multiple of 128, so that the network pads


class TestTheTable:
    def test_each_has_a_suffix_and_files_of_its_own(self) -> None:
        files = [Path(f"model{target.suffix}") for target in TARGETS.values()]
        files += [
            Path(f"model{target.suffix}").with_suffix(suffix)
            for target in TARGETS.values()
            for suffix in target.companions
        ]
        assert len(set(files)) == len(files)  # one folder holds them all

    def test_what_runs_here_is_loaded_and_installed_by_the_same_words(self) -> None:
        for target in TARGETS.values():
            suffix = Path(f"model{target.suffix}").suffix
            assert (suffix in BACKENDS) == target.executed
            if suffix in BACKENDS and target.name != "onnx":
                assert BACKENDS[suffix].extra == target.extra

    def test_wanted_ones_come_in_order_and_once(self) -> None:
        assert [target.name for target in wanted(["torch", "onnx", "torch"])] == ["torch", "onnx"]

    def test_another_word_or_none_is_refused(self) -> None:
        with pytest.raises(ConfigError, match=r"no target 'open-vino'\. Did you mean 'openvino'"):
            wanted(["onnx", "open-vino"])
        with pytest.raises(ConfigError, match="at least one"):
            wanted([])

    @pytest.mark.parametrize("name", TARGETS)
    def test_a_missing_package_is_named_with_the_command_that_installs_it(
        self, name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        target = TARGETS[name]
        monkeypatch.setitem(sys.modules, target.runtime, None)  # so that it is not found
        command = rf"--to {name} needs {target.runtime}.*: pip install 'lvunet\[{target.extra}\]'"
        with pytest.raises(MissingDependency, match=command):
            wanted([name])

    def test_all_that_is_missing_is_named_at_once(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in ("openvino", "ncnn", "pnnx"):
            monkeypatch.setitem(sys.modules, module, None)
        with pytest.raises(MissingDependency) as error:
            wanted(["ncnn", "onnx", "openvino"])
        command = "pip install 'lvunet[ncnn,openvino]'"
        assert str(error.value) == f"--to ncnn openvino needs ncnn, pnnx, openvino: {command}."

    def test_every_export_needs_torch(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "torch", None)
        assert all(absent(target.modules) for target in TARGETS.values())
        assert all(set(FOR_ALL) <= set(target.modules) for target in TARGETS.values())


@pytest.fixture(scope="module")
def photographs(shared: Path) -> list[UInt8]:
    return [read_image(path) for path in find_images([shared / "datasets" / "kvasir-seg" / "images"])[:3]]


@pytest.fixture(scope="module")
def three_classes_in_grey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A checkpoint of three classes, one channel, a temperature, and a size that is padded."""
    path = tmp_path_factory.mktemp("grey") / "grey.safetensors"
    save_checkpoint(path, trained_model(3, 1), replace(card_of(3, 1), name="grey", size=PADDED, temperature=1.7))
    return path


def exported(source: str | Path, name: str, folder: Path, images: list[UInt8]) -> Path | None:
    """The proven artefact, or None where the packages are missing and this was said, or where it cannot run here."""
    target = TARGETS[name]
    if absent(target.modules):
        with pytest.raises(MissingDependency, match=rf"pip install 'lvunet\[{target.extra}\]'"):
            deploy(source, [name], folder, images)
        assert not folder.exists()
        return None
    (artefact,) = deploy(source, [name], folder, images).artefacts
    assert (artefact.link is not None) == target.executed
    if artefact.link is None:
        with pytest.raises(ConfigError, match="Apple's systems only"):
            lvunet.load(artefact.path)
        return None
    assert artefact.link.holds
    return artefact.path


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the runtimes' own code is not free of warnings
@pytest.mark.parametrize("name", TARGETS)
def test_a_model_of_the_zoo_goes_to_the_target_and_segments_from_there(
    name: str, photographs: list[UInt8], tmp_path: Path
) -> None:
    path = exported("polyp", name, tmp_path / "out", photographs)
    if path is None:
        return
    before, after = lvunet.load("polyp", threads=1), lvunet.load(path, threads=1)
    assert (after.card.name, after.card.source_sha256) == ("polyp", before.card.source_sha256)
    square = squared(photographs[0], before.card)
    np.testing.assert_allclose(after(square), before(square), rtol=0, atol=2 * FOLDED_TO_ARTEFACT)
    first = after(square)
    after(squared(photographs[1], before.card))
    np.testing.assert_array_equal(after(square), first)  # no state, and no memory that is written again
    write_image(tmp_path / "image.png", photographs[0])
    command = ["segment", tmp_path / "image.png", "-m", path, "-o", tmp_path / "masks"]
    ended = subprocess.run(
        [sys.executable, "-m", "lvunet.cli", *map(str, command)], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")
    assert (tmp_path / "masks" / "image.png").is_file()


@pytest.mark.slow
@pytest.mark.filterwarnings("default")  # the runtimes' own code is not free of warnings
@pytest.mark.parametrize("name", TARGETS)
def test_three_classes_in_grey_at_a_padded_size_go_to_the_target(
    name: str, three_classes_in_grey: Path, tmp_path: Path
) -> None:
    path = exported(three_classes_in_grey, name, tmp_path / "out", [picture(PADDED, PADDED), picture(90, 70)])
    if path is not None:
        probability = lvunet.load(path)(picture(SIZE, 300))
        assert probability.shape == (3, SIZE, 300)
        np.testing.assert_allclose(probability.sum(axis=0), 1, atol=1e-5)
