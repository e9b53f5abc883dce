"""A comparison of speeds as a picture (.svg), or as a page with its table (.html)."""

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from lvunet.benchmark.speeds import IN, Speeds
from lvunet.errors import ConfigError
from lvunet.evaluate.chart import BLUE, INK, MUTED, ORANGE, draw
from lvunet.evaluate.page import Chart, Charts, Page, write_page
from lvunet.evaluate.provenance import Provenance
from lvunet.image import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SUFFIXES = (".svg", ".html")
CAPTION = "Median latency of one alternating run, from the 10th to the 90th percentile."
FLOOR = "floor: the multiply-adds at the machine's peak"
WIDE = 8  # times the shortest, from which on the axis is logarithmic


def checked(path: Path) -> Path:
    """Return where a plot can be written to; raises `ConfigError` for a name that does not say what it is."""
    if path.suffix not in SUFFIXES:
        raise ConfigError(f"{path}: end the name of a plot in {' or '.join(SUFFIXES)}.")
    return path


def write_plot(path: Path, speeds: Speeds, where: Provenance) -> None:
    """Write the picture, or with its table a page; raises `ConfigError` and `OutputError`."""
    picture = latencies(speeds)
    if checked(path).suffix == ".html":
        blocks = (Charts("Latency", (Chart(picture, CAPTION),)), speeds.table())
        footer = (f"{where.machine.sentence}.", f"Commit {where.commit or 'unknown'}, {where.date}.")
        write_page(path, Page("Speed", f"{speeds.workload}.", blocks, footer))
        return
    with atomic_write(path) as partial:
        partial.write_text(standalone(picture), encoding="utf-8")


def standalone(svg: str) -> str:
    """Return a picture of `chart.draw` as a file of its own, in the colours of a page, light or dark."""
    template = files("lvunet.evaluate").joinpath("page.html.jinja").read_text(encoding="utf-8")
    colours = template.partition("<style>")[2].partition("* {")[0]  # what stands before the first other rule
    tag, _, rest = svg.partition(">")
    return f"{tag}><style>{colours}</style>{rest}\n"


def latencies(speeds: Speeds) -> str:
    """Draw a row a candidate, the fastest on top: median, 10th to 90th percentile, and the floor of its network."""
    from matplotlib.ticker import LogLocator

    shown = speeds.by_speed
    names = [each.name if len(speeds.costs) > 1 else each.name.partition(IN)[2] for each in shown]
    rows = range(len(shown))
    medians, floors = [each.median_ms for each in shown], [speeds.floor_ms(each) for each in shown]
    below = [each.median_ms - each.p10_ms for each in shown]
    above = [each.p90_ms - each.median_ms for each in shown]

    def paint(axes: "Axes") -> None:
        axes.vlines(floors, [row - 0.5 for row in rows], [row + 0.5 for row in rows], color=ORANGE, label=FLOOR)
        axes.errorbar(medians, rows, xerr=(below, above), fmt="o", markersize=4, color=BLUE, ecolor=MUTED)
        for row, median in zip(rows, medians, strict=True):
            axes.annotate(f"{median:.1f}", (median, row), (0, 4), textcoords="offset points", ha="center", color=INK)
        if max(medians) > WIDE * min(medians):
            axes.set_xscale("log", subs=())
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_major_formatter("{x:g}")
        else:
            axes.set_xlim(left=0)
        axes.set_yticks(rows, names)
        axes.grid(visible=True, axis="x")
        axes.grid(visible=False, axis="y")
        axes.set_ylim(len(shown) - 0.4, -0.6)
        axes.set_xlabel(f"ms a call, {speeds.workload}")
        axes.legend(loc="upper right", frameon=False)

    label = f"Latency of {len(shown)} candidates, {speeds.workload}"
    return draw(paint, label, width=6.6, height=0.8 + 0.22 * len(shown))
