"""Scores a model, or a folder of predicted masks, image by image: the table that every mean and picture comes from."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lvunet.card import Card
from lvunet.errors import ArtefactError, EmptyInput, InputError, MismatchedPair, MissingPrediction
from lvunet.evaluate.metrics import (
    TOLERANCE_PX,
    Agreement,
    Metric,
    PaperScore,
    class_agreements,
    overlap_counts,
    paper_iou,
)
from lvunet.image import Source, find_images, read_image, read_mask, read_masks, resize

PAPER_SIZE = (256, 256)

Mask = NDArray[np.uint8]


class Case(Protocol):
    """An image, its true masks (merged by union; none is an error of that case), and what it belongs to."""

    @property
    def id(self) -> str: ...
    @property
    def image(self) -> Source: ...
    @property
    def masks(self) -> Sequence[Source]: ...
    @property
    def group(self) -> str: ...


class Segmenter(Protocol):
    """What is scored: uint8 (H, W, 3) to a probability 0..1, (H, W), or (K, H, W) for K classes."""

    @property
    def card(self) -> Card: ...
    def __call__(self, image: NDArray[np.uint8], /) -> NDArray[np.float32]: ...


@dataclass(frozen=True)
class ImageScore:
    """The scores of one image: of each class, their mean, and the counts that explain them."""

    id: str
    group: str
    mean: Agreement
    classes: tuple[Agreement, ...]
    truth_px: int
    prediction_px: int
    paper_overlap: tuple[int, int]

    @property
    def missed(self) -> bool:
        """Whether something was there and nothing was found."""
        return self.truth_px > 0 and self.prediction_px == 0

    @property
    def false_alarm(self) -> bool:
        """Whether nothing was there and something was found."""
        return self.truth_px == 0 and self.prediction_px > 0


@dataclass(frozen=True)
class Unscored:
    """A case that could not be scored, and why; it is in no mean."""

    id: str
    reason: str


@dataclass(frozen=True)
class Scores:
    """The per-image table of one model; `images` is never empty and its ids are unique."""

    model: str
    class_names: tuple[str, ...]
    tolerance_px: float
    images: tuple[ImageScore, ...]
    unscored: tuple[Unscored, ...] = ()

    @property
    def clusters(self) -> tuple[str, ...]:
        """What varies independently: the group of each image, or the image itself where it has none."""
        return tuple(image.group or image.id for image in self.images)

    @property
    def paper(self) -> PaperScore | None:
        """The paper's pooled IoU and Dice, in the order of the images; defined for one class only."""
        return paper_iou(image.paper_overlap for image in self.images) if len(self.class_names) == 1 else None

    def values(self, metric: Metric, class_name: str | None = None) -> NDArray[np.float64]:
        """Return one score of each image, (N,): the mean over the classes, or that of one of `class_names`."""
        if class_name is None:
            return np.array([getattr(image.mean, metric) for image in self.images], dtype=np.float64)
        place = self.class_names.index(class_name)
        return np.array([getattr(image.classes[place], metric) for image in self.images], dtype=np.float64)

    def ranked(self) -> tuple[ImageScore, ...]:
        """Return the images from the lowest Dice to the highest; among equals the larger HD95 comes first."""
        return tuple(sorted(self.images, key=lambda image: (image.mean.dice, -image.mean.hd95_px, image.id)))


@dataclass(frozen=True)
class Outlined:
    """An image, uint8 (H, W, 3), with its true and its predicted mask, uint8 (H, W)."""

    id: str
    image: NDArray[np.uint8]
    truth: Mask
    prediction: Mask


Progress = Callable[[ImageScore | Unscored], None]


def score(
    segmenter: Segmenter, cases: Iterable[Case], tolerance_px: float = TOLERANCE_PX, *, progress: Progress | None = None
) -> Scores:
    """Score a model case by case, at the geometry of each; `progress` is called after each case.

    A case that cannot be read is reported in `Scores.unscored`. Raises `EmptyInput` if no case could be scored,
    `MismatchedPair` if two cases have one id, `ArtefactError` if the model's output is not a probability map.
    """
    card = segmenter.card
    results: list[ImageScore | Unscored] = []
    for case in cases:
        try:
            seen = outline(segmenter, case)
        except InputError as error:
            results.append(Unscored(case.id, str(error)))
        else:
            masks = seen.prediction, seen.truth
            results.append(score_image(case.id, *masks, card.classes, tolerance_px, group=case.group))
        if progress is not None:
            progress(results[-1])
    return _table(card.name, card.class_names, tolerance_px, results)


