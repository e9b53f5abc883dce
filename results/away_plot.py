"""At home, on spoilt images and on other sets: the networks of `configs/` beside the preset of equal epochs, a picture.

A row is a test, a ring the preset at our size if it was trained at that, else at 256 px, a dot ours.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING

from results.across import ALL, DICE, SPOILT, Line, alike, ratio, trained_once
from results.section import by_preset

from lvunet.benchmark.plot import standalone
from lvunet.benchmark.standings import Record
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
    presets = [line for line in known if by_preset(line.config)]
    rows = []
    for ours in sorted((line for line in known if is_ours(line.record["models"][line.model])), key=_order):
        beside = [each for each in presets if alike(ours, each) and each.config["epochs"] == ours.config["epochs"]]
        if beside:
            preset = max(beside, key=lambda line: int(line.config["size"]))
            test = f"all of {_title(ours.tested_on)}" if ours.split == ALL else "spoilt" * (ours.what == SPOILT)
            means = ours.mean, preset.mean
            rows.append(Row(_trained(ours, preset), test or "its test part", *means, ours.minus(preset)))
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
        axes.set_xlabel("mean Dice; ring: preset, dot: ours, of equal epochs\npx: ours / preset; grey: not told apart")

    return standalone(draw(paint, f"{ALT_AWAY}: {in_words(rows)}", width=6.6, height=0.19 * len(rows) + 1.6))


def in_words(rows: Sequence[Row]) -> str:
    """Return what is read out in place of the picture."""
    return "; ".join(f"{row.trained}, {row.test}: {row.ours:.3f}, preset {row.preset:.3f}" for row in rows)


def _is_shown(line: Line) -> bool:
    """Whether a line is of the test part of its own sets, clean or spoilt, or of a whole other set."""
    at_home = line.tested_on == line.config["dataset"] and line.split != ALL
    return (line.what == DICE and (at_home or line.split == ALL)) or line.what == SPOILT


def _order(line: Line) -> tuple[int, int, bool, bool, str]:
    config = line.config
    tested = line.split == ALL, line.what == SPOILT, line.tested_on
    return [*DATASETS].index(config["dataset"]), config["seed"], *tested


def _trained(ours: Line, preset: Line) -> str:
    """Return what both were trained on, and at which size: ``Kvasir-SEG, 384 px``."""
    config = ours.config
    split = f", {config['protocol']}-{config['split_seed']}" * (config["protocol"] != "paper")
    return f"{_title(config['dataset'])}{split}, {ratio(config['size'], preset.config['size'])} px"


def _title(dataset: str) -> str:
    return DATASETS[dataset].title
