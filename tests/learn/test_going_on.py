"""Training that goes on from a model, or is taught by one."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from lvunet.data.dataset import SegmentationData
from lvunet.data.registry import find_samples
from lvunet.data.selection import pictures
from lvunet.errors import ConfigError
from lvunet.export.onnx import export_onnx
from lvunet.fold import fold
from lvunet.image import read_image, write_image
from lvunet.learn.config import TrainConfig
from lvunet.learn.train import Run
from lvunet.model import PixelsToProbability, load_checkpoint
from trainings import rows, run, tensors


def test_fine_tuning_keeps_the_slope_at_one(phantoms: Path, tmp_path: Path) -> None:
    run(phantoms, tmp_path, deep="done", epochs=2)
    assert [row["slope"] for row in rows(tmp_path)] == ["1.0", "1.0"]


@pytest.mark.parametrize("form", ["best.safetensors", "model.onnx"])
def test_a_run_goes_on_from_a_model_whose_function_it_keeps(
    finished: Run, phantoms: Path, tmp_path: Path, form: str
) -> None:
    model, card = load_checkpoint(finished.best)
    if form == "model.onnx":
        export_onnx(model, card, tmp_path / form, pictures(None))
    source = tmp_path / form if form == "model.onnx" else finished.best
    config = TrainConfig.read(None, {"init": str(source), "learning_rate": 1e-9, "final_learning_rate": 0})
    assert config.deep == "done"
    changes = config.model_dump(include={"deep", "init", "learning_rate", "final_learning_rate"})
    told: list[str] = []
    tuned = run(phantoms, tmp_path / "run", told.append, **changes, epochs=1)
    validation = len(json.loads((tuned.folder / "manifest.json").read_text(encoding="utf-8"))["split"]["val"])
    *seen, started = told
    assert [f"has seen {validation} of the {validation} validation images" in words for words in seen] == [True]
    assert f"validation Dice of {finished.val_dice:.2f}"[:-1] in started
    told.clear()
    run(phantoms, tmp_path / "run", told.append, **changes, epochs=1)
    assert told[1:] == [f"1 of 1 epochs are trained already: {tmp_path / 'run'}"]
    _, after = load_checkpoint(tuned.best)
    assert set(after.training["seen"]) >= set(card.training["seen"])
    assert after.training["before"]["name"] == card.name
    assert tuned.val_dice == pytest.approx(
        finished.val_dice, abs=0.1
    )  # momentum has moved its batch statistics a little
    fold(load_checkpoint(tuned.best)[0])


def test_what_its_start_has_seen_of_the_test_part_and_another_size_are_told(
    finished: Run, phantoms: Path, tmp_path: Path
) -> None:
    told: list[str] = []
    run(phantoms, tmp_path / "run", told.append, init=str(finished.best), deep="done", epochs=1, split_seed=1, size=32)
    words = " ".join(told)
    manifests = (folder / "manifest.json" for folder in (finished.folder, tmp_path / "run"))
    before, now = (json.loads(path.read_text(encoding="utf-8"))["split"] for path in manifests)
    known = {*now["test"]} & {*before["train"], *before["val"]}
    assert 0 < len(known) <= len(now["test"])
    assert f"has seen {len(known)} of the {len(now['test'])} test images in its own training: a test leaves" in words
    assert "was trained at 64 px, and sees 32 px: --size 64 keeps it." in words


def test_a_set_without_anything_to_outline_is_told(phantoms: Path, tmp_path: Path) -> None:
    shutil.copytree(phantoms, tmp_path / "set")
    for path in (tmp_path / "set" / "masks").iterdir():
        write_image(path, np.zeros_like(read_image(path)[..., 0]))
    told: list[str] = []
    run(tmp_path / "set", tmp_path / "run", told.append, epochs=1)
    assert "no training mask has anything to outline" in told[-1]


@pytest.mark.skipif(torch.accelerator.is_available(), reason="there is one")
def test_a_gpu_that_is_not_there_is_told_before_anything_is_written(phantoms: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="finds no GPU here"):
        run(phantoms, tmp_path / "run", accelerator="gpu")
    assert not (tmp_path / "run").exists()


def test_a_teacher_is_imitated_and_is_no_part_of_what_is_saved(finished: Run, phantoms: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"teacher": finished.best, "epochs": 2, "deep": "done", "seed": 1}
    alone = run(phantoms, tmp_path / "alone", **changes | {"teacher": None})
    taught = run(phantoms, tmp_path / "taught", teaching=1.0, **changes)
    assert rows(taught.folder)[0]["train_loss"] != rows(alone.folder)[0]["train_loss"]
    assert tensors(taught.best).keys() == tensors(alone.best).keys()
    last = torch.load(taught.folder / "last.ckpt", weights_only=True)["state_dict"]
    assert not any("teacher" in name for name in last)
    elsewhere = run(phantoms, tmp_path / "other", split_seed=1, **changes)
    seen, told = (set(load_checkpoint(path)[1].training["seen"]) for path in (finished.best, elsewhere.best))
    assert seen < told  # the teacher tells what it has seen of the other split


def test_a_student_of_a_teacher_alone_comes_nearer_to_it_than_to_the_truth(
    finished: Run, phantoms: Path, tmp_path: Path
) -> None:
    """With `teaching` = 1 the loss is the cross-entropy to the teacher: at its own weights that is its entropy."""
    settings: dict[str, Any] = {"init": str(finished.best), "deep": "done", "epochs": 1, "augment": "none"}
    settings |= {"learning_rate": 1e-12, "final_learning_rate": 0}
    alike = run(phantoms, tmp_path / "alike", teacher=finished.best, teaching=1.0, **settings)
    truth = run(phantoms, tmp_path / "truth", **settings)
    model, card = load_checkpoint(finished.best)
    used = json.loads((alike.folder / "manifest.json").read_text(encoding="utf-8"))["split"]["train"]
    samples = [sample for sample in find_samples(phantoms) if sample.id in set(used)]
    data = SegmentationData(samples, card, "none", seed=0)
    p = PixelsToProbability(model, card.mean, card.std, card.temperature)(data.pixels.float())
    entropy = -(p * p.clamp(1e-7).log() + (1 - p) * (1 - p).clamp(1e-7).log()).mean().item()
    loss, other = (float(rows(each.folder)[0]["train_loss"]) for each in (alike, truth))
    assert abs(loss - entropy) < 0.1 < abs(other - loss)


def test_two_teachers_are_imitated_by_their_mean(finished: Run, phantoms: Path, tmp_path: Path) -> None:
    """At a rate of nothing the student stays what it is, so its loss is the cross-entropy to what the teachers say."""
    other = run(phantoms, tmp_path / "other", seed=1)
    settings: dict[str, Any] = {"init": str(finished.best), "deep": "done", "epochs": 1, "augment": "none"}
    settings |= {"learning_rate": 1e-12, "final_learning_rate": 0, "teaching": 1.0}
    both = (finished.best, other.best)
    losses = {
        teachers: float(
            rows(
                run(
                    phantoms, tmp_path / str(len(teachers)) / teachers[0].parent.name, teacher=teachers, **settings
                ).folder
            )[0]["train_loss"]
        )
        for teachers in ((finished.best,), (other.best,), both)
    }
    assert losses[both] == pytest.approx((losses[finished.best,] + losses[other.best,]) / 2, rel=1e-4)
    assert losses[finished.best,] != pytest.approx(losses[other.best,], rel=1e-2)


def test_a_network_that_had_no_deep_training_is_not_taken_for_one_that_had(phantoms: Path, tmp_path: Path) -> None:
    plain = run(phantoms, tmp_path / "plain", deep="none", epochs=1)
    with pytest.raises(ConfigError, match="has slope 0: its deep training is not over"):
        run(phantoms, tmp_path / "tuned", init=str(plain.best), deep="done")


def test_a_teacher_of_another_task_is_refused(finished: Run, phantoms: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"it has 1 classes and 3 channels, the student 1 and 1"):
        run(phantoms, tmp_path, teacher=finished.best, grey=True)
