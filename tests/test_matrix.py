"""The matrix of runs: what is planned, what is skipped, how it stops and goes on, and what comes back of it."""

import fcntl
import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from results import bundle, matrix
from safetensors.numpy import save_file

from lvunet.card import Card
from lvunet.data.manifest import split_samples, write_splits
from lvunet.data.pack import Packing, pack
from lvunet.data.phantom import write_phantoms
from lvunet.data.registry import find_samples
from lvunet.errors import ConfigError, InputError

RESULTS = Path(__file__).parents[1] / "results"
EPOCHS, FOR_EVER = 16, 100_000


def planned(out: Path, *extra: str, **choice: Any) -> list[Any]:
    return list(matrix.plan(matrix.Matrix(Path("data"), out, "none", **choice), extra))


def pretend(folder: Path, config: dict[str, Any], epochs: int) -> Path:
    """Write what a run of so many epochs leaves, but for a network."""
    folder.mkdir(parents=True)
    card = Card(name=folder.name, training={"epoch": 1, "val_dice": 0.5, "calibration": {}})
    save_file({"weight": np.zeros(1)}, folder / "best.safetensors", {"lvunet": card.to_json()})
    (folder / "manifest.json").write_text(json.dumps({"config": config, "split": {"train": ["a", "b"]}}))
    (folder / "metrics.csv").write_text("epoch,seconds\n" + "".join(f"{epoch},0.5\n" for epoch in range(epochs)))
    return folder


def test_the_first_seed_of_every_set_and_recipe_comes_first(tmp_path: Path) -> None:
    jobs = planned(tmp_path, sets=("busi", "kvasir-seg+cvc-clinicdb"), recipes=("paper", "ours"), seeds=(0, 2))
    names = [job.folder.name for job in jobs]
    assert len(names) == len(set(names)) == 8
    assert all(name.endswith("s0") for name in names[:4])
    assert all(name.endswith("s2") for name in names[4:])
    last = jobs[-1].config
    assert (last.dataset, last.recipe, last.split_seed, last.seed) == ("kvasir-seg+cvc-clinicdb", "ours", 2, 2)
    assert last.out == jobs[-1].folder == tmp_path / names[-1]


def test_by_default_it_is_five_sets_three_seeds_and_every_recipe(tmp_path: Path) -> None:
    jobs = planned(tmp_path)
    assert len(jobs) == 5 * 3 * len({job.config.recipe for job in jobs})
    assert {job.config.protocol for job in jobs} == {"paper"}


def test_a_pack_that_is_smaller_than_what_a_recipe_sees_is_refused(tmp_path: Path) -> None:
    write_phantoms(tmp_path / "kvasir-seg", 2)
    pack([tmp_path / "kvasir-seg"], tmp_path / "pack", Packing(size=256))
    runs = matrix.Matrix(tmp_path / "pack", tmp_path / "runs", "none", sets=("kvasir-seg",), recipes=("ours",))
    with pytest.raises(ConfigError, match="is packed at 256 px, and ours of kvasir-seg sees 384"):
        matrix.plan(runs)
    assert {job.config.size for job in matrix.plan(runs, ["--size", "256"])} == {256}


def test_flags_after_the_dashes_reach_every_run_and_win_over_the_recipe(tmp_path: Path) -> None:
    for job in planned(tmp_path, "--epochs", "7", "--ema", "0.5", sets=("busi",)):
        assert (job.config.epochs, job.config.ema) == (7, 0.5)
        assert job.arguments[-6:-2] == ("--epochs", "7", "--ema", "0.5")


def test_a_set_is_trained_as_its_file_in_configs_says_and_the_preset_as_the_paper_says(tmp_path: Path) -> None:
    ours, paper = (job.config for job in planned(tmp_path, sets=("busi",), recipes=("ours", "paper"), seeds=(0,)))
    assert (ours.loss, paper.loss) == ("paper+batch", "paper")


