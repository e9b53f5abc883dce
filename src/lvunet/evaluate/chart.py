"""Draws the charts of a report as inline SVG whose colours are the page's, so that they follow its theme."""

import re
from collections.abc import Callable, Sequence
from html import escape
from io import StringIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# What matplotlib draws in these colours is shown in the page's: a chart is drawn once for the light and the dark theme.
PAPER, INK, MUTED, LINE, BLUE, ORANGE, SHADE = (f"#0{i}0{i}0{i}" for i in range(1, 8))
PAGE_COLOURS = {
    PAPER: "paper",
    INK: "ink",
    MUTED: "muted",
    LINE: "line",
    BLUE: "blue",
    ORANGE: "orange",
    SHADE: "shade",
}

STYLE: Any = {
    "svg.fonttype": "none",
    "font.size": 8,
    "text.color": MUTED,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": LINE,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": MUTED,
    "ytick.labelcolor": MUTED,
    "ytick.major.size": 0,
    "lines.linewidth": 1.5,
    "lines.solid_capstyle": "round",
}


def draw(paint: Callable[["Axes"], object], label: str, *, width: float = 4.4, height: float = 2.3) -> str:
    """Return what `paint` draws as an `<svg>` element for an HTML page; `label` is read out in its place."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({**STYLE, "svg.hashsalt": label}):
        figure = Figure(figsize=(width, height), layout="constrained")
        paint(figure.add_subplot())
        out = StringIO()
        figure.savefig(
            out, format="svg", transparent=True, metadata=dict.fromkeys(("Date", "Creator", "Format", "Type"))
        )
    return _for_a_page(out.getvalue(), label)


def histogram(values: NDArray[np.float64], name: str) -> str:
    """Draw how scores in 0..1, (N,), are spread, with their mean and median."""

    from matplotlib.ticker import MaxNLocator

    def paint(axes: "Axes") -> None:
        axes.hist(values, bins=np.linspace(0, 1, 26).tolist(), color=BLUE, rwidth=0.88)
        mean, median = float(values.mean()), float(np.median(values))
        for value in (mean, median):  # on bars of middling grey a line needs a margin
            axes.axvline(value, color=PAPER, linewidth=3)
        axes.axvline(mean, color=ORANGE)
        axes.axvline(median, color=INK, linestyle=(0, (2, 2)))
        axes.set(xlim=(-0.01, 1.01), xlabel=name, ylabel="images")
        axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))

    return draw(paint, f"Histogram of {name} over {len(values)} images", width=6.6)


def curve(points: Sequence[tuple[float, float]], name: str, *, final_from: float | None = None) -> str:
    """Draw one quantity as (epoch, value) points; the epochs from `final_from`, where the slope is 1, are shaded."""
    epochs, values = zip(*points, strict=True)

    def paint(axes: "Axes") -> None:
        if final_from is not None and final_from < epochs[-1]:
            axes.axvspan(final_from, epochs[-1], color=SHADE, linewidth=0)
        axes.plot(epochs, values, color=BLUE, marker="o" if len(epochs) == 1 else None)
        axes.set(xlabel="epoch")

    return draw(paint, f"{name} over {len(epochs)} epochs")


def abstention(ours: NDArray[np.float64], best: NDArray[np.float64]) -> str:
    """Draw two risk-coverage curves, (N,) each: by the model's own trust, and the lowest that there can be.

    Beside them the line of leaving out images at random.
    """
    kept = np.arange(1, len(ours) + 1) / len(ours)

    def paint(axes: "Axes") -> None:
        axes.axhline(float(ours[-1]), color=MUTED, linestyle=(0, (2, 2)), linewidth=1, label="at random")
        axes.plot(kept, ours, color=BLUE, label="by expected Dice")
        axes.plot(kept, best, color=ORANGE, linewidth=1, label="oracle")
        axes.set(xlim=(0, 1.01), xlabel="share of images kept", ylabel="1 - Dice of those kept")
        axes.set_ylim(bottom=0)
        axes.legend(frameon=False)

    return draw(paint, f"Risk-coverage curve over {len(ours)} images")


def expectation(expected: NDArray[np.float64], dice: NDArray[np.float64]) -> str:
    """Draw expected against true Dice, one dot an image, (N,) each, with the diagonal on which they are equal."""

    def paint(axes: "Axes") -> None:
        axes.plot([0, 1], [0, 1], color=MUTED, linestyle=(0, (2, 2)), linewidth=1)
        axes.plot(expected, dice, linestyle="", marker="o", markersize=3, alpha=0.5, markeredgewidth=0, color=BLUE)
        axes.set(xlim=(-0.01, 1.01), ylim=(-0.01, 1.01), xlabel="expected Dice", ylabel="true Dice")

    return draw(paint, f"Expected and true Dice of {len(dice)} images")


def _for_a_page(svg: str, label: str) -> str:
    svg = svg[svg.index("<svg") :].strip()
    referenced = set(re.findall(r"#([\w.-]+)[\")]", svg))
    svg = re.sub(r' id="([^"]+)"', lambda found: found[0] if found[1] in referenced else "", svg)
    svg = re.sub(
        r'^<svg ([^>]*?)width="[^"]*" height="[^"]*"', rf'<svg role="img" aria-label="{escape(label)}" \1', svg
    )
    for drawn, shown in PAGE_COLOURS.items():
        svg = svg.replace(drawn, f"var(--{shown})")
    return svg
