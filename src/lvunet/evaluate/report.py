"""What a report says: the blocks of an evaluation, of a training, of a parity proof and of the forms of a network."""

from collections.abc import Sequence
from csv import DictReader
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from lvunet.card import INTENDED_USE
from lvunet.errors import InputError
from lvunet.evaluate.chart import abstention, curve, expectation, histogram
from lvunet.evaluate.evidence import Evaluation
from lvunet.evaluate.intervals import VERDICTS, paired_difference, score_interval
from lvunet.evaluate.metrics import METRICS, POLICY, Metric
from lvunet.evaluate.page import Block, Chart, Charts, Fact, Facts, Page, Prose, Table
from lvunet.evaluate.pictures import galleries
from lvunet.evaluate.provenance import Provenance
from lvunet.evaluate.quality import Trust, judge, risk_coverage
from lvunet.evaluate.scoring import Case, Scores, Segmenter

TITLES: dict[Metric, str] = {
    "dice": "Dice",
    "iou": "IoU",
    "precision": "Precision",
    "recall": "Recall",
    "hd95_px": "HD95, px",
    "nsd": "Surface Dice",
}
DECIMALS: dict[Metric, int] = {"dice": 3, "iou": 3, "precision": 3, "recall": 3, "hd95_px": 1, "nsd": 3}
HEADLINE: tuple[Metric, ...] = ("dice", "iou", "hd95_px")
CURVES = {
    "train_loss": "Training loss",
    "val_dice": "Validation Dice",
    "slope": "Slope of the leaky ReLU",
    "learning_rate": "Learning rate",
}


class Link(Protocol):
    """Two forms of one model that were held against each other; `lowest_dice` is between their masks."""

    @property
    def name(self) -> str: ...
    @property
    def max_abs_difference(self) -> float: ...
    @property
    def tolerance(self) -> float: ...
    @property
    def lowest_dice(self) -> float: ...
    @property
    def holds(self) -> bool: ...


@dataclass(frozen=True)
class Form:
    """One form of a network and what it costs; `times_as_fast` is relative to the first form of the table."""

    name: str
    parameters: int
    multiply_adds: int
    median_ms: float
    p90_ms: float
    times_as_fast: float


def evaluation_page(evaluation: Evaluation, more: Sequence[Block] = ()) -> Page:
    """Return the page of an evaluation; `more`, such as `pictures.galleries`, stands before the full table."""
    scores = evaluation.scores
    return Page(
        title=f"{scores.model} on {evaluation.dataset}",
        lead=f"{len(scores.images)} images, split {evaluation.split}; each is scored by itself, at its own size."
        + evaluation.caveat,
        blocks=(
            headline(evaluation),
            summary(evaluation),
            *by_kind(evaluation),
            *by_class(scores),
            distribution(scores),
            *more,
            scoring_policy(),
            every_image(scores),
            *left_out(scores),
        ),
        footer=footer(evaluation.provenance),
    )


def pictured(evaluation: Evaluation, segmenter: Segmenter, cases: Sequence[Case], others: Scores | None = None) -> Page:
    """Return the page of an evaluation with its worst and its median cases, which the model segments anew.

    It is held against a second model where there are `others`. For a model that was calibrated, it also says whether
    the model knows when it is wrong.
    """
    scored = {image.id for image in evaluation.scores.images}
    calibrated = bool(segmenter.card.quality)
    trust = [when_not_to_trust(judge(segmenter, [case for case in cases if case.id in scored]))] if calibrated else []
    compared = [comparison(evaluation.scores, others)] if others else []
    return evaluation_page(evaluation, (*compared, *trust, *galleries(segmenter, cases, evaluation.scores)))


def headline(evaluation: Evaluation) -> Facts:
    """Return the numbers to leave with: Dice, IoU, HD95, and how often something was missed or made up."""
    images = evaluation.scores.images
    facts = []
    for metric in HEADLINE:
        interval, places = evaluation.intervals[metric], DECIMALS[metric]
        facts.append(Fact(TITLES[metric], f"{interval.mean:.{places}f}", interval.range_text(places)))
    present = sum(image.truth_px > 0 for image in images)
    facts.append(Fact("Missed", str(sum(image.missed for image in images)), f"of {present} images with a structure"))
    alarms = sum(image.false_alarm for image in images)
    facts.append(Fact("False alarms", str(alarms), f"of {len(images) - present} images without one"))
    return Facts("In short", tuple(facts))


