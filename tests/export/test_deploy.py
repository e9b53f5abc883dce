"""One model to targets: what is written, what it says of itself, and that nothing is written where anything fails."""

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from resource import RLIMIT_FSIZE, getrlimit, setrlimit

import numpy as np
import pytest

import failing_worker
import lvunet
from lvunet.errors import (
    ArtefactError,
    ConfigError,
    EmptyInput,
    ExportError,
    MissingDependency,
    NotFoldable,
    OutputError,
    ParityError,
)
from lvunet.export import deploy as deploying
from lvunet.export.deploy import deploy
from lvunet.export.parity import FOLDED_TO_ARTEFACT, TRAINED_TO_FOLDED
from lvunet.export.process import Job, Outcome, run
from lvunet.export.proof import Deployment
from lvunet.model import LVUNet, save_checkpoint, state_sha256
from lvunet.runtime.sidecar import read_sidecar
from models import SIZE, card_of, picture, trained_model

TESTS = Path(failing_worker.__file__).parent
IMAGES = [picture(90, 70), *(picture(40, 50 + k) for k in range(10)), picture(SIZE, SIZE)]  # twelve: arr_10 < arr_2


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("deployed") / "a folder" / "to be made"


@pytest.fixture(scope="module")
def deployment(folder: Path, checkpoint: Path) -> Deployment:
    """The two targets that need nothing but what training needs."""
    return deploy(checkpoint, ["onnx", "torch", "onnx"], folder, IMAGES)


