"""Tests, on images that nothing was fitted on, whether a model knows when its mask is not to be trusted."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lvunet.errors import ConfigError, EmptyInput, MismatchedPair
from lvunet.evaluate.calibration import PIXELS, Values, expected_calibration_error, mean_dice
from lvunet.evaluate.intervals import LEVEL, Interval
from lvunet.evaluate.scoring import Case, Segmenter
from lvunet.image import read_image, read_masks

RESAMPLES = 1000
METHOD = (
    f"{LEVEL * 100:g} % percentile bootstrap over images or their groups, {RESAMPLES:,} resamples; AURC is the mean, "
    "over all shares of images kept, of 1 - Dice of those kept"
)


@dataclass(frozen=True)
class Judged:
    """One image: the Dice that the model expected of its own mask, and the Dice that the mask has."""

    id: str
    group: str
    expected_dice: float
    dice: float


@dataclass(frozen=True)
class Trust:
    """How far the expected Dice of a model can be relied on; `images` is never empty.

    `ece` is of `PIXELS` random pixels of each image.
    """

    model: str
    temperature: float
    images: tuple[Judged, ...]
    ece: float

    @property
    def expected(self) -> Values:
        """The expected Dice of each image, (N,)."""
        return np.array([image.expected_dice for image in self.images])

    @property
    def dice(self) -> Values:
        """The true Dice of each image, (N,)."""
        return np.array([image.dice for image in self.images])

    @cached_property
    def mean_absolute_error(self) -> Interval:
        """How far the expected Dice is off, on average."""
        return self._interval(lambda expected, dice: float(np.abs(expected - dice).mean()))

    @property
    def constant_error(self) -> float:
        """How far it would be off if it expected of every mask the mean Dice of these images."""
        return float(np.abs(self.dice - self.dice.mean()).mean())

    @cached_property
    def rank_correlation(self) -> Interval:
        """Spearman's correlation of expected and true Dice."""
        return self._interval(rank_correlation)

    @cached_property
    def aurc(self) -> Interval:
        """The area under the risk-coverage curve; see `best_aurc` and `random_aurc`."""
        return self._interval(lambda expected, dice: float(risk_coverage(dice, expected).mean()))

    @property
    def best_aurc(self) -> float:
        """The area of an oracle, which leaves out the lowest true Dice first."""
        return float(risk_coverage(self.dice, self.dice).mean())

    @property
    def random_aurc(self) -> float:
        """The area of leaving out images at random: the mean of 1 - Dice."""
        return float(1 - self.dice.mean())

    def dice_of_kept(self, share: float) -> float:
        """Return the mean Dice of this share of the images, 0 to 1, those that the model trusts most; at least one."""
        return float(1 - risk_coverage(self.dice, self.expected)[max(round(share * len(self.images)), 1) - 1])

    def record(self) -> dict[str, Any]:
        """Return everything as plain values for JSON."""
        measured = {
            "mean_absolute_error": self.mean_absolute_error,
            "rank_correlation": self.rank_correlation,
            "aurc": self.aurc,
        }
        return {
            "model": self.model,
            "n": len(self.images),
            "temperature": self.temperature,
            "ece": self.ece,
            **{name: {"value": each.mean, "low": each.low, "high": each.high} for name, each in measured.items()},
            "constant_mean_absolute_error": self.constant_error,
            "aurc_oracle": self.best_aurc,
            "aurc_random": self.random_aurc,
            "dice_of_kept": {f"{share:.0%}": self.dice_of_kept(share) for share in (1, 0.9, 0.8, 0.7, 0.5)},
            "method": METHOD,
            "images": [asdict(image) for image in self.images],
        }

    def _interval(self, statistic: Callable[[Values, Values], float]) -> Interval:
        """Bootstrap a statistic of expected and true Dice over the groups of images; of one group there is none."""
        from scipy.stats import bootstrap

        _, unit = np.unique([image.group or image.id for image in self.images], return_inverse=True)
        members = [np.flatnonzero(unit == number) for number in range(unit.max() + 1)]
        value, n = statistic(self.expected, self.dice), len(self.images)
        if len(members) == 1:
            return Interval(value, value, value, n, 1)

        def of_drawn(units: NDArray[np.int64]) -> float:
            drawn = np.concatenate([members[number] for number in units])
            return statistic(self.expected[drawn], self.dice[drawn])

        result = bootstrap(
            (np.arange(len(members)),),
            of_drawn,
            vectorized=False,
            n_resamples=RESAMPLES,
            confidence_level=LEVEL,
            method="percentile",
            rng=np.random.default_rng(0),
        )
        low, high = (float(end) for end in result.confidence_interval)
        return Interval(value, low, high, n, len(members))


def judge(segmenter: Segmenter, cases: Iterable[Case]) -> Trust:
    """Segment cases that the model was not fitted on, and hold what it expects against what is true.

    Raises `ConfigError` for a model that was not calibrated, `EmptyInput` for no case, and what reading a case raises.
    """
    card, random = segmenter.card, np.random.default_rng(0)
    images, probabilities, labels = [], [], []
    for case in cases:
        image, truth = read_image(case.image), read_masks(case.masks, card.classes)
        if truth.shape != image.shape[:2]:
            raise MismatchedPair(f"{case.id}: the mask is {truth.shape}, the image {image.shape[:2]}; make them equal")
        probability = segmenter(image)
        mask = card.mask(probability)
        expected = card.expected_dice(probability, mask)
        if expected is None:
            raise ConfigError(f"{card.name} was not calibrated, so it expects no Dice; train it with this version.")
        images.append(Judged(case.id, case.group, expected, mean_dice(mask, truth, card.classes)))
        places = random.integers(truth.size, size=PIXELS)
        planes = probability[None] if card.classes == 1 else probability[1:]  # (K, H, W) without the background
        probabilities.append(planes.reshape(len(planes), -1)[:, places])
        labels.append(truth.ravel()[places])
    if not images:
        raise EmptyInput(f"{card.name}: there is no image to judge it on.")
    ece = expected_calibration_error(np.concatenate(probabilities, axis=1), np.concatenate(labels))
    return Trust(card.name, card.temperature, tuple(images), ece)


def risk_coverage(dice: Values, trust: Values) -> Values:
    """Return the mean of 1 - Dice of the k images trusted most, for k = 1..N, (N,).

    Images of equal trust count with their mean, whatever their order. Its mean is the AURC (Geifman et al., arXiv
    1805.08206).
    """
    _, level, count = np.unique(-trust, return_inverse=True, return_counts=True)
    risk = np.bincount(level, weights=1 - dice) / count
    return np.asarray(np.cumsum(risk[np.sort(level)]) / np.arange(1, len(dice) + 1))


def rank_correlation(one: Values, other: Values) -> float:
    """Return Spearman's correlation; 0 where one of the two is constant, and so ranks nothing."""
    from scipy.stats import spearmanr

    return float(spearmanr(one, other).statistic) if np.ptp(one) > 0 and np.ptp(other) > 0 else 0.0