@pytest.mark.parametrize(
    ("choice", "extra", "words"),
    [
        ({"sets": ("kvasir-seg+busy",)}, (), "Did you mean 'busi'"),
        ({"recipes": ("our",)}, (), "Did you mean 'ours'"),
        ({}, ("--epoch", "3"), "Did you mean --epochs"),
        ({}, ("--epochs", "0"), "greater than or equal to 1"),
    ],
)
def test_a_mistake_is_found_before_any_run_starts(
    tmp_path: Path, choice: dict[str, Any], extra: tuple[str, ...], words: str
) -> None:
    with pytest.raises(ConfigError, match=words):
        planned(tmp_path, *extra, **choice)


def test_a_finished_run_is_not_run_again_and_one_of_other_settings_is_not_taken_for_it(tmp_path: Path) -> None:
    choice = {"sets": ("busi",), "recipes": ("paper",), "seeds": (0, 1, 2)}
    jobs = planned(tmp_path, "--epochs", "4", **choice)
    for job, epochs in zip(jobs, (4, 3, 4), strict=True):
        pretend(job.folder, job.config.model_dump(mode="json") | {"data": "/elsewhere"}, epochs)
    manifest = json.loads((jobs[2].folder / "manifest.json").read_text())
    manifest["config"]["batch_size"] = 3
    (jobs[2].folder / "manifest.json").write_text(json.dumps(manifest))
    jobs = planned(tmp_path, "--epochs", "4", **choice)
    assert [job.state for job in jobs] == ["finished", "waiting", "failed"]
    assert jobs[2].reason == "was finished with other batch_size"
    row = jobs[0].row()
    assert (row["epochs"], row["val_dice"], row["images_per_second"]) == (4, 0.5, 4.0)  # 2 images in half a second


def test_runs_are_bundled_into_parts_that_pass_and_the_rest_goes_first_the_next_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bundle, "PARTS", 2)
    monkeypatch.setattr(bundle, "PART_BYTES", 2 * 4096 + bundle.TAR_END)  # room for two runs in each
    for k in range(5):
        pretend(tmp_path / "runs" / f"run-{k}", {}, 1)
    (tmp_path / "runs" / "unfinished").mkdir()
    (tmp_path / "runs" / "matrix.json").write_text("{}")
    assert bundle.pack(tmp_path / "runs", tmp_path / "first") == 1
    assert sorted(path.name for path in (tmp_path / "first").iterdir()) == ["matrix.json", "runs-0.tar", "runs-1.tar"]
    assert all(path.stat().st_size <= bundle.PART_BYTES for path in (tmp_path / "first").glob("*.tar"))
    bundle.unpack(*(tmp_path / "first").glob("*.tar"), out=tmp_path / "home")
    assert sorted(path.name for path in (tmp_path / "home").iterdir()) == ["run-0", "run-1", "run-2", "run-3"]
    bundle.pack(tmp_path / "runs", tmp_path / "second")
    bundle.unpack(tmp_path / "second" / "runs-0.tar", out=tmp_path / "home")
    for k in range(5):
        for name in bundle.FILES:
            one, other = (tmp_path / place / f"run-{k}" / name for place in ("runs", "home"))
            assert one.read_bytes() == other.read_bytes()


