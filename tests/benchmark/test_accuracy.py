"""Records of accuracy: what they say of a run, and when none is written."""

import json
import os
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lvunet.benchmark.accuracy import TrainedRun, agreement_of_forms, find_runs, publish_run, recipe_name
from lvunet.benchmark.standings import read_records
from lvunet.data.manifest import Split, load_split, write_splits
from lvunet.data.phantom import phantom
from lvunet.data.registry import Sample, find_samples
from lvunet.data.selection import image_hash
from lvunet.errors import CheckpointError, ConfigError, EmptyInput, NotFoldable, ParityError
from lvunet.evaluate.metrics import Agreement
from lvunet.evaluate.scoring import ImageScore, Scores
from lvunet.image import encode_png, read_image, write_image
from lvunet.learn.config import TrainConfig
from lvunet.model import LVUNet
from lvunet.runtime.segmenter import load
from runs import EPOCHS, SECONDS, TRAINING_IMAGES, write_run

SETS = ("cvc-clinicdb", "cvc-colondb")
UNION = "+".join(SETS)
LABEL = f"paper-size=64-{UNION}-s0-e2"
RECORD = f"accuracy-cvc-colondb-paper-0-{LABEL}.json"
SMALL = {"size": 64}  # of the network's input: fast, and the forms have to agree at any
PIXEL = 0.005  # of Dice: one that two forms see differently, where some 400 are outlined
ROUNDED = 5e-7  # half of the last digit of a record