def score_image(
    key: str, prediction: Mask, truth: Mask, classes: int = 1, tolerance_px: float = TOLERANCE_PX, *, group: str = ""
) -> ImageScore:
    """Score the predicted mask of one image, uint8 (H, W); raises `MismatchedPair` if the sizes differ."""
    agreements = class_agreements(prediction, truth, classes, tolerance_px)
    at_paper_size = (resize((mask > 0).astype(np.float32), PAPER_SIZE) >= 0.5 for mask in (prediction, truth))
    return ImageScore(
        id=key,
        group=group,
        mean=Agreement.mean(agreements),
        classes=agreements,
        truth_px=int(np.count_nonzero(truth)),
        prediction_px=int(np.count_nonzero(prediction)),
        paper_overlap=overlap_counts(*at_paper_size),
    )


def outline(segmenter: Segmenter, case: Case) -> Outlined:
    """Read a case and segment it; raises `InputError` if it cannot be read, `ArtefactError` if the model misbehaves."""
    image = read_image(case.image)
    truth = read_masks(case.masks, segmenter.card.classes)
    if truth.shape != image.shape[:2]:
        raise MismatchedPair(f"{case.id}: the mask is {truth.shape}, the image {image.shape[:2]}; they must be equal")
    return Outlined(case.id, image, truth, _predicted_mask(segmenter, image))


def score_masks(
    predictions: Path | str, truths: Path | str, tolerance_px: float = TOLERANCE_PX, *, classes: int = 1
) -> Scores:
    """Score a folder of predicted masks against a folder of true ones, paired by stem.

    A prediction that is missing or damaged raises `MissingPrediction`, one of another size `MismatchedPair`: to leave
    it out would raise the mean. A damaged truth and a prediction without truth are reported in `Scores.unscored`.
    """
    predicted, true = _by_stem(Path(predictions)), _by_stem(Path(truths))
    missing = sorted(true.keys() - predicted.keys())
    if missing:
        raise MissingPrediction(f"{predictions}: no mask for {len(missing)} of {len(true)} ids: {', '.join(missing)}")
    results = [_score_pair(key, predicted[key], true[key], classes, tolerance_px) for key in sorted(true)]
    surplus = sorted(predicted.keys() - true.keys())
    results += [Unscored(key, f"{predicted[key]}: no mask of that name in {truths}") for key in surplus]
    names = tuple(f"class {label}" for label in range(1, classes)) or ("foreground",)
    return _table(Path(predictions).name, names, tolerance_px, results)


def _score_pair(key: str, prediction: Path, truth: Path, classes: int, tolerance_px: float) -> ImageScore | Unscored:
    try:
        true = read_mask(truth, classes=classes)
    except InputError as error:
        return Unscored(key, str(error))
    try:
        predicted = read_mask(prediction, classes=classes)
    except InputError as error:
        raise MissingPrediction(f"{key}: its predicted mask cannot be used: {error}") from error
    if predicted.shape != true.shape:
        raise MismatchedPair(f"{prediction}: is {predicted.shape}, but {truth} is {true.shape}; they must be equal")
    return score_image(key, predicted, true, classes, tolerance_px)


def _table(
    model: str, class_names: tuple[str, ...], tolerance_px: float, results: Sequence[ImageScore | Unscored]
) -> Scores:
    images = tuple(result for result in results if isinstance(result, ImageScore))
    unscored = tuple(result for result in results if isinstance(result, Unscored))
    if not images:
        reason = f"; the first of {len(unscored)}: {unscored[0].reason}" if unscored else ""
        raise EmptyInput(f"{model}: there is nothing to score{reason}")
    twice = sorted(key for key, count in Counter(image.id for image in images).items() if count > 1)
    if twice:
        raise MismatchedPair(f"{model}: ids must be unique, these are not: {', '.join(twice)}")
    # a card may name the background or leave it out
    return Scores(model, class_names[-len(images[0].classes) :], tolerance_px, images, unscored)


def _predicted_mask(segmenter: Segmenter, image: NDArray[np.uint8]) -> Mask:
    card, probability = segmenter.card, segmenter(image)
    expected = image.shape[:2] if card.classes == 1 else (card.classes, *image.shape[:2])
    if probability.shape != expected or not np.isfinite(probability).all():
        raise ArtefactError(f"{card.name}: gave {probability.shape}, or not numbers; {expected} in 0..1 was due")
    return card.mask(probability)


def _by_stem(folder: Path) -> dict[str, Path]:
    paths = find_images([folder])
    stems = {path.stem: path for path in paths}
    twice = sorted({path.stem for path in paths if stems[path.stem] != path})
    if twice:
        raise MismatchedPair(f"{folder}: masks are paired by stem, and these have two files: {', '.join(twice)}")
    return stems
