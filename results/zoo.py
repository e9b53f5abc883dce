"""Puts a trained model into the package, with its card: `python results/zoo.py NAME RUN DATASETS [RESULTS [ZOO]]`.

RUN holds the export, model.onnx. DATASETS holds the sets that it was tested on: the card outlines its worst
cases. RESULTS holds the records: of accuracy (`lvunet evaluate --all`), and where there are any of robustness, quality.
"""

import json
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from io import StringIO
from operator import itemgetter
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from matplotlib import rc_context
from matplotlib.figure import Figure
from results.section import leaks

from lvunet.card import INTENDED_USE, Card
from lvunet.data.registry import DATASETS, DataSet
from lvunet.data.selection import UNION, choose
from lvunet.errors import ArtefactError, ConfigError
from lvunet.evaluate.evidence import write_json
from lvunet.evaluate.scoring import Outlined, outline
from lvunet.export.onnx import write_onnx
from lvunet.image import atomic_write, resize
from lvunet.learn.config import ARTEFACT, MANIFEST, TrainConfig
from lvunet.learn.recipe import RECIPES
from lvunet.runtime.onnx_backend import METADATA_KEY
from lvunet.runtime.segmenter import load
from lvunet.runtime.zoo import ZOO, Bundled, Score, bundled

Record = dict[str, Any]
HERE = Path(__file__).parent
MOST_BYTES = 2_500_000
WORST = 8
OUTLINE_PX = 64  # the longer side at which a mask is outlined: its shape, and no more
INTERVAL = ("mean", "low", "high")
OF_THE_RUN = {"data", "out"}  # what the training command leaves out
PATHS = {"data", "out", "weights", "init", "teacher"}  # keys of a training that may name folders of its machine
GOOGLES = "mobilenet_v3_large_features_imagenet"  # of ../shared/pretrained
RESEARCH_ONLY = (
    " as far as the terms of the data allow, and these are for research. Whether weights inherit them is a question "
    "for your lawyer; for commercial use ask the owners of the data."
)


@dataclass(frozen=True)
class Purpose:
    """What a model is for, and what is known of its limits before anything is measured."""

    outlines: str
    limits: tuple[str, ...]


ALWAYS_SOMETHING = "Every image of its training has something to outline: it may find something where there is nothing."
STILLS = "Single images only: it was never tested on video."
NO_KINDS = "It outlines; it does not tell one kind of lesion from another."
ONE_HOSPITAL = "One hospital, still images chosen by hand, some with marks in them: expect less elsewhere."
POLYPS = Purpose("polyps in colonoscopy frames", (ALWAYS_SOMETHING, STILLS, "Few hospitals: expect less elsewhere."))
PURPOSES = {
    "kvasir-seg": POLYPS,
    "polyp": POLYPS,
    "skin": Purpose(
        "skin lesions in dermoscopic images",
        (
            ALWAYS_SOMETHING,
            "Dermoscopy of one lesion, mostly in the middle: it was never tested on plain photographs.",
            "Which skin tones and body sites its data has is not known here: test it on those that you see.",
            NO_KINDS,
        ),
    ),
    "breast-ultrasound": Purpose("lesions in breast ultrasound images", (STILLS, ONE_HOSPITAL, NO_KINDS)),
}


@dataclass(frozen=True)
class Worst:
    """A test image that went badly."""

    dice: float
    seen: Outlined


def main(name: str, run: Path, datasets: Path, results: Path = HERE, zoo: Path = ZOO) -> None:
    """Write NAME.onnx, NAME.json, NAME.svg and NAME.md, and the index of the zoo, to the folder of the zoo."""
    if name not in PURPOSES:
        raise ConfigError(f"say in PURPOSES of {__file__} what {name!r} is for. Known: {', '.join(PURPOSES)}.")
    source, artefact = run / ARTEFACT, zoo / f"{name}.onnx"
    trained = load(source).card
    tests = of_model(trained, "accuracy", results)
    if not tests:
        raise ConfigError(f"{results} has no accuracy of {source}: run `lvunet evaluate --all` on {run} first.")
    runs_of(trained)  # before anything is written
    worst = worst_cases(source, tests, datasets)
    card = put(source, name, artefact)
    model = facts(card, artefact, tests, run)
    write_json(zoo / f"{name}.json", asdict(model))
    for path, text in {f"{name}.svg": drawn(worst), **pages(results, zoo)}.items():
        with atomic_write(zoo / path) as partial:
            partial.write_text(text, encoding="utf-8")


