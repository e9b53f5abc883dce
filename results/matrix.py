"""Trains a matrix of sets, recipes and seeds: `python results/matrix.py --data PACK --out RUNS [-- FLAGS OF TRAIN]`.

Each run is a process with a folder of its own, several at a time. Run again, it goes on where it stopped.
Exit code 1: a run failed, and the others went on. 2: nothing was started. 130: interrupted, each run after an epoch.
"""

import csv
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import product
from pathlib import Path
from shutil import which
from typing import Annotated, Any, Literal

from cyclopts import App, CycloptsError, Parameter
from cyclopts.validators import Number
from safetensors import SafetensorError, safe_open

from lvunet.card import Card
from lvunet.cli.app import app as lvunet
from lvunet.data.manifest import SEEDS
from lvunet.data.pack import side_of
from lvunet.data.registry import DATASETS, dataset
from lvunet.data.selection import UNION
from lvunet.errors import CheckpointError, ConfigError, LVUNetError
from lvunet.evaluate.evidence import write_json
from lvunet.evaluate.provenance import provenance
from lvunet.learn.config import BEST, LAST, LOG, MANIFEST, TrainConfig
from lvunet.screen import complain, say, show

STOP, OUTPUT, LOCK = "STOP", "output.txt", ".lock"
PLACES = {"data", "out", "weights"}  # keys of a configuration that differ between machines
POLL_S = 0.5
GRACE_S = 20.0  # given to end an epoch in, at least
LAST_STARTS = 0.9  # of the budget: a run that starts later would hardly get anywhere
Words = Annotated[tuple[str, ...], Parameter(consume_multiple=True)]
app = App(name="matrix", help=__doc__)


@dataclass(frozen=True)
class Matrix:
    """Which runs: every combination, those of the first seed first.

    Args:
        data: A folder of the sets by name, such as a pack (`lvunet data pack`).
        out: The folder of the folders of the runs, and of matrix.json.
        weights: Backbone: a file, imagenet (download) or none.
        sets: Known sets, unions such as kvasir-seg+cvc-clinicdb, or tables of splits (.csv).
        seeds: Seeds, each of the split and of the training.
    """

    data: Path
    out: Path
    weights: str = "imagenet"
    sets: Words = tuple(DATASETS)
    recipes: Words = ("ours", "paper")
    protocols: Words = ("paper",)
    seeds: Annotated[tuple[int, ...], Parameter(consume_multiple=True)] = SEEDS