def summary(evaluation: Evaluation) -> Table:
    """Return mean, interval, median and worst value of every metric; beside them the paper's metric, as a note."""
    medians, scores = evaluation.medians(), evaluation.scores
    rows = []
    for metric in METRICS:
        interval, values, places = evaluation.intervals[metric], scores.values(metric), DECIMALS[metric]
        worst = values.max() if metric == "hd95_px" else values.min()
        cells = (f"{interval.mean:.{places}f}", interval.range_text(places), f"{medians[metric]:.{places}f}")
        rows.append((TITLES[metric], *cells, f"{worst:.{places}f}"))
    note = f"Intervals: {evaluation.method}. Surface Dice counts outline within {scores.tolerance_px:g} px."
    if scores.paper:
        note += (
            f" By the paper's metric, which pools the pixels of 8 images at 256 x 256 and is not comparable with these "
            f"means: IoU {scores.paper.iou:.3f}, Dice {scores.paper.dice:.3f}."
        )
    return Table("Scores", ("", "mean", "95 % interval", "median", "worst"), tuple(rows), note)


def by_kind(evaluation: Evaluation) -> tuple[Table, ...]:
    """Return the Dice of lesions and of normals; nothing where all images are of one kind."""
    what = {"lesions": "something to outline", "normals": "nothing to outline: the share without a false alarm"}
    means = [(kind, str(dice.n), f"{dice.mean:.3f}", dice.range_text()) for kind, dice in evaluation.kinds.items()]
    rows = tuple((what[kind], *cells) for kind, *cells in means)
    head = ("images with", "n", "Dice", "95 % interval")
    return (Table("With and without a structure", head, rows),) if rows else ()


def by_class(scores: Scores) -> tuple[Table, ...]:
    """Return the means of each class; nothing where there is one class, as its scores are those of the image."""
    if len(scores.class_names) == 1:
        return ()
    rows = []
    for name in scores.class_names:
        dice = score_interval(scores, "dice", name)
        means = (f"{scores.values(metric, name).mean():.{DECIMALS[metric]}f}" for metric in METRICS[1:])
        rows.append((name, f"{dice.mean:.3f}", dice.range_text(), *means))
    head = ("", "Dice", "95 % interval", *(TITLES[metric] for metric in METRICS[1:]))
    return (Table("Class by class", head, tuple(rows)),)


def tables(evaluation: Evaluation, others: Scores | None = None) -> list[Table]:
    """Return the summary, the classes where there are several, and the comparison where there is a second model."""
    compared = [comparison(evaluation.scores, others)] if others else []
    return [summary(evaluation), *by_kind(evaluation), *by_class(evaluation.scores), *compared]


def distribution(scores: Scores) -> Charts:
    """Return the histogram of Dice."""
    chart = Chart(histogram(scores.values("dice"), "Dice"), "Each image counted once. Line: mean; dashed: median.")
    return Charts("How the images are spread", (chart,))


def when_not_to_trust(trust: Trust) -> Charts:
    """Return how well the expected Dice sorts good masks from bad ones, and how far it is off."""
    error, correlation, aurc = trust.mean_absolute_error, trust.rank_correlation, trust.aurc
    note = (
        f"The expected Dice is off by {error.mean:.3f} ({error.range_text()}) on average, a constant by "
        f"{trust.constant_error:.3f}; its rank correlation with the true Dice is {correlation.mean:.2f} "
        f"({correlation.range_text(2)}). Area under the curve: {aurc.mean:.3f} ({aurc.range_text()}); oracle "
        f"{trust.best_aurc:.3f}, at random {trust.random_aurc:.3f}. The mean Dice is {trust.dice_of_kept(1):.3f}, and "
        f"{trust.dice_of_kept(0.8):.3f} without the fifth of least expected Dice. Expected calibration error of the "
        f"pixels: {trust.ece:.4f}. Fitted on validation images of the training; on images of another kind "
        "a model can be sure and wrong."
    )
    curves = (risk_coverage(trust.dice, by) for by in (trust.expected, trust.dice))
    charts = (
        Chart(abstention(*curves), "What is left of the error when the least trusted images are left out."),
        Chart(expectation(trust.expected, trust.dice), "What the model expected of its mask, and what it was worth."),
    )
    return Charts("When not to trust it", charts, note)


