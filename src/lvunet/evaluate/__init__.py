"""Scores models honestly: every image, an interval for every mean, and a report that shows the failures."""

from lvunet.evaluate.evidence import Evaluation
from lvunet.evaluate.intervals import Interval, mean_interval, paired_difference
from lvunet.evaluate.metrics import Agreement, agreement
from lvunet.evaluate.provenance import provenance
from lvunet.evaluate.scoring import Case, ImageScore, Scores, Unscored, score, score_masks

__all__ = [
    "score",
    "score_masks",
    "Scores",
    "ImageScore",
    "Unscored",
    "Case",
    "agreement",
    "Agreement",
    "Interval",
    "mean_interval",
    "paired_difference",
    "Evaluation",
    "provenance",
]
