"""Accuracy against latency, of the forms whose Dice was measured: a table and a picture of it, from records alone.

The Dice of a model is that of its record of accuracy; a float32 form in any runtime is proven to have the same
(`lvunet export`), and a form of fewer bits has what its own record found on the same images. The latency is that of the
same network at the same size in `runtimes-*.json`. Networks of packages have a latency here; their Dice is of
trainings of a few epochs, in the table of peers, and cannot be compared with these.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from results.section import found, interval_of

from lvunet.benchmark.plot import standalone
from lvunet.benchmark.speeds import IN, Workload
from lvunet.benchmark.standings import Record, read_records
from lvunet.card import LVUNET
from lvunet.evaluate.chart import BLUE, INK, MUTED, ORANGE, draw
from lvunet.evaluate.intervals import Interval
from lvunet.evaluate.page import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PICTURE = "accuracy-latency.svg"
ALT = "Accuracy against latency"
DATASET, SPLIT = "kvasir-seg", "paper-0 test"
SAME = ("openvino", "onnx", "litert", "ncnn", "executorch", "pytorch")  # in float32 the same function
OTHERS = "Networks of packages,\neach in its fastest runtime;\ntrained only briefly: see Peers"
HEAD = ("model, size, runtime", "Dice", "to its float32 form", "median ms")


@dataclass(frozen=True)
class Form:
    """A model at a size in a runtime: its Dice, the latency of one image, and for fewer bits the difference in Dice."""

    model: str
    size: int
    runtime: str
    dice: float
    median_ms: float
    apart: Interval | None = None


def forms(results: Path) -> list[Form]:
    """Return the best model of each size in every runtime whose latency at that size is known, the fastest first."""
    records = found(results, "runtimes-*.json")
    timed = {each["workload"]: _medians(each) for each in records if [*each["networks"]] == [LVUNET]}
    made = []
    for record in _best_of_each_size(results):
        size = record["training"]["config"]["size"]
        medians = timed.get(str(Workload(side=size)), {})
        dice, apart = interval_of(record["metrics"]["dice"]).mean, _fewer_bits(results, record["source_sha256"])
        for runtime in (*SAME, *apart):
            if median_ms := medians.get(f"{LVUNET}{IN}{runtime}"):
                change = apart.get(runtime)
                mean = dice + (change.mean if change else 0)
                made.append(Form(record["model"], size, runtime, mean, median_ms, change))
    return sorted(made, key=lambda form: form.median_ms)


def peers(results: Path) -> dict[str, float]:
    """Return the peers whose latency at batch 1 and 256 px is known, each in milliseconds where it is fastest."""
    fastest: dict[str, float] = {}
    for record in found(results, "runtimes-peers-*.json"):
        if record["workload"] == str(Workload()):
            for name, median_ms in _medians(record).items():
                network = name.partition(IN)[0]
                fastest[network] = min(median_ms, fastest.get(network, median_ms))
    return {name: median_ms for name, median_ms in fastest.items() if name != LVUNET}


def table(made: Sequence[Form]) -> Table:
    """Return a row a form."""
    rows = tuple(
        (
            f"{form.model}, {form.size} px, {form.runtime}",
            f"{form.dice:.4f}",
            f"{form.apart.mean:+.4f} ({form.apart.range_text(4)})" if form.apart else "",
            f"{form.median_ms:.2f}",
        )
        for form in made
    )
    note = (
        f"Mean Dice on {DATASET}, {SPLIT}; of each size the model with the highest. One image, one thread. All saw the "
        "same images; the intervals of the means are in the table of trained networks."
    )
    return Table(ALT, HEAD, rows, note)


def picture(results: Path) -> str:
    """Return the file of the picture: a dot a form, and below them the latencies of peers, whose Dice is not known."""
    from matplotlib.ticker import LogLocator

    made, others = forms(results), peers(results)
    low, high = min(form.dice for form in made), max(form.dice for form in made)
    spread = high - low

    def paint(axes: "Axes") -> None:
        for size in sorted({form.size for form in made}):
            _line(axes, [form for form in made if form.size == size and not form.apart])
        for form in made:
            if form.apart:
                axes.plot(form.median_ms, form.dice, "D", color=ORANGE, markersize=4)
                _name(axes, form, below=form.apart.mean < 0)
        axes.set_ylim(low - 1.5 * spread, high + 0.9 * spread)
        axes.text(0.01, 0.05, OTHERS, transform=axes.transAxes, va="bottom", fontsize=6.5)
        for name, median_ms in others.items():
            _tick(axes, name, median_ms)
        axes.set_xscale("log", subs=())
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.xaxis.set_major_formatter("{x:g}")
        axes.set_xlim(left=0.7 * made[0].median_ms)
        axes.set(xlabel="median ms, one image, one thread", ylabel=f"Dice, {DATASET}, {SPLIT}")

    return standalone(draw(paint, in_words(made), width=6.6, height=4))


def in_words(made: Sequence[Form]) -> str:
    """Return what is read out in place of the picture."""
    each = (f"{form.runtime} {form.size} px {form.dice:.4f} in {form.median_ms:.2f} ms" for form in made)
    return f"{ALT}: {'; '.join(each)}"


def _line(axes: "Axes", same: Sequence[Form]) -> None:
    """Join the runtimes of one float32 network, name the fastest, and say which network it is."""
    axes.plot([form.median_ms for form in same], [form.dice for form in same], "o-", color=BLUE, markersize=3)
    _name(axes, same[0], below=False)
    last = same[-1].median_ms, same[-1].dice
    text = f"float32, {same[-1].size} px, to {same[-1].runtime}"
    axes.annotate(text, last, (6, 0), textcoords="offset points", va="center", color=BLUE)


def _name(axes: "Axes", form: Form, *, below: bool) -> None:
    place = (0, -6) if below else (0, 6)
    where = form.median_ms, form.dice
    ha, va = ("right", "top") if below else ("center", "bottom")
    axes.annotate(form.runtime, where, place, textcoords="offset points", ha=ha, va=va, color=INK)


def _tick(axes: "Axes", name: str, median_ms: float) -> None:
    axes.axvline(median_ms, 0, 0.04, color=MUTED, linewidth=1)
    axes.annotate(
        name,
        (median_ms, 0.05),
        xycoords=("data", "axes fraction"),
        rotation=90,
        va="bottom",
        ha="center",
        color=MUTED,
        fontsize=5.5,
    )


def _best_of_each_size(results: Path) -> list[Record]:
    """Return the records of accuracy on the set of the picture, of each size of image the one with the highest Dice."""
    best: dict[int, Record] = {}
    for record in read_records(results).values():
        if (record["dataset"], record["split"]) == (DATASET, SPLIT):
            size = record["training"]["config"]["size"]
            best[size] = max(best.get(size, record), record, key=lambda each: each["metrics"]["dice"]["mean"])
    return list(best.values())


def _fewer_bits(results: Path, source_sha256: str) -> dict[str, Interval]:
    """Return what fewer bits did to the Dice of a model, by runtime, where it was judged against true masks."""
    judged = {}
    for record in found(results, "export-*.json"):
        for made in record["artefacts"]:
            verdict = made["verdict"]
            if record["source_sha256"] == source_sha256 and verdict and verdict["with_masks"]:
                judged[f"{made['target']}-{made['precision']}"] = interval_of(verdict["dice"])
    return judged


def _medians(record: Record) -> dict[str, float]:
    return {each["name"]: each["median_ms"] for each in record["latencies"]}
