"""The whole path in one call: pictures, deep training, fold, export, proof, evaluation, masks, one report."""

import os
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import which

import numpy as np

from lvunet.benchmark.forms import FormCosts, compare_forms
from lvunet.data.manifest import split_samples
from lvunet.data.phantom import write_phantoms
from lvunet.data.registry import Sample, find_samples
from lvunet.evaluate import report
from lvunet.evaluate.evidence import Evaluation
from lvunet.evaluate.page import Page, write_page
from lvunet.evaluate.pictures import galleries
from lvunet.evaluate.provenance import provenance
from lvunet.evaluate.scoring import score
from lvunet.export.onnx import export_onnx
from lvunet.export.parity import ParityReport
from lvunet.image import read_image, write_image
from lvunet.learn.config import LOG, TrainConfig
from lvunet.learn.train import train
from lvunet.model import load_checkpoint
from lvunet.runtime.batch import segment_files
from lvunet.runtime.segmenter import Segmenter, load

PHANTOMS = 300
STEPS = 720  # of training, on two cores some two minutes; a folder of any size gets about as many
BATCH = 16
SIZE = 128
MOST_EPOCHS = 60
PROVEN_ON = 12  # images of the test part on which parity is proven


def demo(out: Path, data: Path | None, say: Callable[[str], None]) -> Path:
    """Run everything in the folder `out`, on phantoms or on the user's images and masks; return the report's path.

    Run again after an interruption, it goes on. Raises any `LVUNetError`.
    """
    root = data or out / "phantoms"
    if data is None:
        draw_phantoms(root, say)
    samples = find_samples(root)
    split = split_samples(samples, seed=0)
    parts = len(split.train), len(split.val), len(split.test)
    say("{} images to train on, {} to choose the epoch by, {} kept apart".format(*parts))
    run = train(demo_config(root, len(split.train), out / "run"), tell=say)

    say("folding, exporting to ONNX, proving that nothing changed")
    model, card = load_checkpoint(run.best)
    card = replace(card, name="demo model")
    test = split.select(samples, "test")
    artefact = out / "model.onnx"
    proof = export_onnx(model, card, artefact, [read_image(sample.image) for sample in test[:PROVEN_ON]])
    exported = load(artefact)

    say("scoring the exported model on the images kept apart")
    evaluation = Evaluation(score(exported, test), "phantoms" if data is None else root.name, "test", provenance())
    evaluation.write_json(out / "scores.json")
    for result in segment_files(load(artefact, threads=1), [sample.image for sample in test], out / "masks"):
        if result.error:
            say(result.error)
    write_image(out / "picture.png", picture(exported, test))

    say("measuring the forms of the network against each other")
    costs = compare_forms(model, card, artefact, threads=1, rounds=10)
    write_page(out / "report.html", demo_page(evaluation, proof, costs, exported, test, run.folder / LOG))
    say(f"next: {_command()} segment your-photos/ -m {'polyp' if data is None else artefact} --overlays")
    return out / "report.html"


def _command() -> str:
    """Return what a shell here calls `lvunet` by: `make` puts it into an environment that is not entered yet."""
    return "lvunet" if which("lvunet") else os.path.relpath(Path(sys.executable).with_name("lvunet"))


def draw_phantoms(root: Path, say: Callable[[str], None]) -> None:
    """Draw all phantoms of the demo, if there are not all of them yet."""
    if len([*(root / "masks").glob("*.png")]) < PHANTOMS:
        say(f"drawing {PHANTOMS} phantoms: polyp-like, dermoscopy-like and ultrasound-like, with exact masks")
        write_phantoms(root, PHANTOMS, seed=0)


def demo_config(root: Path, images: int, run: Path) -> TrainConfig:
    """Return a configuration that trains a few minutes from scratch, whatever the number of images."""
    return TrainConfig(
        data=root,
        out=run,
        weights=None,
        size=SIZE,
        epochs=max(3, min(MOST_EPOCHS, STEPS * BATCH // max(images, BATCH))),
        batch_size=BATCH,
        optimizer="adamw",
        learning_rate=2e-3,
        warmup=0.05,
    )


def picture(segmenter: Segmenter, samples: list[Sample], columns: int = 6) -> np.ndarray:
    """Return one picture, uint8 RGB: a row of images above what the model outlined in them."""
    spread = np.linspace(0, len(samples) - 1, min(columns, len(samples))).round().astype(int)
    found = [segmenter.segment(samples[k].image) for k in spread]
    side = min(min(each.mask.shape) for each in found)
    pairs = [np.vstack([each.image[:side, :side], each.overlay()[:side, :side]]) for each in found]
    return np.hstack(pairs)


def demo_page(
    evaluation: Evaluation, proof: ParityReport, costs: FormCosts, exported: Segmenter, test: list[Sample], log: Path
) -> Page:
    """Return the report: what it found, what it costs, that its forms agree, how it learned, where it fails."""
    latency = costs.latencies[0]
    note = f"Batch 1, {exported.card.size} x {exported.card.size}, {latency.threads} thread, one alternating run."
    more = (
        report.parity(proof.links),
        report.forms(costs.rows(), note),
        *galleries(exported, test, evaluation.scores),
        report.training(log),
    )
    return report.evaluation_page(evaluation, more)
