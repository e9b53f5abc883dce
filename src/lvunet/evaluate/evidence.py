"""One evaluation as evidence: the scores with data set, split, intervals, commit and machine, as JSON."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from lvunet.evaluate.intervals import LEVEL, RESAMPLES, Interval, score_interval
from lvunet.evaluate.metrics import METRICS, POLICY, Metric
from lvunet.evaluate.page import Page, Table, write_page
from lvunet.evaluate.provenance import Provenance
from lvunet.evaluate.scoring import ImageScore, Scores
from lvunet.image import atomic_write


@dataclass(frozen=True)
class Evaluation:
    """Scores that can be published: of which data and split, by which commit, where and when.

    `seen` is how many of the images the model is known to have seen in training.
    """

    scores: Scores
    dataset: str
    split: str
    provenance: Provenance
    seen: int = 0

    @cached_property
    def intervals(self) -> dict[Metric, Interval]:
        """The mean of each metric with its interval."""
        return {metric: score_interval(self.scores, metric) for metric in METRICS}

    @cached_property
    def kinds(self) -> dict[str, Interval]:
        """The Dice over lesions, the images with something to outline, and over normals, where there are both.

        Over normals it is the share of images without a false alarm.
        """
        images = self.scores.images
        lesions, normals = (tuple(image for image in images if bool(image.truth_px) is kind) for kind in (True, False))
        if not (lesions and normals):
            return {}
        parts = {"lesions": lesions, "normals": normals}
        return {name: score_interval(replace(self.scores, images=part), "dice") for name, part in parts.items()}

    @property
    def caveat(self) -> str:
        """What must be said of it wherever it is shown; nothing of a true test."""
        return f" {self.seen} of them were seen in training: this is no test." if self.seen else ""

    @property
    def method(self) -> str:
        """How the intervals were made, in a few words."""
        dice = self.intervals["dice"]
        unit = "images" if dice.clusters == dice.n else f"{dice.clusters} groups"
        return f"{LEVEL * 100:g} % percentile bootstrap of the mean over {unit}, {RESAMPLES:,} resamples"

    def medians(self) -> dict[Metric, float]:
        """Return the median of each metric over the images."""
        return {metric: float(np.median(self.scores.values(metric))) for metric in METRICS}

    def record(self) -> dict[str, Any]:
        """Return everything as plain values for JSON, the score of each image included."""
        scores, medians = self.scores, self.medians()
        return {
            "model": scores.model,
            "dataset": self.dataset,
            "split": self.split,
            "n": len(scores.images),
            "seen_in_training": self.seen,
            "metrics": {key: asdict(self.intervals[key]) | {"median": medians[key]} for key in METRICS},
            **{name: asdict(dice) for name, dice in self.kinds.items()},
            "intervals": self.method,
            "classes": list(scores.class_names),
            "tolerance_px": scores.tolerance_px,
            "policy": POLICY,
            "missed": sum(image.missed for image in scores.images),
            "false_alarms": sum(image.false_alarm for image in scores.images),
            "unscored": [asdict(case) for case in scores.unscored],
            "paper_metric": asdict(scores.paper) if scores.paper else None,
            **asdict(self.provenance),
            "images": [_row(image) for image in scores.images],
        }

    def write_json(self, path: Path | str) -> None:
        """Write the record, whole or not at all; raises `OutputError`."""
        write_json(path, self.record())


def write_json(path: Path | str, record: object) -> None:
    """Write plain values, whole or not at all; raises `OutputError`."""
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def publish(folder: Path, evaluation: Evaluation, tables: Sequence[Table], page: Page) -> Path:
    """Write scores.json, scores.md and report.html to a folder; return the last. Raises `OutputError`."""
    evaluation.write_json(folder / "scores.json")
    parts = [f"# {page.title}\n\n{page.lead}\n", *(f"## {table.title}\n\n{table.markdown()}" for table in tables)]
    with atomic_write(folder / "scores.md") as partial:
        partial.write_text("\n".join((*parts, *page.footer)) + "\n", encoding="utf-8")
    write_page(folder / "report.html", page)
    return folder / "report.html"


def _row(image: ImageScore) -> dict[str, Any]:
    counts = {"truth_px": image.truth_px, "prediction_px": image.prediction_px}
    classes = {"classes": [asdict(each) for each in image.classes]} if len(image.classes) > 1 else {}
    return {"id": image.id, "group": image.group, **asdict(image.mean), **counts, **classes}