def pages(results: Path = HERE, zoo: Path = ZOO) -> dict[str, str]:
    """Return the cards of all models, and their index, each under the name of its file, as the records now have it."""
    models, cards = bundled(zoo).values(), {}
    for model in models:
        artefact = zoo / f"{model.name}.onnx"
        card = load(artefact).card
        cards[f"{model.name}.md"] = card_page(card, model, artefact, of_model(card, "accuracy", results), results)
    return {**cards, "README.md": rendered("index.md.jinja", models=models, intended_use=INTENDED_USE)}


def of_model(card: Card, kind: str, results: Path) -> list[Record]:
    """Return the records of one kind that are of the very weights of a model, in order of their names."""
    paths = sorted(results.glob(f"{kind}-*.json"))
    records = [json.loads(path.read_text(encoding="utf-8")) | {"file": f"results/{path.name}"} for path in paths]
    return [record for record in records if record.get("source_sha256") == card.source_sha256]


def put(source: Path, name: str, target: Path) -> Card:
    """Copy an artefact under a new name, which it bears inside too, without the folders of the machine that trained it.

    Return its card. Raises `ArtefactError`.
    """
    model, card = onnx.load(source), load(source).card
    training = without_folders(card.training)
    if before := training.get("before"):
        before["name"] = in_the_zoo(before, target.parent)
    card = replace(card, name=name, training=training)
    model.graph.name = name
    onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    with atomic_write(target) as partial:
        write_onnx(model, partial)
        if (size_bytes := partial.stat().st_size) >= MOST_BYTES:
            raise ArtefactError(f"{source} has {size_bytes:,} bytes; a model of the package has under {MOST_BYTES:,}.")
    return card


def in_the_zoo(run: Record, zoo: Path) -> str:
    """Return the name of the model of the zoo that a training made, or else its own."""
    made = {str(load(zoo / f"{name}.onnx").card.training.get("calibration")): name for name in bundled(zoo)}
    return made.get(str(run.get("calibration", run["name"])), str(run["name"]))


def without_folders(training: Record) -> Record:
    """Return what a card says of a training, and of those before it, with paths cut to their last component."""

    def cut(key: str, value: Any) -> Any:
        if isinstance(value, dict):
            return without_folders(value)
        if key in PATHS and isinstance(value, list):
            return [Path(each).name for each in value]
        return Path(value).name if key in PATHS and isinstance(value, str) else value

    return {key: cut(key, value) for key, value in training.items()}


def facts(card: Card, artefact: Path, tests: Sequence[Record], run: Path) -> Bundled:
    """Return what `lvunet weights` knows of a model."""
    split = json.loads((run / MANIFEST).read_text(encoding="utf-8"))["split"]
    runs, sets = runs_of(card), sets_of(card)
    earlier = "".join(f"; gone on from {each['name']} ({data_of(each)})" for each in runs[1:])
    taught = any(each["config"].get("teacher") for each in runs)
    free = not taught and all(each.terms.startswith("CC0") for each in sets)
    return Bundled(
        name=card.name,
        outlines=PURPOSES[card.name].outlines,
        trained_on=f"{data_of(runs[0])}: {len(split['train']):,} images, "
        f"and {len(split['val']):,} to choose the epoch{earlier}",
        scores=tuple(
            Score(test["dataset"], test["split"], test["n"], *(test["metrics"]["dice"][key] for key in INTERVAL))
            for test in tests
        ),
        data_terms=tuple(f"{each.title}: {each.terms}" for each in sets),
        weights_terms=f"{card.licence}{'.' if free else RESEARCH_ONLY}",
        source_sha256=card.source_sha256,
        sha256=sha256(artefact.read_bytes()).hexdigest(),
    )


def runs_of(card: Card) -> list[Record]:
    """Return what a card says of its training, and of each that it went on from, the latest first.

    Raises `ConfigError` for one whose data is not known: nobody could say on which terms it was used.
    """
    runs: list[Record] = []
    run: Record | None = card.training
    while run is not None:
        if not DATASETS.keys() >= set(names_of(run)):
            raise ConfigError(f"{run.get('name', card.name)} was not trained on known sets (`lvunet data list`) alone.")
        runs.append(run)
        run = run.get("before")
    return runs


def names_of(run: Record) -> list[str]:
    """Return the names of the sets of one training; one that is not a set where it does not say."""
    return str(run.get("config", {}).get("dataset")).split(UNION)


def data_of(run: Record) -> str:
    """Return the sets of one training and their split, in words."""
    titles = " and ".join(DATASETS[name].title for name in names_of(run))
    return f"{titles}, split {run['config']['protocol']}-{run['config']['split_seed']}"


def sets_of(card: Card) -> list[DataSet]:
    """Return the public sets that a model has seen, in its training or before."""
    return [DATASETS[name] for name in dict.fromkeys(name for run in runs_of(card) for name in names_of(run))]


