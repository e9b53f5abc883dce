"""Accuracy as evidence: a training run, scored in each of its forms on the test part of the split it was trained under.

One record a data set, `accuracy-<data set>-<protocol>-<split seed>-<recipe>-s<seed>-e<epochs>.json`: the evaluation of
the ONNX form, what the training took, and that folding and exporting changed nothing.
"""

import csv
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

from lvunet.benchmark.standings import Record, read_records
from lvunet.card import Card
from lvunet.data.registry import DATASETS, Sample
from lvunet.data.selection import PICTURES, UNION, choose, samples_of, unseen
from lvunet.errors import CheckpointError, ConfigError, EmptyInput, ParityError
from lvunet.evaluate.evidence import Evaluation
from lvunet.evaluate.intervals import paired_difference, score_interval
from lvunet.evaluate.provenance import provenance
from lvunet.evaluate.scoring import Scores, score
from lvunet.export.onnx import export_onnx
from lvunet.export.parity import ParityReport
from lvunet.fold import fold
from lvunet.image import atomic_write, read_image
from lvunet.learn.config import BEST, LOG, MANIFEST, TrainConfig
from lvunet.learn.recipe import RECIPES
from lvunet.model import LVUNet, load_checkpoint
from lvunet.runtime.segmenter import Segmenter, load
from lvunet.runtime.torch_backend import TorchSegmenter

FORM_TOLERANCE = 0.0005  # of the mean Dice of two forms of one model; issue 3
COLUMNS = ("id", "group", "dice", "iou", "hd95_px", "nsd", "truth_px", "prediction_px")  # the others follow from these
DECIMALS = 6
OF_FILES = ("init", "teacher", "weights")  # keys whose values are files
DEFAULTS = TrainConfig().model_dump(mode="json")
UNCOUNTED = {  # keys that do not make another recipe: where, on what, how long, and on which machine
    *("recipe", "data", "dataset", "protocol", "split_seed", "out", "weights", "seed", "epochs", "validate_every"),
    *("accelerator", "devices", "precision", "deterministic", "cuda_graphs"),
}


@dataclass(frozen=True)
class HeldOut:
    """The images that a run is scored on: of which data set, and which split, such as `paper-0`.

    `left_out` are the ids of its test part that are not among them; see `unseen`.
    """

    dataset: str
    split: str
    samples: tuple[Sample, ...]
    left_out: tuple[str, ...] = ()