def comparison(ours: Scores, theirs: Scores) -> Table:
    """Return the paired differences of two models on the same images; raises `MismatchedPair` if they are not."""
    rows = []
    for metric in METRICS:
        difference, places = paired_difference(ours, theirs, metric), DECIMALS[metric]
        means = (f"{scores.values(metric).mean():.{places}f}" for scores in (ours, theirs))
        apart = (f"{difference.mean:+.{places}f}", difference.range_text(places), difference.verdict)
        rows.append((TITLES[metric], *means, *apart))
    head = ("", ours.model, theirs.model, "difference", "95 % interval", "differs")
    note = f"Differences of the same images, bootstrapped. {VERDICTS}"
    return Table(f"{ours.model} against {theirs.model}", head, tuple(rows), note)


def training(path: Path | str) -> Charts:
    """Return the curves of a training log, a CSV with `epoch` and any column of `CURVES`.

    Empty cells are passed over, as loggers write one row a phase. Raises `InputError` if there is nothing to draw.
    """
    try:
        with Path(path).open(encoding="utf-8", newline="") as file:
            rows = list(DictReader(file))
        columns = {name: [(float(row["epoch"]), float(row[name])) for row in rows if row.get(name)] for name in CURVES}
    except (OSError, UnicodeDecodeError, KeyError, TypeError, ValueError) as error:
        raise InputError(f"{path}: not a training log, a CSV with the column epoch and numbers: {error!r}") from error
    drawn = {name: points for name, points in columns.items() if points}
    if not drawn:
        raise InputError(f"{path}: no column of {', '.join(CURVES)} holds a value")
    final = next((epoch for epoch, slope in columns["slope"] if slope == 1), None)
    charts = tuple(Chart(curve(points, CURVES[name], final_from=final), CURVES[name]) for name, points in drawn.items())
    note = "Shaded: the slope is 1, so the network can be folded exactly; the checkpoint is chosen there."
    return Charts("Training", charts, note if final is not None else "")


def parity(links: Sequence[Link]) -> Table:
    """Return how far the forms of one model are apart, and how far they may be; an `export` parity report has links."""
    rows = tuple(
        (
            link.name,
            f"{link.max_abs_difference:.1e}",
            f"{link.tolerance:.0e}",
            "holds" if link.holds else "broken",
            f"{link.lowest_dice:.4f}",
        )
        for link in links
    )
    head = ("", "largest difference", "tolerance", "verdict", "lowest Dice")
    note = "Largest difference of a probability, over all pixels of all images; Dice between the masks of the two."
    return Table("One model, whatever its form", head, rows, note)


def forms(rows: Sequence[Form], note: str = "") -> Table:
    """Return what each form of a network costs; `note` states threads, size and machine of the latency."""
    cells = tuple(
        (
            form.name,
            f"{form.parameters:,}",
            f"{form.multiply_adds / 1e6:.1f} M",
            f"{form.median_ms:.2f} ms",
            f"{form.p90_ms:.2f} ms",
            f"{form.times_as_fast:.2f}",
        )
        for form in rows
    )
    head = ("", "parameters", "multiply-adds", "median", "90th percentile", "times as fast")
    return Table("Trained form and deployed form", head, cells, note)


def scoring_policy() -> Prose:
    """Return what becomes of empty masks, misses and false alarms."""
    return Prose("How it was scored", (POLICY,))


def every_image(scores: Scores) -> Table:
    """Return the scores of every image, lowest Dice first, folded."""
    rows = tuple(
        (image.id, *(f"{getattr(image.mean, metric):.{DECIMALS[metric]}f}" for metric in METRICS))
        for image in scores.ranked()
    )
    return Table("Every image", ("id", *TITLES.values()), rows, folded=True)


def left_out(scores: Scores) -> tuple[Prose, ...]:
    """Return the cases that could not be scored, and why; nothing if all could."""
    reasons = tuple(f"{case.id}: {case.reason}" for case in scores.unscored)
    return (Prose("Not scored", reasons, "These cases are in no mean."),) if reasons else ()


def footer(where: Provenance) -> tuple[str, ...]:
    """Return the small print: intended use, commit, date, machine, versions."""
    versions = ", ".join(f"{name} {number}" for name, number in where.machine.versions.items())
    commit = f"Commit {where.commit}. " if where.commit else ""
    return (INTENDED_USE, f"{commit}{where.date}. {where.machine.sentence}. {versions}.")