def test_what_is_no_bundle_is_named(tmp_path: Path) -> None:
    (tmp_path / "other.tar").write_bytes(b"nothing")
    with pytest.raises(InputError, match=r"other\.tar is no bundle"):
        bundle.unpack(tmp_path / "other.tar", out=tmp_path / "home")


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A split of the phantoms that lie beside it."""
    root = tmp_path_factory.mktemp("data")
    write_phantoms(root / "phantoms", 16, seed=5, size=(64, 64))
    write_splits(root / "split.csv", [split_samples(find_samples(root / "phantoms"))])
    return root / "split.csv"


def command(table: Path, out: Path, *flags: object, runs: int = 4, epochs: int = EPOCHS) -> list[str]:
    """Up to two recipes, and two seeds of each."""
    words = [sys.executable, RESULTS / "matrix.py", "--data", table.parent, "--out", out, "--weights", "none"]
    words += ["--sets", table, "--recipes", *("paper", "ours")[:runs], "--seeds", *range(max(1, runs // 2))]
    words += [*flags, "--", "--epochs", epochs, "--size", 64, "--batch-size", 4, "--deep-end", 0.2]
    return [str(word) for word in words]


def states(out: Path) -> list[str]:
    return [run["state"] for run in json.loads((out / "matrix.json").read_text())["runs"]]


def logs(out: Path) -> dict[str, list[str]]:
    return {path.parent.name: path.read_text().splitlines()[1:] for path in sorted(out.glob("*/metrics.csv"))}


def wait_for(out: Path, process: "subprocess.Popen[str]", rows: int) -> None:
    while not any(len(log) >= rows for log in logs(out).values()):
        assert process.poll() is None
        time.sleep(0.05)


@pytest.mark.slow
def test_an_interrupted_matrix_goes_on_where_it_stopped_and_a_finished_one_does_nothing(
    table: Path, tmp_path: Path
) -> None:
    words = command(table, tmp_path, "--parallel", 1, runs=2)
    process = subprocess.Popen(words, text=True)
    wait_for(tmp_path, process, 2)
    process.send_signal(signal.SIGINT)
    process.wait()
    assert process.returncode == 130
    assert states(tmp_path) == ["interrupted", "waiting"]
    assert not list(tmp_path.glob("*/STOP"))
    ((run, before),) = logs(tmp_path).items()
    assert 2 <= len(before) < EPOCHS
    subprocess.run(words, check=True)
    assert states(tmp_path) == ["finished", "finished"]
    assert [len(log) for log in logs(tmp_path).values()] == [EPOCHS, EPOCHS]
    assert logs(tmp_path)[run][: len(before)] == before  # its seconds too: not trained again
    networks = {path: path.stat().st_mtime_ns for path in tmp_path.glob("*/best.safetensors")}
    assert len(networks) == 2
    subprocess.run(words, check=True)
    assert {path: path.stat().st_mtime_ns for path in networks} == networks


@pytest.mark.slow
def test_a_run_that_fails_stops_no_other_and_is_named(table: Path, tmp_path: Path) -> None:
    broken = tmp_path / "split-paper-0-paper-s0"
    broken.mkdir()
    (broken / "last.ckpt").write_bytes(b"no checkpoint")
    words = command(table, tmp_path, runs=2, epochs=2)
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert states(tmp_path) == ["failed", "finished"]
    assert f"{broken.name}: " in ended.stderr
    assert "damaged" in ended.stderr


@pytest.mark.slow
def test_within_its_budget_every_run_has_ended(table: Path, tmp_path: Path) -> None:
    budget_s = 30.0
    started = time.monotonic()
    words = command(table, tmp_path, "--budget-minutes", budget_s / 60, epochs=FOR_EVER)
    assert subprocess.run(words, check=False).returncode == 0
    assert time.monotonic() - started < budget_s + 20  # to load the libraries, and to write the summary
    assert states(tmp_path) == ["interrupted", "interrupted", "waiting", "waiting"]


@pytest.mark.slow
def test_a_run_that_outlived_its_matrix_is_not_trained_twice_at_once(table: Path, tmp_path: Path) -> None:
    words = command(table, tmp_path, runs=1, epochs=FOR_EVER)
    process = subprocess.Popen(words, text=True)
    wait_for(tmp_path, process, 1)
    process.kill()
    process.wait()
    ended = subprocess.run(words, capture_output=True, text=True, check=False)
    assert ended.returncode == 1
    assert "another process is at it" in ended.stderr
    (run,) = (path.parent for path in tmp_path.glob("*/metrics.csv"))
    (run / "STOP").touch()
    with (run / ".lock").open("wb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # it has ended, as it was asked to