def worst_cases(artefact: Path, tests: Sequence[Record], datasets: Path) -> list[Worst]:
    """Return the test images of lowest Dice, segmented anew."""
    segmenter = load(artefact)
    config = segmenter.card.training["config"]
    lowest = sorted((image["dice"], test["dataset"], image["id"]) for test in tests for image in test["images"])
    worst = []
    for dice, dataset, key in lowest[:WORST]:
        samples, _ = choose(datasets / dataset, "test", dataset, config["protocol"], config["split_seed"])
        worst.append(Worst(dice, outline(segmenter, next(sample for sample in samples if sample.id == key))))
    return worst


def drawn(worst: Sequence[Worst]) -> str:
    """Return an SVG with the outlines of truth (wide) and prediction (narrow), and nothing of the images."""
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "zoo", "axes.linewidth": 0.5}):
        figure = Figure(figsize=(8, 4.4), layout="constrained", facecolor="white")
        for axes, case in zip(figure.subplots(2, WORST // 2).flat, worst, strict=False):
            whole = case.seen.truth.shape
            height, width = (max(2, round(side * OUTLINE_PX / max(whole))) for side in whole)
            axes.set(xlim=(0, width), ylim=(height, 0), xticks=[], yticks=[], aspect="equal")
            axes.set_title(f"{case.seen.id}\nDice {case.dice:.3f}", fontsize=6)
            for mask, colour, line in ((case.seen.truth, "#e69f00", 3), (case.seen.prediction, "#0072b2", 1)):
                shape = resize((mask > 0).astype(np.float32), (height, width))
                if shape.min() < 0.5 < shape.max():
                    axes.contour(shape, levels=[0.5], colors=colour, linewidths=line)
        out = StringIO()
        figure.savefig(out, format="svg", metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")))
    return "".join(f"{line.rstrip()}\n" for line in out.getvalue().splitlines())


def card_page(card: Card, model: Bundled, artefact: Path, tests: Sequence[Record], results: Path) -> str:
    """Return the card of a model for people, as Markdown; `tests` are its records of accuracy, at least one."""
    return rendered(
        "card.md.jinja",
        card=card,
        model=model,
        megabytes=artefact.stat().st_size / 1e6,
        tests=tests,
        largest_change=max(abs(test["forms"]["onnx"]["minus_trained"]) for test in tests),
        robustness=robustness(card, results),
        quality=of_model(card, "quality", results),
        leaked=leaks(),
        runs=runs_of(card),
        sets=sets_of(card),
        google=GOOGLES,
        command=command(card),
        limits=PURPOSES[card.name].limits,
    )


def robustness(card: Card, results: Path) -> Record | None:
    """Return the latest record of robustness that has a model, reduced to what it says of it."""
    found = []
    for path in sorted(results.glob("robustness-*.json")):
        record = json.loads(path.read_text(encoding="utf-8"))
        for name in (key for key, each in record["models"].items() if each["source_sha256"] == card.source_sha256):
            matrix = [cell for cell in record["matrix"] if cell["model"] == name]
            mine: Record = {"file": f"results/{path.name}", "matrix": matrix, "spoilt": record["corruptions"][name]}
            found.append(record | mine)
    return max(found, key=itemgetter("date"), default=None)


def rendered(template: str, **values: Any) -> str:
    """Return a page of `zoo_pages`."""
    pages = Environment(
        loader=FileSystemLoader(HERE / "zoo_pages"), trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined
    )
    pages.filters["ranged"] = lambda each: f"{each['mean']:.3f} ({each['low']:.3f} to {each['high']:.3f})"
    pages.filters["data"] = data_of
    return pages.get_template(template).render(values).strip() + "\n"


def command(card: Card) -> str:
    """Return the command of the training: its recipe, and all that differs from that."""
    config, before = card.training["config"], card.training.get("before")
    config = config | {"recipe": config.get("recipe", "paper"), "init": before["name"] if before else None}
    chosen = {key: config[key] for key in ("recipe", "init")}
    start = TrainConfig.read(None, chosen).model_dump(mode="json")  # what --init brings about, too
    start |= {"recipe": "paper", "init": RECIPES[config["recipe"]].get("init")}
    words = ["lvunet", "train", "--data", "FOLDER"]
    for key in (key for key in start if key in config and config[key] != start[key] and key not in OF_THE_RUN):
        value = config[key]
        for each in value if isinstance(value, list) else ["none" if value is None else value]:
            words += [f"--{key.replace('_', '-')}", *([] if each is True else [str(each)])]
    return shlex.join(words)


if __name__ == "__main__":
    main(sys.argv[1], *map(Path, sys.argv[2:]))
