"""At home, on spoilt images and on other sets: the networks of `configs/` beside the preset of equal epochs, a picture.

A row is a test, a ring the preset at 256 px, a dot ours; from the records of robustness alone.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from results.across import ALL, DICE, SPOILT, Line, alike, by_preset, trained_once

from lvunet.benchmark.plot import standalone
from lvunet.benchmark.standings import Record
from lvunet.card import Card
from lvunet.data.registry import DATASETS
from lvunet.evaluate.chart import BLUE, INK, MUTED, ORANGE, draw
from lvunet.evaluate.intervals import Interval

if TYPE_CHECKING:
    from matplotlib.axes import Axes

AWAY = "home-and-away.svg"
ALT_AWAY = "Dice of our networks and of the preset, at home, on spoilt images and on other sets"


@dataclass(frozen=True)
class Row:
    """A test of two networks that were trained on the same images for as many epochs."""

    trained: str
    test: str
    ours: float
    preset: float
    apart: Interval


def home_and_away(lines: Iterable[Line], is_ours: Callable[[Record], bool]) -> list[Row]:
    """Return the tests of each of our networks: its own test part, that spoilt, then the sets that it has not seen."""
    known = [line for line in trained_once(lines) if _is_shown(line)]
    presets = [line for line in known if by_preset(line) and line.config["size"] == Card().size]
    rows = []
    for ours in sorted((line for line in known if is_ours(line.record["models"][line.model])), key=_order):
        for preset in (each for each in presets if alike(ours, each) and _epochs(each) == _epochs(ours)):
            test = f"all of {_title(ours.tested_on)}" if ours.split == ALL else "spoilt" * (ours.what == SPOILT)
            trained, apart = _title(ours.config["dataset"]), ours.minus(preset)
            rows.append(Row(trained, test or "its test part", ours.mean, preset.mean, apart))
    return rows


def picture_away(rows: Sequence[Row]) -> str:
    """Return the file of the picture."""

    def paint(axes: "Axes") -> None:
        places, place = [], 0.0
        for trained, group in groupby(rows, lambda row: row.trained):
            axes.text(-0.02, place, trained, transform=axes.get_yaxis_transform(), ha="right", va="center", color=INK)
            for row in group:
                place += 1
                places.append(place)
                colour = MUTED if not row.apart.differs else BLUE if row.apart.mean > 0 else ORANGE
                axes.plot([row.preset, row.ours], [place, place], color=colour)
                axes.plot(row.preset, place, "o", color=colour, markersize=4, fillstyle="none")
                axes.plot(row.ours, place, "o", color=colour, markersize=4)
            place += 1.5
        axes.set_yticks(places, [row.test for row in rows])
        axes.invert_yaxis()
        axes.grid(visible=True, axis="x")
        axes.grid(visible=False, axis="y")
        axes.set_xlabel("mean Dice; ring: the preset, dot: ours, of equal epochs; grey: not told apart")

    return standalone(draw(paint, f"{ALT_AWAY}: {_in_words(rows)}", width=6.6, height=0.19 * len(rows) + 1.6))


def _in_words(rows: Sequence[Row]) -> str:
    return "; ".join(f"{row.trained}, {row.test}: {row.ours:.3f}, preset {row.preset:.3f}" for row in rows)


def _is_shown(line: Line) -> bool:
    """Whether a line is of the test part of its own sets, clean or spoilt, or of a whole other set."""
    at_home = line.tested_on == line.config["dataset"] and line.split != ALL
    return (line.what == DICE and (at_home or line.split == ALL)) or line.what == SPOILT


def _order(line: Line) -> tuple[int, bool, bool, str]:
    return [*DATASETS].index(line.config["dataset"]), line.split == ALL, line.what == SPOILT, line.tested_on


def _epochs(line: Line) -> int:
    return int(line.config["epochs"])


def _title(dataset: str) -> str:
    return DATASETS[dataset].title