@pytest.fixture
def by_worker(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Let another worker do the conversions."""

    def choose(worker: str) -> None:
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(TESTS), os.environ.get("PYTHONPATH")])))
        monkeypatch.setattr(deploying, "run", partial(run, worker=worker))

    return choose


class TestWhatIsExported:
    def test_the_folder_holds_the_artefacts_and_their_proof_and_nothing_else(
        self, deployment: Deployment, folder: Path
    ) -> None:
        wanted = {"lvunet.onnx", "lvunet.pt2", "lvunet.pt2.json", "parity.html", "parity.json"}
        assert {path.name for path in folder.iterdir()} == wanted
        assert [artefact.path for artefact in deployment.artefacts] == [folder / "lvunet.onnx", folder / "lvunet.pt2"]
        assert [artefact.size_bytes for artefact in deployment.artefacts] == [
            artefact.path.stat().st_size for artefact in deployment.artefacts
        ]

    def test_every_link_was_measured_and_holds(self, deployment: Deployment) -> None:
        assert [link.name for link in deployment.links] == ["trained -> folded", "folded -> onnx", "folded -> torch"]
        assert [link.tolerance for link in deployment.links] == [TRAINED_TO_FOLDED] + [FOLDED_TO_ARTEFACT] * 2
        assert all(link.holds and link.max_abs_difference > 0 for link in deployment.links[:2])
        assert deployment.images == len(IMAGES)
        assert all(artefact.median_ms and artefact.median_ms > 0 for artefact in deployment.artefacts)

    def test_each_is_loaded_as_a_segmenter_of_the_same_function(self, deployment: Deployment, checkpoint: Path) -> None:
        trained, image = lvunet.load(checkpoint), picture(SIZE, SIZE + 3)[:, 3:]
        for artefact in deployment.artefacts:
            loaded = lvunet.load(artefact.path, threads=1)
            np.testing.assert_allclose(loaded(image), trained(image), rtol=0, atol=2 * FOLDED_TO_ARTEFACT)
            assert loaded.segment(picture(40, 57)).mask.shape == (40, 57)
            assert loaded.card == deployment.card

    def test_the_card_names_the_weights(self, deployment: Deployment, folder: Path) -> None:
        assert read_sidecar(folder / "lvunet.pt2").source_sha256 == state_sha256(trained_model(1, 3))

    def test_the_record_and_the_page_say_what_was_found(self, deployment: Deployment, folder: Path) -> None:
        record = json.loads((folder / "parity.json").read_text(encoding="utf-8"))
        assert record["images"] == len(IMAGES)
        assert record["source_sha256"] == deployment.card.source_sha256
        assert [artefact["path"] for artefact in record["artefacts"]] == ["lvunet.onnx", "lvunet.pt2"]
        for artefact, stored in zip(deployment.artefacts, record["artefacts"], strict=True):
            assert artefact.link
            assert stored["link"]["max_abs_difference"] == artefact.link.max_abs_difference
            assert (stored["executed"], stored["size_bytes"]) == (True, artefact.size_bytes)
        assert {"commit", "date", "machine", "folding", "model"} <= record.keys()
        page = (folder / "parity.html").read_text(encoding="utf-8")
        assert "2 of 2" in page
        assert all(f"{link.max_abs_difference:.1e}" in page for link in deployment.links)
        assert all(each.whole and f"{each.whole.lowest_dice:.4f}" in page for each in deployment.artefacts)
        alone = replace(deployment, artefacts=deployment.artefacts[1:])
        assert (deployment.page, alone.page) == ("parity.html", "parity-torch.html")

    @pytest.mark.slow
    def test_an_export_of_an_export_is_the_same_network(
        self, deployment: Deployment, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """And a relative path, a single file, and one that is there already are places like any other."""
        monkeypatch.chdir(tmp_path)
        (tmp_path / "again.pt2").write_text("before")
        again = deploy(deployment.artefacts[0].path, ["torch"], Path("again.pt2"), IMAGES[:1])
        assert sorted(path.name for path in tmp_path.iterdir()) == ["again.pt2", "again.pt2.json"]
        assert again.card == deployment.card
        image = picture(SIZE, SIZE)
        ours, before = lvunet.load(again.artefacts[0].path), lvunet.load(deployment.artefacts[1].path)
        np.testing.assert_allclose(ours(image), before(image), rtol=0, atol=FOLDED_TO_ARTEFACT)


class TestNothingIsWritten:
    def refused(self, error: type[Exception], match: str, source: Path, names: list[str], output: Path) -> None:
        before = sorted(output.parent.rglob("*"))
        with pytest.raises(error, match=match):
            deploy(source, names, output, IMAGES)
        assert sorted(output.parent.rglob("*")) == before

    def test_where_a_link_is_broken(self, checkpoint: Path, tmp_path: Path, by_worker: Callable[[str], None]) -> None:
        by_worker("spoiling_worker")
        self.refused(ParityError, "folded -> torch: a probability differs by 0", checkpoint, ["torch"], tmp_path / "o")

    @pytest.mark.parametrize(("target", "error"), [("crash", ExportError), ("full", OutputError)])
    def test_where_the_second_converter_fails(
        self, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_worker: Callable[[str], None],
        target: str, error: type[Exception],
    ) -> None:  # fmt: skip
        """And what was there before stays."""
        by_worker("failing_worker")
        (tmp_path / "o").mkdir()
        (tmp_path / "o" / "lvunet.onnx").write_text("before")

        fails = partial(run, worker="failing_worker")

        def first_well(job: Job, limit_s: float) -> Outcome:
            if job.target == "torch":
                return fails(replace(job, target=target), limit_s)
            Path(job.path).write_text("after", encoding="utf-8")
            return fails(replace(job, target="well"), limit_s)

        monkeypatch.setattr(deploying, "run", first_well)
        self.refused(error, f"--to {target}", checkpoint, ["onnx", "torch"], tmp_path / "o")
        assert (tmp_path / "o" / "lvunet.onnx").read_text() == "before"

    @pytest.mark.slow
    def test_where_the_disk_has_no_room(self, checkpoint: Path, tmp_path: Path) -> None:
        soft, hard = getrlimit(RLIMIT_FSIZE)
        setrlimit(RLIMIT_FSIZE, (2**20, hard))  # a megabyte; the artefact has two
        try:
            self.refused(OutputError, "no room is left", checkpoint, ["onnx"], tmp_path / "o")
        finally:
            setrlimit(RLIMIT_FSIZE, (soft, hard))

    def test_where_the_last_of_the_files_cannot_be_moved(
        self, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_worker: Callable[[str], None]
    ) -> None:
        by_worker("failing_worker")  # leaves no artefact, so its sidecar is moved in vain
        monkeypatch.setattr(
            deploying, "run", lambda job, limit_s: Path(job.path).write_text("after") and failing_worker.PROVEN
        )
        (tmp_path / "o.pt2").write_text("before")
        self.refused(OutputError, r"cannot write to .*No such file", checkpoint, ["torch"], tmp_path / "o.pt2")
        assert (tmp_path / "o.pt2").read_text() == "before"

    @pytest.mark.parametrize(
        ("names", "place", "error", "match"),
        [
            ([], "o", ConfigError, "at least one target"),
            (["onxx"], "o", ConfigError, "Did you mean 'onnx'"),
            (["onnx"], "o.pt2", OutputError, r"ends in its suffix \(\.onnx\)"),
            (["onnx", "torch"], "o.onnx", OutputError, "give a folder, or for one target"),
            (["ncnn"], "o", MissingDependency, r"--to ncnn needs .*pip install 'lvunet\[ncnn\]'"),
            (["onnx"], "file/o", OutputError, "file is a file, and the output needs a folder there"),
            (["onnx"], "taken", OutputError, r"taken/lvunet\.onnx is a folder"),
        ],
    )
    def test_where_the_target_or_the_place_is_wrong(
        self, checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, names: list[str], place: str,
        error: type[Exception], match: str,
    ) -> None:  # fmt: skip
        monkeypatch.setitem(sys.modules, "ncnn", None)
        (tmp_path / "file").touch()
        (tmp_path / "taken" / "lvunet.onnx").mkdir(parents=True)
        self.refused(error, match, checkpoint, names, tmp_path / place)

    def test_of_a_network_that_cannot_be_folded(self, tmp_path: Path) -> None:
        model = LVUNet().eval()
        model.set_slope(0.9948)  # where the original authors' schedule ends
        save_checkpoint(tmp_path / "model.safetensors", model, card_of(1, 3))
        self.refused(NotFoldable, r"slope is 0\.9947", tmp_path / "model.safetensors", ["torch"], tmp_path / "o")

    def test_without_an_image_to_prove_it_on(self, checkpoint: Path, tmp_path: Path) -> None:
        with pytest.raises(EmptyInput, match="at least one image"):
            deploy(checkpoint, ["onnx"], tmp_path / "o", [])
        assert not list(tmp_path.iterdir())


class TestAnArtefactThatWasChanged:
    @pytest.fixture
    def copy(self, deployment: Deployment, folder: Path, tmp_path: Path) -> Path:
        shutil.copytree(folder, tmp_path / "copy")
        return tmp_path / "copy" / "lvunet.pt2"

    def test_is_refused_once_edited_though_it_could_be_read(self, copy: Path) -> None:
        with copy.open("ab") as file:
            file.write(b"\0")
        with pytest.raises(ArtefactError, match="is not the file that was exported"):
            lvunet.load(copy)

    def test_is_refused_without_its_sidecar(self, copy: Path) -> None:
        copy.with_name("lvunet.pt2.json").unlink()
        with pytest.raises(ArtefactError, match=r"has no lvunet\.pt2\.json"):
            lvunet.load(copy)