def draw_set(folder: Path, name: str) -> Path:
    """Give the ids of a known set one of twenty small phantoms each, of which two have nothing to outline."""
    phantoms = [[encode_png(pixels) for pixels in phantom("polyp", seed, (48, 64))] for seed in range(20)]
    for place, part in enumerate(("images", "masks")):
        (folder / part).mkdir(parents=True)
        for number, key in enumerate(load_split(name).parts()):
            (folder / part / f"{key}.png").write_bytes(phantoms[number % 20][place])
    return folder


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data of two sets, a run on both, and their records."""
    root = tmp_path_factory.mktemp("world")
    for name in SETS:
        draw_set(root / "data" / name, name)
    publish_run(write_run(root / "run", UNION, choices=SMALL), root / "data", root / "results")
    return root


@pytest.fixture(scope="module")
def record(world: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((world / "results" / RECORD).read_text(encoding="utf-8"))
    return content


def scores_of(dices: Sequence[float], empty: Sequence[int] = ()) -> Scores:
    """A table of these Dice scores; at the places `empty` there was nothing to outline."""
    images = []
    for place, dice in enumerate(dices):
        each = Agreement(dice, dice, dice, dice, 1.0, dice)
        found = 9 if dice < 1 or place not in empty else 0
        images.append(ImageScore(str(place), "", each, (each,), 0 if place in empty else 9, found, (1, 1)))
    return Scores("model", ("foreground",), 2.0, tuple(images))


def test_each_image_has_the_dice_that_counting_pixels_gives(world: Path, record: dict[str, Any]) -> None:
    trained, data = load(world / "run" / "best.safetensors"), world / "data" / "cvc-colondb"
    for row in record["images"]:
        found = trained.segment(data / "images" / f"{row['id']}.png").mask > 0
        truth = np.asarray(Image.open(data / "masks" / f"{row['id']}.png")) > 0
        both, sizes = int((found & truth).sum()), int(found.sum() + truth.sum())
        assert row["dice"] == pytest.approx(2 * both / sizes if sizes else 1.0, abs=PIXEL)
        assert row["truth_px"] == truth.sum()
    assert len({row["dice"] for row in record["images"]}) > 6  # a network that finds nothing would prove nothing
    mean = np.mean([row["dice"] for row in record["images"]])
    assert record["metrics"]["dice"]["mean"] == pytest.approx(mean, abs=ROUNDED)


def test_a_record_holds_what_the_training_took(record: dict[str, Any]) -> None:
    assert record["model"] == "run"
    assert (record["dataset"], record["split"], record["n"]) == ("cvc-colondb", "paper-0 test", 76)
    assert (record["recipe"], record["seed"], record["epochs"]) == ("paper-size=64", 0, EPOCHS)
    assert record["images_seen"] == EPOCHS * TRAINING_IMAGES
    assert record["training_seconds"] == round(sum(SECONDS))
    assert record["training_provenance"]["machine"]["cores"] >= 1
    assert "seen" not in record["training"]
    assert record["test_images_left_out"] == []


def test_a_record_holds_every_form_and_the_proof(record: dict[str, Any]) -> None:
    assert list(record["forms"]) == ["trained", "folded", "onnx"]
    assert record["forms"]["onnx"]["dice"]["mean"] == record["metrics"]["dice"]["mean"]
    assert all(abs(form["minus_trained"]) <= 0.0005 for form in record["forms"].values())
    assert [link["name"] for link in record["parity"]] == ["trained -> folded", "folded -> artefact"]


def test_an_image_takes_one_line_of_what_cannot_be_derived(world: Path, record: dict[str, Any]) -> None:
    lines = (world / "results" / RECORD).read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line.strip().rstrip(",")) for line in lines if line.startswith('  {"id"')]
    assert rows == record["images"]
    assert all(row.keys().isdisjoint({"precision", "recall"}) for row in rows)
    assert max(map(len, lines)) < 250


def test_lesions_and_normals_are_also_scored_apart(record: dict[str, Any]) -> None:
    empty = [row["dice"] for row in record["images"] if row["truth_px"] == 0]
    assert record["normals"]["mean"] == pytest.approx(np.mean(empty))
    assert record["normals"]["n"] + record["lesions"]["n"] == record["n"]


@pytest.mark.parametrize(("first_image", "apart"), [(0.8008, 0.0004), (0.7992, -0.0004)])
def test_the_forms_are_held_against_the_trained_one(first_image: float, apart: float) -> None:
    forms = agreement_of_forms({"trained": scores_of([0.8, 0.8]), "onnx": scores_of([first_image, 0.8])})
    assert forms["onnx"]["minus_trained"] == pytest.approx(apart)
    assert forms["onnx"]["dice"]["mean"] == pytest.approx(0.8 + apart)
    assert forms["trained"]["minus_trained"] == 0


@pytest.mark.parametrize("first_image", [0.8012, 0.7988])
def test_a_form_more_than_0_0005_off_in_mean_dice_is_refused(first_image: float) -> None:
    with pytest.raises(ParityError, match="folded"):
        agreement_of_forms({"trained": scores_of([0.8, 0.8]), "folded": scores_of([first_image, 0.8])})


def test_a_run_on_several_sets_gives_a_record_of_each(world: Path) -> None:
    records = read_records(world / "results")
    assert [path.name for path in records] == [f"accuracy-{name}-paper-0-{LABEL}.json" for name in SETS]
    assert [record["n"] for record in records.values()] == [123, 76]  # a fifth of 612, and of 380


def test_the_test_part_is_found_in_the_folder_of_the_set_or_in_the_one_above(world: Path, tmp_path: Path) -> None:
    run = TrainedRun.read(write_run(tmp_path / "run", "cvc-colondb"))
    above, there = world / "data", world / "data" / "cvc-colondb"
    assert run.tests(above) == run.tests(there)
    (tmp_path / "mine").symlink_to(there)
    (test,) = run.tests(tmp_path / "mine")
    assert (test.dataset, test.split, len(test.samples)) == ("cvc-colondb", "paper-0", 76)


def test_without_a_known_set_the_folder_gives_the_name(world: Path, tmp_path: Path) -> None:
    data = world / "data" / "cvc-colondb"
    ids = tuple(sample.id for sample in find_samples(data))
    write_splits(tmp_path / "table.csv", [Split("", "grouped", 4, (), (), ids)])
    (test,) = TrainedRun.read(write_run(tmp_path / "run", str(tmp_path / "table.csv"))).tests(data)
    assert (test.dataset, test.split, len(test.samples)) == ("cvc-colondb", "grouped-4", 380)


@pytest.mark.parametrize("dataset", ["cvc-colondb", "cvc-clinicdb+cvc-colondb"])
def test_the_folder_of_another_set_with_the_same_ids_is_refused(world: Path, tmp_path: Path, dataset: str) -> None:
    run, other = write_run(tmp_path / "run", dataset), world / "data" / "cvc-clinicdb"  # 001 to 612
    with pytest.raises(ConfigError, match="612 images; cvc-colondb has 380"):
        publish_run(run, other, tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_a_network_that_does_not_fold_gets_no_record(world: Path, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", "cvc-colondb", model=LVUNet().eval())  # of slope 0
    with pytest.raises(NotFoldable):
        publish_run(run, world / "data", tmp_path / "results")
    assert not (tmp_path / "results").exists()


def test_the_record_of_another_run_is_not_overwritten(world: Path, tmp_path: Path) -> None:
    before = (world / "results" / RECORD).read_bytes()
    rival = write_run(tmp_path / "rival", UNION, choices=SMALL)
    with pytest.raises(ConfigError, match="is of the run run"):
        publish_run(rival, world / "data", world / "results")
    assert (world / "results" / RECORD).read_bytes() == before


def test_a_run_is_published_until_its_checkpoint_changes(world: Path, tmp_path: Path) -> None:
    run, best = TrainedRun.read(world / "run"), world / "run" / "best.safetensors"
    assert run.is_published(world / "results")
    assert not run.is_published(tmp_path)
    assert not replace(run, card=replace(run.card, source_sha256="other")).is_published(world / "results")
    made = best.stat().st_mtime
    os.utime(best, (made + 3600, made + 3600))
    assert not run.is_published(world / "results")
    os.utime(best, (made, made))


def test_a_run_is_finished_when_it_was_calibrated_or_has_all_its_epochs(tmp_path: Path) -> None:
    def finished(name: str, planned: int, **training: object) -> bool:
        run = write_run(tmp_path / name, "busi", planned=planned, choices={"patience": 30}, training=training)
        (run / "STOP").touch()  # it only asks for an end
        return TrainedRun.read(run).finished

    assert not finished("going on", 300)
    assert not finished("from a model that was calibrated", 300, before={"calibration": {}})
    assert finished("returned", 300, calibration={"images": 125})
    assert finished("from before calibration", EPOCHS)


@pytest.mark.parametrize(
    ("choices", "recipe"),
    [
        ({}, "paper"),
        ({"recipe": "ours"}, "ours"),
        ({"recipe": "tuned"}, "tuned"),
        ({"size": 192, "ema": 0.99}, "paper-ema=0.99-size=192"),
        ({"size": 192, "loss": "paper+batch"}, "paper-loss=paper+batch-size=192"),
        ({"recipe": "ours", "ema": 0.0}, "ours-ema=0.0"),
        ({"recipe": "tuned", "init": "busi"}, "tuned-init"),
        ({"init": "busi"}, "paper-deep=done-init"),
        ({"weights": "none"}, "paper-weights"),
        ({"teacher": ("a/best.safetensors",)}, "paper-teacher"),
        ({"weights": "backbone.safetensors", "seed": 3, "split_seed": 1, "precision": "bf16", "devices": 2}, "paper"),
        ({"network": "unet"}, "paper-network=unet"),
    ],
)
def test_the_recipe_says_in_which_keys_it_was_changed(choices: dict[str, Any], recipe: str) -> None:
    assert recipe_name(TrainConfig.read(None, choices).model_dump(mode="json")) == recipe


def test_keys_of_another_version_do_not_change_the_recipe(tmp_path: Path) -> None:
    new = TrainedRun.read(write_run(tmp_path / "run", "busi", choices={"size": 192}))
    config = {key: value for key, value in new.config.items() if key not in ("recipe", "loss", "network", "teacher")}
    assert recipe_name({**config, "workers": 4}) == "paper-size=192"


def test_a_test_image_that_was_seen_in_training_is_left_out_and_named(world: Path, tmp_path: Path) -> None:
    shutil.copytree(world / "data" / "cvc-colondb", tmp_path / "cvc-colondb")
    twin = _tested(tmp_path, tmp_path, "")[0]
    write_image(twin.image, 255 - read_image(twin.image))  # no other is like it
    run = write_run(tmp_path / "run", "cvc-colondb", choices=SMALL, training={"seen": [image_hash(twin.image)]})
    (path,) = publish_run(run, tmp_path, tmp_path / "results")
    record = json.loads(path.read_text(encoding="utf-8"))
    assert record["test_images_left_out"] == [twin.id]
    assert record["n"] == 75
    assert twin.id not in {image["id"] for image in record["images"]}


def test_a_run_that_has_seen_much_of_its_test_part_gets_no_record(world: Path, tmp_path: Path) -> None:
    seen = sorted({image_hash(sample.image) for sample in _tested(world, tmp_path)})
    run = write_run(tmp_path / "run", "cvc-colondb", choices=SMALL, training={"seen": seen})
    with pytest.raises(ConfigError, match=r"76 of the 76 test images, .* were seen"):
        publish_run(run, world / "data", tmp_path / "results")
    assert not (tmp_path / "results").exists()


def _tested(world: Path, tmp_path: Path, data: str = "data") -> Sequence[Sample]:
    (test,) = TrainedRun.read(write_run(tmp_path / "any", "cvc-colondb")).tests(world / data)
    return test.samples


def test_runs_of_peers_are_passed_over(tmp_path: Path) -> None:
    ours = write_run(tmp_path / "lv-unet", "busi")
    peer = write_run(tmp_path / "unet", "busi", choices={"network": "unet"})
    assert find_runs(tmp_path) == [ours]
    with pytest.raises(EmptyInput, match="of an LV-UNet"):
        find_runs(peer)


def test_the_runs_below_a_folder_are_found_in_order(world: Path, tmp_path: Path) -> None:
    for name in ("b", "a/deep", "no-network"):
        (tmp_path / name).mkdir(parents=True)
    for name in ("b", "a/deep"):
        (tmp_path / name / "best.safetensors").touch()
    assert find_runs(tmp_path) == [tmp_path / "a" / "deep", tmp_path / "b"]
    with pytest.raises(EmptyInput, match="no-network"):
        find_runs(tmp_path / "no-network")


@pytest.mark.parametrize("lost", ["best.safetensors", "manifest.json", "metrics.csv"])
def test_a_folder_that_lacks_a_part_of_a_run_is_named(tmp_path: Path, lost: str) -> None:
    (write_run(tmp_path / "run", "busi") / lost).unlink()
    with pytest.raises(CheckpointError, match=lost):
        TrainedRun.read(tmp_path / "run")