@dataclass(eq=False)
class Job:
    """One run: the arguments of `lvunet train`, the configuration that they come to, and what has become of it."""

    arguments: tuple[str, ...]
    config: TrainConfig
    state: Literal["waiting", "running", "finished", "interrupted", "failed"] = "waiting"
    reason: str = ""
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def folder(self) -> Path:
        """The folder of the run."""
        return self.config.folder

    def seconds(self) -> list[float]:
        """Return what each epoch took so far, as the log of the run says."""
        try:
            with (self.folder / LOG).open(encoding="utf-8", newline="") as file:
                return [float(row["seconds"]) for row in csv.DictReader(file)]
        except (OSError, ValueError, LookupError, TypeError):  # not there yet, or being written
            return []

    def manifest(self) -> dict[str, Any]:
        """Return what the run says of itself; {} before it has started."""
        try:
            return dict(json.loads((self.folder / MANIFEST).read_text(encoding="utf-8")))
        except (OSError, ValueError):
            return {}

    def images(self) -> int:
        """Return how many images the run has trained on, over all epochs."""
        return len(self.seconds()) * len(self.manifest().get("split", {}).get("train", ()))

    def kept(self) -> dict[str, Any]:
        """Return what the network that the run has kept says of its training; {} for none."""
        with suppress(OSError, SafetensorError, CheckpointError), safe_open(self.folder / BEST, "numpy") as file:
            return Card.from_json(file.metadata()["lvunet"]).training
        return {}

    def look(self) -> None:
        """Take in whether the run was finished before, calibration included; one of other settings has failed."""
        if (len(self.seconds()) < self.config.epochs and not self.config.patience) or "calibration" not in self.kept():
            return
        before, now = self.manifest().get("config", {}), self.config.model_dump(mode="json")
        self.state = "finished"
        if changed := sorted(key for key in before.keys() & now.keys() - PLACES if before[key] != now[key]):
            self.state, self.reason = "failed", f"was finished with other {', '.join(changed)}"

    def start(self, threads: int) -> None:
        """Start the run or go on with it; it has failed if it cannot start, or if another process is at it."""
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            with (self.folder / LOCK).open("wb") as lock, (self.folder / OUTPUT).open("ab") as output:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # which the process keeps, should this one be killed
                (self.folder / STOP).unlink(missing_ok=True)
                self.process = subprocess.Popen(
                    [sys.executable, "-m", "lvunet.cli", "train", *self.arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env={"OMP_NUM_THREADS": str(threads)} | os.environ,
                    pass_fds=(lock.fileno(),),
                    start_new_session=True,  # Ctrl-C is for this process, which ends the others after an epoch
                )
            self.state = "running"
        except OSError as error:
            busy = isinstance(error, BlockingIOError)
            self.state, self.reason = "failed", "another process is at it" if busy else str(error)

    def stop(self, *, at_once: bool) -> None:
        """Ask the run to end after its epoch, or end it, which loses that epoch."""
        (self.folder / STOP).touch()
        if at_once and self.process:
            self.process.kill()

    def look_whether_ended(self) -> bool:
        """Take in how the process ended, if it has."""
        code = self.process.poll() if self.process else 0
        if code is None:
            return False
        stopped = (self.folder / STOP).exists()
        (self.folder / STOP).unlink(missing_ok=True)
        if code == 0 and (not stopped or len(self.seconds()) == self.config.epochs):
            self.state = "finished"
        elif stopped and (code < 0 or (self.folder / LAST).exists()):
            self.state = "interrupted"
        else:
            lines = (self.folder / OUTPUT).read_text(encoding="utf-8", errors="replace").splitlines()
            self.state, self.reason = "failed", next(filter(str.strip, reversed(lines)), f"exit code {code}")
        return True

    def row(self) -> dict[str, Any]:
        """Return what is to be told of the run, as plain values."""
        keys = {"dataset", "protocol", "split_seed", "recipe", "seed"}
        seconds, kept = self.seconds(), self.kept()
        return {
            "run": self.folder.name,
            **self.config.model_dump(include=keys),
            "state": self.state,
            "reason": self.reason,
            "epochs": len(seconds),
            "best_epoch": kept.get("epoch"),
            "val_dice": kept.get("val_dice"),
            "seconds": round(sum(seconds), 1),
            "images_per_second": round(self.images() / sum(seconds), 1) if seconds else None,
        }


class Clock:
    """Says whether runs still start, whether they are to end, and whether they are ended.

    An interruption lets no more start and those that run end after their epoch; a second one ends them at once.
    """

    def __init__(self, minutes: float) -> None:
        self.begun, self.budget_s, self.interruptions, self.stopping = time.monotonic(), minutes * 60, 0, False
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.interrupt)

    def interrupt(self, *_: object) -> None:
        """Count an interruption."""
        self.interruptions += 1

    def spent_s(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self.begun

    def starts(self) -> bool:
        """Whether a run may start."""
        return not (self.interruptions or self.stopping) and self.spent_s() < LAST_STARTS * self.budget_s

    def stops(self, notice_s: float) -> bool:
        """Whether the runs, which need so long to end, must begin to; from then on none starts."""
        self.stopping |= self.interruptions > 0 or self.budget_s - self.spent_s() < notice_s
        return self.stopping

    def kills(self) -> bool:
        """Whether what has not ended is not waited for."""
        return self.interruptions > 1 or self.spent_s() > self.budget_s


def plan(matrix: Matrix, extra: Sequence[str] = ()) -> list[Job]:
    """Return the runs in their order, looked at; raises `ConfigError` for a wrong set, recipe or flag."""
    jobs = []
    for seed, protocol, recipe, name in product(matrix.seeds, matrix.protocols, matrix.recipes, matrix.sets):
        for each in () if name.endswith(".csv") else name.split(UNION):
            dataset(each)
        file = Path(__file__).parents[1] / "configs" / f"{name}.toml"  # what our recipe is on this set
        flags: dict[str, object] = {"config": file} if file.exists() else {}
        flags |= {"dataset": name, "protocol": protocol, "split-seed": seed, "recipe": recipe, "seed": seed}
        flags |= {"data": matrix.data, "weights": matrix.weights}
        words = [word for key, value in flags.items() for word in (f"--{key}", str(value))]
        try:
            _, bound, _ = lvunet.parse_args(["train", *words, *extra], print_error=False, exit_on_error=False)
        except CycloptsError as error:
            raise ConfigError(f"lvunet train {' '.join((*words, *extra))}: {error}") from error
        given = bound.arguments["overrides"]
        config = TrainConfig.read(bound.arguments.get("config"), given.model_dump(include=given.model_fields_set))
        for each in name.split(UNION):
            if (side := side_of(matrix.data / each) or config.size) < config.size:
                raise ConfigError(
                    f"{matrix.data / each} is packed at {side} px, and {recipe} of {name} sees {config.size}: pack it "
                    f"with --size {config.size}, or give -- --size {side}."
                )
        out = matrix.out / config.folder.name
        jobs.append(Job((*words, *extra, "--out", str(out)), config.model_copy(update={"out": out})))
        jobs[-1].look()
    return jobs


def train_all(jobs: Sequence[Job], parallel: int, clock: Clock, tell: Callable[[Job], None]) -> None:
    """Train what is waiting, so many at a time, until the clock says no; `tell` of each as it ends."""
    threads = max(1, len(os.sched_getaffinity(0)) // parallel)
    waiting, running = [job for job in jobs if job.state == "waiting"], list[Job]()
    while running or (waiting and clock.starts()):
        while waiting and len(running) < parallel and clock.starts():
            running.append(waiting.pop(0))
            running[-1].start(threads)
        for job in [job for job in running if job.state == "failed" or job.look_whether_ended()]:
            running.remove(job)
            tell(job)
        epochs_s = [job.config.validate_every * max(job.seconds(), default=0) for job in running]
        if clock.stops(max([GRACE_S, *(1.5 * each for each in epochs_s)])):
            for job in running:
                job.stop(at_once=clock.kills())
        time.sleep(POLL_S)


def gpus() -> list[str]:
    """Return the names of the GPUs, or nothing."""
    query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
    return subprocess.run(query, capture_output=True, text=True).stdout.splitlines() if which(query[0]) else []


@app.default
def main(
    *extra: str,
    matrix: Annotated[Matrix, Parameter(name="*")],
    parallel: Annotated[int, Parameter(validator=Number(gte=1))] = 2,
    budget_minutes: float = float("inf"),
) -> int:
    """Train all runs that are not finished.

    Args:
        extra: After --: flags of `lvunet train` for every run, such as -- --precision bf16.
        parallel: Runs at a time.
        budget_minutes: After so long every run has ended after an epoch, to go on from.
    """
    jobs, clock = plan(matrix, extra), Clock(budget_minutes)
    images = sum(job.images() for job in jobs)

    def publish() -> None:
        trained = sum(job.images() for job in jobs) - images
        facts = {"gpus": gpus(), "parallel": parallel, "extra": extra, "minutes": round(clock.spent_s() / 60, 2)}
        facts |= {"images_per_second": round(trained / clock.spent_s(), 1), "runs": [job.row() for job in jobs]}
        write_json(matrix.out / "matrix.json", asdict(provenance()) | facts)

    def tell(job: Job) -> None:
        row = job.row()
        say(f"{row['run']}: {job.state}, {row['epochs']} epochs, {row['images_per_second']} images/s {job.reason}")
        publish()

    train_all(jobs, parallel, clock, tell)
    publish()
    keys = ("run", "state", "epochs", "val_dice", "images_per_second")
    show("Matrix", keys, [["" if row[key] is None else str(row[key]) for key in keys] for row in map(Job.row, jobs)])
    for job in (each for each in jobs if each.state == "failed"):
        complain(f"{job.folder.name}: {job.reason}")
    return 130 if clock.interruptions else int(any(job.state == "failed" for job in jobs))


if __name__ == "__main__":
    try:
        sys.exit(app(result_action="return_value"))
    except LVUNetError as error:
        complain(str(error))
        sys.exit(2)
