"""Fits, on validation images, what makes a probability mean what it says, and what tells a good mask from a bad one.

A temperature T divides the logits so that the negative log-likelihood of the pixels is least (Guo et al., arXiv
1706.04599). From the calibrated probability follows the soft Dice of each mask (`Card.soft_dice`), and from that, by
isotonic regression, the Dice that such masks truly had.
"""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from lvunet.card import Card
from lvunet.errors import EmptyInput
from lvunet.evaluate.metrics import Mask, dice, overlap_counts

BINS = 15
PIXELS = 4096  # drawn from each image, so that a large one counts no more than a small one
TEMPERATURES = (0.05, 20.0)  # the range searched; the likelihood has one optimum, as it is concave in 1 / T
# On the 160 validation images of Kvasir-SEG 5 to 12 knots predict a left-out fifth alike, a full isotonic regression
# and a second feature (area, mean probability, width of the border) worse (2026-11-23, docs/lab-notes.md).
KNOTS = 9
IMAGES_A_KNOT = 8  # at least

Logits = NDArray[np.float32]
Values = NDArray[np.float64]


@dataclass(frozen=True)
class Calibration:
    """What was fitted on `images` images, for the card; and the evidence on their pixels, at T = 1 and at T."""

    temperature: float
    quality: tuple[tuple[float, float], ...]
    empty_dice: float
    images: int
    nll_before: float
    nll_after: float
    ece_before: float
    ece_after: float


def fit(card: Card, logits: Logits, truths: Mask) -> Calibration:
    """Fit temperature and quality to logits (N, K, H, W), K = 1 for one class, and labels (N, H, W).

    The images must be those of a validation part: in training images any network is too sure. All are of one size,
    best the network's. The draw of pixels is the same for the same shapes. Raises `EmptyInput` for no image.
    """
    if not len(logits):
        raise EmptyInput(f"{card.name}: a calibration needs validation images.")
    drawn, labels = _draw(logits, truths)
    temperature = fit_temperature(drawn, labels)
    quality, empty_dice = _fit_quality(replace(card, temperature=temperature), logits, truths)
    return Calibration(
        temperature=temperature,
        quality=quality,
        empty_dice=empty_dice,
        images=len(logits),
        nll_before=_nll(drawn, labels, 1),
        nll_after=_nll(drawn, labels, temperature),
        ece_before=expected_calibration_error(_probability(drawn, 1)[1:], labels),
        ece_after=expected_calibration_error(_probability(drawn, temperature)[1:], labels),
    )


def fit_temperature(logits: Values, labels: Mask) -> float:
    """Return the temperature of least negative log-likelihood for logits (K, N) and labels (N,), to four digits."""
    from scipy.optimize import minimize_scalar

    found = minimize_scalar(lambda temperature: _nll(logits, labels, temperature), bounds=TEMPERATURES)
    return float(f"{found.x:.4g}")


def expected_calibration_error(probability: NDArray[np.floating], labels: Mask) -> float:
    """Return the expected calibration error of a foreground probability (K, N) to labels (N,) of 1..K, 0 = background.

    Of each class: the pixels are sorted into 15 bins of equal width; the ECE is the mean distance between probability
    and share of true pixels in a bin, weighted by its pixels (Guo et al., arXiv 1706.04599, of the class instead of
    the top label). Of several classes: the mean (Kull et al., arXiv 1910.12656). Most pixels are sure and right, so it
    is small for any segmentation: compare it with itself. N is at least 1.
    """
    errors = []
    for label, plane in enumerate(probability, start=1):
        bins = np.minimum((plane * BINS).astype(int), BINS - 1)
        surplus = np.bincount(bins, weights=plane - (labels == label), minlength=BINS)
        errors.append(np.abs(surplus).sum() / len(plane))
    return float(np.mean(errors))


def fit_knots(soft: Values, dice: Values) -> tuple[tuple[float, float], ...]:
    """Return knots (soft Dice, Dice), rising in both, of a monotone map from one to the other, (N,) each; N may be 0.

    The images are sorted into at most 9 groups; isotonic regression of their means pools the groups that are out of
    order, and a pool stands at its centre, so that the map rises between all knots (Oron and Flournoy, 2017).
    """
    from sklearn.isotonic import IsotonicRegression

    if not len(soft):
        return ()
    groups = np.array_split(np.argsort(soft, kind="stable"), np.clip(len(soft) // IMAGES_A_KNOT, 1, KNOTS))
    sizes = [len(group) for group in groups]
    centres = np.array([soft[group].mean() for group in groups])
    means = IsotonicRegression().fit_transform(centres, [dice[group].mean() for group in groups], sample_weight=sizes)
    levels, pool = np.unique(means, return_inverse=True)
    pooled = np.bincount(pool, weights=sizes * centres) / np.bincount(pool, weights=sizes)
    return tuple(zip(pooled.round(5).tolist(), levels.round(5).tolist(), strict=True))


def mean_dice(prediction: Mask, truth: Mask, classes: int) -> float:
    """Return the Dice of label masks (H, W), the mean over the classes, by the policy of `metrics`."""
    counts = [overlap_counts(prediction == label, truth == label) for label in range(1, max(classes, 2))]
    shared, either = np.array(counts).T
    return float(dice(shared, shared + either).mean())


def _fit_quality(card: Card, logits: Logits, truths: Mask) -> tuple[tuple[tuple[float, float], ...], float]:
    """Return the knots, and the Dice to expect of an empty mask: the mean of those seen and of one more, a miss."""
    pairs = []
    for each, truth in zip(logits, truths, strict=True):
        of_all = _probability(each, card.temperature)
        probability = of_all[1] if card.classes == 1 else of_all
        mask = card.mask(probability)
        pairs.append((card.soft_dice(probability, mask), mean_dice(mask, truth, card.classes)))
    empty = [dice for soft, dice in pairs if soft is None]
    soft, dice = np.array([pair for pair in pairs if pair[0] is not None], dtype=np.float64).reshape(-1, 2).T
    return fit_knots(soft, dice), sum(empty) / (len(empty) + 1)


def _draw(logits: Logits, truths: Mask) -> tuple[Values, Mask]:
    """Return logits (K, N) and labels (N,) of the same number of random pixels from each image."""
    images, classes = logits.shape[:2]
    flat = logits.reshape(images, classes, -1)
    places = np.random.default_rng(0).integers(flat.shape[2], size=(images, PIXELS))
    drawn = np.take_along_axis(flat, places[:, None], axis=2)  # (images, K, PIXELS)
    labels = np.take_along_axis(truths.reshape(images, -1), places, axis=1)
    return drawn.transpose(1, 0, 2).reshape(classes, -1).astype(np.float64), labels.ravel()


def _scaled(logits: NDArray[np.floating], temperature: float) -> NDArray[np.floating]:
    """Divide by T; one class becomes two, as sigmoid(z) is the second of softmax(0, z)."""
    of_all = logits if len(logits) > 1 else np.concatenate([np.zeros_like(logits), logits])
    return of_all / temperature


def _probability(logits: NDArray[np.floating], temperature: float) -> NDArray[np.floating]:
    """Return the probability of background and each foreground class, (2, ...) for one class, (K, ...) for K."""
    from scipy.special import softmax

    return np.asarray(softmax(_scaled(logits, temperature), axis=0))


def _nll(logits: Values, labels: Mask, temperature: float) -> float:
    """Return the mean negative log-likelihood, in nats a pixel."""
    from scipy.special import log_softmax

    likely = log_softmax(_scaled(logits, temperature), axis=0)
    return -float(np.take_along_axis(likely, labels[None], axis=0).mean())
