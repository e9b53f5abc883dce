"""How much of its Dice a model keeps when the pictures get worse: every corruption, every severity, the same images."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lvunet.card import Card
from lvunet.evaluate.chart import BLUE, LINE, draw
from lvunet.evaluate.corruptions import CORRUPTIONS, SEVERITIES, Corruption, Severity
from lvunet.evaluate.evidence import Evaluation
from lvunet.evaluate.intervals import Interval, mean_interval, paired_difference, score_interval
from lvunet.evaluate.page import Chart, Charts, Fact, Facts, Gallery, Page, Table
from lvunet.evaluate.pictures import galleries
from lvunet.evaluate.provenance import provenance
from lvunet.evaluate.report import footer, left_out, scoring_policy
from lvunet.evaluate.scoring import Case, Progress, Scores, Segmenter, score
from lvunet.image import UInt8, read_image

if TYPE_CHECKING:
    from matplotlib.axes import Axes

CONDITIONS = tuple((corruption, severity) for corruption in CORRUPTIONS for severity in SEVERITIES)
DROP = "Drop: Dice of the clean image less that of the spoilt one, image by image; below 0 the spoilt one did better."


@dataclass(frozen=True)
class Corrupted:
    """A segmenter that is shown spoilt images."""

    segmenter: Segmenter
    corruption: Corruption
    severity: Severity

    @property
    def card(self) -> Card:
        """The card of the model, which is the same."""
        return self.segmenter.card

    def __call__(self, image: UInt8, /) -> NDArray[np.float32]:
        """Return the probability that the model gives for the spoilt image."""
        return self.segmenter(self.corruption(image, self.severity))


@dataclass(frozen=True)
class Condition:
    """The scores under one corruption in one severity, and what they cost against the clean images."""

    corruption: Corruption
    severity: Severity
    scores: Scores
    drop: Interval

    @property
    def name(self) -> str:
        """The condition in two words."""
        return f"{self.corruption.name}, {self.severity}"

    @cached_property
    def dice(self) -> Interval:
        """The mean Dice with its interval."""
        return score_interval(self.scores, "dice")

    def record(self) -> dict[str, Any]:
        """Return plain values for JSON."""
        facts = {"corruption": self.corruption.name, "severity": self.severity}
        intervals = {"dice": asdict(self.dice), "drop": asdict(self.drop)}
        return facts | {"amount": self.corruption.measured(self.severity)} | intervals


@dataclass(frozen=True)
class Robustness:
    """An evaluation on clean images, and the same images under every condition."""

    clean: Evaluation
    conditions: tuple[Condition, ...]

    @cached_property
    def mean_drop(self) -> Interval:
        """The mean corruption drop: of each image the mean drop over all conditions, of these the mean."""
        spoilt = np.mean([condition.scores.values("dice") for condition in self.conditions], axis=0)
        return mean_interval(self.clean.scores.values("dice") - spoilt, self.clean.scores.clusters)

    def record(self) -> dict[str, Any]:
        """Return all means and intervals as plain values for JSON."""
        scores = self.clean.scores
        return {
            "model": scores.model,
            "dataset": self.clean.dataset,
            "split": self.clean.split,
            "n": len(scores.images),
            "seen_in_training": self.clean.seen,
            "intervals": self.clean.method,
            "clean": asdict(self.clean.intervals["dice"]),
            "mean_drop": asdict(self.mean_drop),
            "conditions": [condition.record() for condition in self.conditions],
            "unscored": [asdict(case) for case in scores.unscored],
            **asdict(self.clean.provenance),
        }


def under_corruptions(
    segmenter: Segmenter, cases: Sequence[Case], facts: tuple[str, str, int], *, progress: Progress | None = None
) -> Robustness:
    """Score cases as they are, then under every condition; `progress` is called after each image. Raises as `score`.

    `facts` are data set, split, and how many of the cases the model has seen in training.
    """
    dataset, split, seen = facts
    clean = score(segmenter, cases, progress=progress)
    conditions = []
    for corruption, severity in CONDITIONS:
        scores = score(Corrupted(segmenter, corruption, severity), cases, progress=progress)
        conditions.append(Condition(corruption, severity, scores, paired_difference(clean, scores, "dice")))
    return Robustness(Evaluation(clean, dataset, split, provenance(), seen), tuple(conditions))


def table(found: Robustness) -> Table:
    """Return a row a condition, with the Dice and the drop, and last their mean."""

    def cells(interval: Interval, sign: str = "") -> tuple[str, str]:
        return f"{interval.mean:{sign}.3f}", interval.range_text()

    rows = [("clean", "", *cells(found.clean.intervals["dice"]), "", "")]
    rows += [
        (each.name, each.corruption.measured(each.severity), *cells(each.dice), *cells(each.drop, "+"))
        for each in found.conditions
    ]
    rows.append(("mean corruption drop", "", "", "", *cells(found.mean_drop, "+")))
    head = ("", "amount", "Dice", "95 % interval", "drop", "95 % interval")
    note = f"{DROP} Pixels are those of a picture of 256 x 256. Intervals: {found.clean.method}."
    return Table("Under corruptions", head, tuple(rows), note)


def page(found: Robustness, segmenter: Segmenter, cases: Sequence[Case]) -> Page:
    """Return the report; `cases` are those that were scored, one of which the model segments anew for the pictures."""
    clean = found.clean
    return Page(
        title=f"{clean.scores.model} on {clean.dataset}, under corruptions",
        lead=f"{len(clean.scores.images)} images ({clean.split}), each spoilt in {len(CONDITIONS)} ways."
        + clean.caveat,
        blocks=(
            _headline(found),
            _charts(found),
            table(found),
            contact_sheet(found, segmenter, cases),
            scoring_policy(),
            *left_out(clean.scores),
        ),
        footer=footer(clean.provenance),
    )


def contact_sheet(found: Robustness, segmenter: Segmenter, cases: Sequence[Case]) -> Gallery:
    """Return the image of median Dice, clean and under every condition, each with the outlines found in it."""
    ranked = found.clean.scores.ranked()
    shown = next(case for case in cases if case.id == ranked[len(ranked) // 2].id)
    image = read_image(shown.image)
    spoilt = {each.name: each.corruption(image, each.severity) for each in found.conditions}
    sheet = [_Spoilt(name, pixels, shown.masks) for name, pixels in {"clean": image, **spoilt}.items()]
    worst_first, _ = galleries(segmenter, sheet, score(segmenter, sheet), len(sheet))
    places = {case.id: place for place, case in enumerate(sheet)}
    pictures = sorted(worst_first.pictures, key=lambda picture: places[picture.title])
    note = f"Image {shown.id}: of all images the median in Dice when clean."
    return replace(worst_first, title="One image under every corruption", pictures=tuple(pictures), note=note)


@dataclass(frozen=True)
class _Spoilt:
    """A case that is not in a file."""

    id: str
    image: UInt8
    masks: Sequence[Any]
    group: str = ""


def _headline(found: Robustness) -> Facts:
    clean, worst = found.clean.intervals["dice"], max(found.conditions, key=lambda each: each.drop.mean)
    facts = (
        Fact("Dice, clean", f"{clean.mean:.3f}", clean.range_text()),
        Fact("Mean corruption drop", f"{found.mean_drop.mean:.3f}", found.mean_drop.range_text()),
        Fact("Largest drop", f"{worst.drop.mean:.3f}", f"{worst.name}; {worst.drop.range_text()}"),
    )
    return Facts("In short", facts)


def _charts(found: Robustness) -> Charts:
    """Draw Dice over severity, a chart a corruption, all on one scale."""
    clean = found.clean.intervals["dice"]
    lowest = min(clean.low, *(condition.dice.low for condition in found.conditions))
    charts = []
    for corruption in CORRUPTIONS:
        dice = [condition.dice for condition in found.conditions if condition.corruption is corruption]
        charts.append(Chart(severity_curve(corruption.name, [clean, *dice], lowest), f"Dice, {corruption.name}"))
    return Charts("Dice by severity", tuple(charts), "Bars: 95 % intervals. Line across: the clean images.")


def severity_curve(name: str, dice: Sequence[Interval], lowest: float) -> str:
    """Draw the Dice of clean, mild, medium and severe, on a scale from below `lowest` to 1."""
    means = [each.mean for each in dice]
    reach = [[each.mean - each.low for each in dice], [each.high - each.mean for each in dice]]

    def paint(axes: "Axes") -> None:
        axes.axhline(means[0], color=LINE)
        axes.errorbar(range(len(means)), means, yerr=reach, color=BLUE, marker="o", markersize=3, elinewidth=1)
        axes.set_xticks(range(len(means)), ("clean", *SEVERITIES))
        axes.set_ylim(np.floor(lowest * 10) / 10, 1)

    return draw(paint, f"Dice under {name} of growing severity", width=3.2, height=1.9)
