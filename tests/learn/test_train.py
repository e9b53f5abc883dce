"""Training runs, small but real: what they leave behind, how they stop, and that they go on as if they had not."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from pytorch_lightning.callbacks import WeightAveraging
from torch.optim.swa_utils import AveragedModel

from lvunet.card import Card
from lvunet.data.dataset import SegmentationData
from lvunet.data.registry import find_samples
from lvunet.data.selection import seen_in_training
from lvunet.errors import CheckpointError, ConfigError, NotFoldable, OutputError, TrainingDiverged
from lvunet.evaluate.metrics import agreement
from lvunet.fold import fold
from lvunet.image import read_image, write_image
from lvunet.learn.config import TrainConfig
from lvunet.learn.module import DeepTraining, KeepBest
from lvunet.learn.train import Run, _trainer, train
from lvunet.model import LVUNet, PixelsToProbability, load_checkpoint
from trainings import configure, rows, run, same


def test_a_run_ends_with_a_checkpoint_that_folds_chosen_only_where_the_slope_was_one(finished: Run) -> None:
    model, card = load_checkpoint(finished.best)
    assert model.slope == 1
    fold(model)
    log = rows(finished.folder)
    assert [float(row["slope"]) for row in log] == pytest.approx([0, 0.357212, 1, 1], abs=1e-6)  # 1 - cos(50 degrees)
    eligible = [float(row["val_dice"]) for row in log if row["slope"] == "1.0"]
    assert len(eligible) == 2
    assert finished.val_dice == pytest.approx(max(eligible), abs=1e-6)
    assert card.training["epoch"] == finished.epoch >= 2


def test_a_run_records_its_configuration_its_split_and_where_it_ran(finished: Run) -> None:
    manifest = json.loads((finished.folder / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["config"]["epochs"] == 4
    assert len(manifest["split"]["train"]) + len(manifest["split"]["val"]) + len(manifest["split"]["test"]) == 24
    assert len(manifest["data_sha256"]) == 64
    assert manifest["provenance"]["machine"]["versions"]["torch"] == torch.__version__.split("+")[0]
    assert list((finished.folder / "tensorboard").glob("events.*"))


@pytest.mark.parametrize("ema", [0.0, 0.8])
def test_a_stopped_run_goes_on_to_the_bits_it_would_have_reached(phantoms: Path, tmp_path: Path, ema: float) -> None:
    whole = run(phantoms, tmp_path / "whole", ema=ema)
    stopped = tmp_path / "stopped"
    stopped.mkdir()
    (stopped / "STOP").touch()
    with pytest.raises(CheckpointError, match="before the slope reached 1"):
        run(phantoms, stopped, ema=ema)
    assert len(rows(stopped)) == 1
    (stopped / "STOP").unlink()
    resumed = run(phantoms, stopped, ema=ema)
    assert rows(stopped) == rows(whole.folder)
    assert same(resumed.best, whole.best)
    assert load_checkpoint(resumed.best)[0].slope == 1
    begun = (stopped / "manifest.json").stat().st_mtime_ns
    again = run(phantoms, stopped, ema=ema)
    assert (again.epoch, again.val_dice) == (resumed.epoch, resumed.val_dice)
    assert (stopped / "manifest.json").stat().st_mtime_ns == begun


def test_a_folder_that_holds_another_run_is_refused_with_the_difference(finished: Run, phantoms: Path) -> None:
    with pytest.raises(ConfigError, match=r"other settings: learning_rate \(.*, not .*\)\. Give --out"):
        run(phantoms, finished.folder, learning_rate=0.5)


def test_a_run_does_not_go_on_with_other_images(finished: Run, phantoms: Path, tmp_path: Path) -> None:
    changed, moved = tmp_path / "phantoms", tmp_path / "run"
    shutil.copytree(phantoms, changed)
    shutil.copytree(finished.folder, moved)
    manifest = json.loads((moved / "manifest.json").read_text(encoding="utf-8"))
    manifest["config"] |= {"data": str(changed), "out": str(moved)}
    (moved / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    used = changed / "images" / f"{manifest['split']['train'][0]}.png"
    write_image(used, 255 - read_image(used))
    with pytest.raises(ConfigError, match="other settings: images or masks"):
        run(changed, moved)


def test_a_damaged_run_is_named_as_such(finished: Run, phantoms: Path, tmp_path: Path) -> None:
    for damaged in ("last.ckpt", "manifest.json"):
        moved = tmp_path / damaged
        shutil.copytree(finished.folder, moved)
        manifest = json.loads((moved / "manifest.json").read_text(encoding="utf-8"))
        manifest["config"]["out"] = str(moved)
        (moved / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        (moved / damaged).write_bytes((moved / damaged).read_bytes()[:100])
        with pytest.raises(CheckpointError, match="damaged"):
            run(phantoms, moved)


def test_an_output_that_cannot_be_written_is_named(phantoms: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="file"):
        run(phantoms, tmp_path / "file" / "run")


def test_ctrl_c_reaches_the_caller(phantoms: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lvunet.learn.module.DeepTraining.validation_step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run(phantoms, tmp_path)


def test_a_model_knows_the_images_it_has_seen(finished: Run, phantoms: Path) -> None:
    _, card = load_checkpoint(finished.best)
    manifest = json.loads((finished.folder / "manifest.json").read_text(encoding="utf-8"))
    seen = seen_in_training(card.training, find_samples(phantoms))
    assert sorted(seen) == sorted(manifest["split"]["train"] + manifest["split"]["val"])


def test_a_stopped_early_run_is_not_taken_up_again(phantoms: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"epochs": 8, "deep": "none", "patience": 1, "learning_rate": 1e-12}
    changes["final_learning_rate"] = 0
    run(phantoms, tmp_path, **changes)
    before = rows(tmp_path)
    run(phantoms, tmp_path, **changes)
    assert rows(tmp_path) == before
    assert len(before) < 8


def test_plain_training_ends_with_a_checkpoint_that_says_it_cannot_be_folded(phantoms: Path, tmp_path: Path) -> None:
    plain = run(phantoms, tmp_path, deep="none", epochs=1)
    with pytest.raises(NotFoldable, match="slope is 0"):
        fold(load_checkpoint(plain.best)[0])


@pytest.mark.slow
def test_a_run_killed_in_the_middle_of_an_epoch_goes_on_to_the_same_bits(phantoms: Path, tmp_path: Path) -> None:
    changes: dict[str, Any] = {"epochs": 30, "augment": "strong"}
    whole = run(phantoms, tmp_path / "whole", **changes)
    config = configure(phantoms, tmp_path / "killed", **changes)
    code = "import sys; from lvunet.learn.train import *; train(TrainConfig.model_validate_json(sys.argv[1]), False)"
    command = [sys.executable, "-c", code, config.model_dump_json()]
    threads = os.environ | {"OMP_NUM_THREADS": str(torch.get_num_threads())}  # sums differ with their order
    process = subprocess.Popen(command, env=threads)
    log = tmp_path / "killed" / "metrics.csv"
    while not log.exists() or len(log.read_text().splitlines()) < 8:
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    resumed = train(config, progress_bar=False)
    assert rows(resumed.folder) == rows(whole.folder)
    assert same(resumed.best, whole.best)


@pytest.mark.slow
def test_two_processes_train_one_network(phantoms: Path, tmp_path: Path) -> None:
    config = configure(phantoms, tmp_path / "ddp", devices=2, accelerator="cpu", batch_size=4)
    code = "import sys; from lvunet.learn.train import *; train(TrainConfig.model_validate_json(sys.argv[1]), False)"
    script = tmp_path / "ddp.py"
    script.write_text(code, encoding="utf-8")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run([sys.executable, str(script), config.model_dump_json()], check=True, env=environment, timeout=240)
    assert load_checkpoint(config.folder / "best.safetensors")[0].slope == 1
    assert len(rows(config.folder)) == 4


def test_a_run_may_validate_every_other_epoch_and_is_stopped_and_resumed_there(phantoms: Path, tmp_path: Path) -> None:
    whole = run(phantoms, tmp_path / "whole", validate_every=2, epochs=6)
    assert [row["val_dice"] != "" for row in rows(whole.folder)] == [False, True] * 3
    assert whole.epoch in (3, 5)
    stopped = tmp_path / "stopped"
    stopped.mkdir()
    (stopped / "STOP").touch()
    with pytest.raises(CheckpointError, match="before the slope reached 1"):
        run(phantoms, stopped, validate_every=2, epochs=6)
    assert len(rows(stopped)) == 2
    (stopped / "STOP").unlink()
    assert same(run(phantoms, stopped, validate_every=2, epochs=6).best, whole.best)


def test_a_finished_run_knows_how_far_to_trust_itself(finished: Run) -> None:
    _, card = load_checkpoint(finished.best)
    assert card.temperature != 1
    assert card.quality
    assert card.training["calibration"]["nll_after"] <= card.training["calibration"]["nll_before"]
    assert card.training["calibration"]["images"] == len(
        json.loads((finished.folder / "manifest.json").read_text(encoding="utf-8"))["split"]["val"]
    )


def test_a_diverged_run_is_told_so_and_nothing_is_kept(phantoms: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingDiverged, match="lower --learning-rate"):
        run(phantoms, tmp_path, learning_rate=1e18, deep="none")
    assert not (tmp_path / "best.safetensors").exists()


def test_what_is_kept_is_what_was_validated_the_average(phantoms: Path, tmp_path: Path) -> None:
    averaged = run(phantoms, tmp_path, ema=0.8)
    model, card = load_checkpoint(averaged.best)
    used = json.loads((tmp_path / "manifest.json").read_text(encoding="utf-8"))["split"]["val"]
    data = SegmentationData([s for s in find_samples(phantoms) if s.id in set(used)], card, "none", seed=0)
    found = PixelsToProbability(model, card.mean, card.std)(data.pixels.float())[:, 0] >= 0.5
    pairs = zip(found.numpy(), data.masks[:, 0].numpy(), strict=True)
    assert np.mean([agreement(*pair).dice for pair in pairs]) == pytest.approx(averaged.val_dice, abs=1e-3)


def test_the_average_of_a_short_run_is_of_its_end() -> None:
    """0.99 from the first step on would keep nine tenths of it."""
    trainer: Any = _trainer(TrainConfig(ema=0.99), KeepBest(Path()), progress_bar=False)
    (averaging,) = (each for each in trainer.callbacks if isinstance(each, WeightAveraging))
    network = torch.nn.Linear(1, 1)
    torch.nn.init.zeros_(network.weight)
    average = AveragedModel(network, **averaging._kwargs)
    average.update_parameters(network)
    torch.nn.init.ones_(network.weight)
    for _ in range(10):
        average.update_parameters(network)
    assert next(average.module.parameters()).item() > 0.99


def test_nothing_is_kept_while_the_slope_is_not_exactly_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trainer: Any = Mock(sanity_checking=False, callback_metrics={"val_dice": 0.9}, is_global_zero=True)
    trainer.strategy.reduce_boolean_decision.side_effect = lambda decision, **_: decision
    module, keep = DeepTraining(LVUNet(), Card(), TrainConfig(), 8), KeepBest(tmp_path)
    for slope, kept in ((0.9948, -1.0), (1.0, 0.9)):  # 0.9948 is where the authors' schedule ends
        monkeypatch.setattr(DeepTraining, "slope", slope)
        keep.on_validation_epoch_end(trainer, module)
        assert keep.best == kept
        assert (tmp_path / "best.safetensors").exists() is (kept > 0)