@dataclass(frozen=True)
class TrainedRun:
    """What a training run left behind: the network that it chose, what it wrote of itself, and what it took.

    `epochs` are those that were trained, which took `seconds`.
    """

    folder: Path
    model: LVUNet
    card: Card
    manifest: Mapping[str, Any]
    epochs: int
    seconds: float

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the folder of a run; raises `CheckpointError` for one that is damaged, or none."""
        model, card = load_checkpoint(folder / BEST)
        try:
            manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            with (folder / LOG).open(encoding="utf-8", newline="") as file:
                rows = list(csv.DictReader(file))
            seconds = sum(float(row["seconds"]) for row in rows)
            named = replace(card, name=folder.resolve().name)
            return cls(folder, model, named, manifest, int(rows[-1]["epoch"]) + 1, seconds)
        except (OSError, ValueError, LookupError, TypeError) as error:
            raise CheckpointError(f"{folder} needs the {MANIFEST} and {LOG} of its training: {error!r}") from error

    @property
    def config(self) -> Mapping[str, Any]:
        """The configuration that it was trained with."""
        config: Mapping[str, Any] = self.card.training["config"]
        return config

    @property
    def label(self) -> str:
        """What tells it from other runs on the same split: recipe, the sets if several, seed and epochs."""
        union = f"-{self.config['dataset']}" if len(self.datasets) > 1 else ""
        return f"{recipe_name(self.config)}{union}-s{self.config['seed']}-e{self.epochs}"

    @property
    def datasets(self) -> tuple[str | None, ...]:
        """The known sets that it was trained on, or else its one table of splits, or None."""
        dataset = self.config["dataset"]
        names = tuple((dataset or "").split(UNION))
        return names if DATASETS.keys() >= set(names) else (dataset,)

    def tests(self, data: Path) -> list[HeldOut]:
        """Return the test parts of its sets, each in the folder of its name in `data`, or in `data` itself.

        Raises `ConfigError` for the folder of another set: some have ids in common; and what `unseen` does.
        """
        return [self._test(data, dataset) for dataset in self.datasets]

    def _test(self, data: Path, dataset: str | None) -> HeldOut:
        known = DATASETS.get(dataset or "")
        found = len(samples_of(data, dataset))
        if known and found not in (known.images, known.listed):
            raise ConfigError(f"{data}: has {found} images; {known.name} has {known.images}. Is it the whole set?")
        samples, words = choose(data, "test", dataset, self.config["protocol"], self.config["split_seed"])
        if dataset is None and {sample.id for sample in samples} != set(self.manifest["split"]["test"]):
            raise ConfigError(f"{data} is not the folder that {self.folder} was trained on: it has another test part.")
        name = known.name if known else data.resolve().name
        kept, seen = unseen(self.card.training, samples)
        return HeldOut(name, words.removesuffix(" test"), tuple(kept), tuple(seen))

    @property
    def finished(self) -> bool:
        """Whether its training returned: it then calibrated what it chose, or from before that has all its epochs."""
        return "calibration" in self.card.training or self.epochs >= self.config["epochs"]

    def is_published(self, results: Path) -> bool:
        """Whether the records of this very network, one a data set, are in `results`, and newer than its checkpoint."""
        made, this = (self.folder / BEST).stat().st_mtime, (self.card.name, self.card.source_sha256)
        records = read_records(results).items()
        same = [path for path, record in records if (record["model"], record["source_sha256"]) == this]
        return sum(path.stat().st_mtime > made for path in same) >= len(self.datasets)

    def facts(self) -> dict[str, Any]:
        """Return what a record says of the training, as plain values."""
        return {
            "recipe": recipe_name(self.config),
            "seed": self.config["seed"],
            "epochs": self.epochs,
            "images_seen": self.epochs * len(self.manifest["split"]["train"]),
            "training_seconds": round(self.seconds),
            "training_provenance": self.manifest["provenance"],
            "training": {key: value for key, value in self.card.training.items() if key != "seen"},
            "source_sha256": self.card.source_sha256,
        }


def recipe_name(config: Mapping[str, Any]) -> str:
    """Return the name of a recipe, and the keys in which a training changed it, such as `paper-loss=batch-size=384`.

    A key that it lacks had its default; one that is gone since does not count. `weights` is there for scratch.
    """
    name = str(config.get("recipe", "paper"))
    used, meant = {**DEFAULTS, **config}, {**DEFAULTS, **RECIPES.get(name, {})}
    changed = [key for key in DEFAULTS.keys() - UNCOUNTED if used[key] != meant[key]]
    if meant["weights"] and not used["weights"]:
        changed.append("weights")
    return "-".join((name, *(key if key in OF_FILES else f"{key}={used[key]}" for key in sorted(changed))))


def find_runs(folder: Path) -> list[Path]:
    """Return the folders of all runs of LV-UNet in a folder or below that have kept a network; raises `EmptyInput`.

    Runs of its peers are passed over: they do not fold, and `results/peers.py` scores them.
    """
    runs = sorted(path.parent for path in folder.rglob(BEST) if not _is_of_peer(path.parent))
    if not runs:
        raise EmptyInput(
            f"no {BEST} of an LV-UNet below {folder}: name the folder that holds the runs of `lvunet train`."
        )
    return runs


def publish_run(run: Path, data: Path, results: Path) -> list[Path]:
    """Score a training run on the test parts of its sets; write one record a set to `results`, and return them.

    `data` is the folder of the set, or of several, each by its name. Nothing is written if any of it fails: raises
    `ParityError` if the forms differ, `ConfigError` if a record of the same name is of another run, and what `unseen`
    does.
    """
    trained, there = TrainedRun.read(run), read_records(results)
    tests = {}
    for test in trained.tests(data):
        path = results / f"accuracy-{test.dataset}-{test.split}-{trained.label}.json"
        if path in there and there[path]["model"] != trained.card.name:
            raise ConfigError(
                f"{path} is of the run {there[path]['model']}, not of {run}: write to another folder, "
                "or delete the record."
            )
        tests[path] = test
    with TemporaryDirectory() as scratch:
        forms, proof = _forms(
            trained, Path(scratch) / "model.onnx", [s for test in tests.values() for s in test.samples]
        )
        records = {path: _record(trained, test, forms, proof) for path, test in tests.items()}
    for path, record in records.items():
        _write(path, record)
    return list(records)


def agreement_of_forms(scores: Mapping[str, Scores]) -> dict[str, Any]:
    """Return the mean Dice of each form of a model with its interval, and how far it is from that of form "trained".

    Raises `ParityError` if that is further than `FORM_TOLERANCE`.
    """
    forms = {}
    for form, each in scores.items():
        apart = paired_difference(each, scores["trained"], "dice").mean
        if not abs(apart) <= FORM_TOLERANCE:
            raise ParityError(
                f"{each.model}: the {form} form has a mean Dice of {apart:+.5f} to the trained one, more than "
                f"{FORM_TOLERANCE:g} apart. No record was written; report it."
            )
        forms[form] = {"dice": asdict(score_interval(each, "dice")), "minus_trained": apart}
    return forms


def _is_of_peer(run: Path) -> bool:
    """Whether a run says that it is of another network; `TrainedRun.read` complains of one that says nothing."""
    try:
        manifest = json.loads((run / MANIFEST).read_text(encoding="utf-8"))
        return bool(manifest["config"].get("network", DEFAULTS["network"]) != DEFAULTS["network"])
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return False


def _forms(trained: TrainedRun, artefact: Path, samples: Sequence[Sample]) -> tuple[dict[str, Segmenter], ParityReport]:
    """Return the trained, the folded and the exported form, and the proof of the last, on some of the samples."""
    model, card = trained.model, trained.card
    spread = samples[:: -(-len(samples) // PICTURES)]
    proof = export_onnx(model, card, artefact, [read_image(sample.image) for sample in spread])
    networks = {"trained": TorchSegmenter(model, card), "folded": TorchSegmenter(fold(model), card)}
    return {**networks, "onnx": load(artefact, threads=1)}, proof


def _record(trained: TrainedRun, test: HeldOut, forms: Mapping[str, Segmenter], proof: ParityReport) -> Record:
    scores = {form: score(segmenter, test.samples) for form, segmenter in forms.items()}
    return {
        **trained.facts(),
        "test_images_left_out": list(test.left_out),
        "forms": agreement_of_forms(scores),
        "parity": [asdict(link) for link in proof.links],
        **Evaluation(scores["onnx"], test.dataset, f"{test.split} test", provenance()).record(),
    }


def _write(path: Path, record: Record) -> None:
    """Write a record, whole or not at all, with one line an image; raises `OutputError`."""
    facts = json.dumps({key: value for key, value in record.items() if key != "images"}, indent=1)
    rows = ({key: _rounded(image[key]) for key in COLUMNS} for image in record["images"])
    images = ",\n  ".join(json.dumps(row) for row in rows)
    with atomic_write(path) as partial:
        partial.write_text(f'{facts[:-2]},\n "images": [\n  {images}\n ]\n}}\n', encoding="utf-8")


def _rounded(value: str | float) -> str | float:
    return round(value, DECIMALS) if isinstance(value, float) else value
