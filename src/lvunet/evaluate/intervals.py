"""How sure a mean is: bootstrap intervals over images, or over the groups that the images come in.

The percentile bootstrap of the mean: draw as many images as there are, with replacement, 10,000 times; the interval
holds the middle 95 % of the means. Frames of one video or views of one patient are not independent, so where groups
are given whole groups are drawn. Two models are compared on the differences between their scores of the same images.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from statistics import NormalDist
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from lvunet.errors import EmptyInput, MismatchedPair
from lvunet.evaluate.metrics import Metric
from lvunet.evaluate.scoring import Scores

LEVEL = 0.95
RESAMPLES = 10_000
FEWEST = 10  # independent units from which on an interval is trusted to tell a mean from 0
VERDICTS = (
    f'"Too few": the interval excludes 0, but fewer than {FEWEST} images, or groups of them, are too few to trust it. '
    '"Borderline": it excludes 0 so narrowly that other draws of the bootstrap may include it.'
)
TAIL = (1 - LEVEL) / 2
_NORMAL, _END = NormalDist(), NormalDist().inv_cdf(1 - TAIL)
DRAWN = sqrt(TAIL * (1 - TAIL) / RESAMPLES) / _NORMAL.pdf(_END) / _END  # two standard errors of an end, by the width


@dataclass(frozen=True)
class Interval:
    """A mean over `n` images and the 95 % interval of it, from `clusters` independent units.

    From a single unit no interval can be had: `low` and `high` are then the mean, and `clusters` is 1.
    """

    mean: float
    low: float
    high: float
    n: int
    clusters: int

    @property
    def differs(self) -> bool:
        """Whether the mean, such as that of a difference, is told from 0; see `verdict`."""
        return self.verdict == "yes"

    @property
    def verdict(self) -> Literal["yes", "no", "borderline", "too few"]:
        """Return whether the mean differs from 0: "yes" if the interval leaves 0 out, has 10 units, and always does.

        "too few": the percentile bootstrap is too narrow for fewer; of two units it knows nothing but their own means.
        "borderline": an end lies so near to 0 that other draws would put it on the other side (two standard errors of
        a quantile of 10,000 draws of a normal distribution, 1.4 % of the interval's width).
        """
        from_0 = max(self.low, -self.high)
        if from_0 <= 0:
            return "no"
        if self.clusters < FEWEST:
            return "too few"
        return "yes" if from_0 > DRAWN * (self.high - self.low) else "borderline"

    def range_text(self, decimals: int = 3) -> str:
        """Return ``0.841 to 0.881``, or ``no interval`` where there is none."""
        return "no interval" if self.clusters < 2 else f"{self.low:.{decimals}f} to {self.high:.{decimals}f}"


def mean_interval(values: ArrayLike, clusters: Sequence[str] | None = None, *, seed: int = 0) -> Interval:
    """Return the mean of (N,) values with its bootstrap interval; the same seed gives the same interval.

    `clusters` names, for each value, the unit that is drawn as a whole; by default each value is its own.
    Raises `EmptyInput` if there is no value.
    """
    from scipy.stats import bootstrap

    scores = np.asarray(values, dtype=np.float64)
    if scores.size == 0:
        raise EmptyInput("a mean needs at least one score")
    sums, counts = _per_cluster(scores, clusters)
    mean = float(scores.mean())
    if len(sums) == 1:
        return Interval(mean, mean, mean, n=len(scores), clusters=1)
    result = bootstrap(
        (sums, counts),
        _pooled_mean,
        paired=True,
        vectorized=True,
        n_resamples=RESAMPLES,
        batch=max(1, 2**20 // len(sums)),  # a few dozen MB, however many images
        confidence_level=LEVEL,
        method="percentile",
        rng=np.random.default_rng(seed),
    )
    low, high = (float(end) for end in result.confidence_interval)
    return Interval(mean, low, high, n=len(scores), clusters=len(sums))


def score_interval(scores: Scores, metric: Metric, class_name: str | None = None) -> Interval:
    """Return the mean of one metric over the images, drawn by group where there are groups; see `Scores.values`."""
    return mean_interval(scores.values(metric, class_name), scores.clusters)


def paired_difference(ours: Scores, theirs: Scores, metric: Metric) -> Interval:
    """Return the mean of ours - theirs on the same images; see `Interval.differs`.

    The order of the images does not matter. Raises `MismatchedPair` if the two tables are not of the same ids.
    """
    if len(ours.class_names) != len(theirs.class_names):
        raise MismatchedPair(f"{ours.model} and {theirs.model} have different classes; only equal ones compare.")
    rows, others = ({image.id: i for i, image in enumerate(scores.images)} for scores in (ours, theirs))
    odd = sorted(rows.keys() ^ others.keys())
    if odd:
        raise MismatchedPair(f"only the same images can be compared; in one table only: {', '.join(odd)}")
    order = [others[key] for key in rows]
    return mean_interval(ours.values(metric) - theirs.values(metric)[order], ours.clusters)


def _per_cluster(
    scores: NDArray[np.float64], clusters: Sequence[str] | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the sum and the number of scores of each cluster, (C,) each."""
    if clusters is None:
        return scores, np.ones_like(scores)
    _, index = np.unique(np.asarray(clusters), return_inverse=True)
    return np.bincount(index, weights=scores).astype(np.float64), np.bincount(index).astype(np.float64)


def _pooled_mean(sums: NDArray[np.float64], counts: NDArray[np.float64], axis: int = -1) -> NDArray[np.float64]:
    return np.asarray(sums.sum(axis=axis) / counts.sum(axis=axis))
