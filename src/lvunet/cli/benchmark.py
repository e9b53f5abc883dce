"""`lvunet benchmark`: how fast, in which form, in which runtime, against which other networks."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from lvunet.errors import ConfigError
from lvunet.screen import progress, say, show

if TYPE_CHECKING:  # a command loads only what it needs
    from lvunet.benchmark.speeds import Workload
    from lvunet.evaluate.page import Table

Many = Parameter(consume_multiple=True)


def benchmark(
    model: str | None = None,
    /,
    *,
    runtimes: Annotated[tuple[str, ...], Many] = (),
    networks: Annotated[tuple[str, ...], Many] = ("lv-unet",),
    batch: int = 1,
    size: int | None = None,
    threads: int = 1,
    rounds: int = 30,
    json_file: Annotated[Path | None, Parameter(name="--json")] = None,
    plot: Path | None = None,
) -> None:
    """Measure forms, runtimes or networks against each other, in one alternating run.

    Without --runtimes: the trained form, the folded form and ONNX. With it: the folded network in each, from uint8 to
    probability, and how far that is from the machine's peak. Converters need up to a minute for a network.

    Args:
        model: A trained .safetensors, an exported .onnx, or a model of the zoo by name; default: a new network, whose
            speed is the same.
        runtimes: pytorch, onnx, openvino, ... or all that are installed; the first is the baseline.
        networks: lv-unet, or peers by their names, or all.
        batch: Images a call; onnx and ncnn take them one by one.
        size: Side of the square in pixels, by default the model's, or 256; lv-unet pads it to a multiple of 128, which
            is what it then costs.
        threads: Threads of each candidate.
        rounds: Blocks of calls of each candidate.
        json_file: Where to write the numbers with machine and commit.
        plot: Where to write a picture of them (.svg), or a page with picture and table (.html).
    """
    from lvunet.benchmark.speeds import Workload
    from lvunet.evaluate.evidence import write_json
    from lvunet.image import demand_writable

    workload = Workload(batch, 256 if size is None else size, threads)
    workload.demand(rounds)
    if not runtimes and (networks, batch, size, plot) != (("lv-unet",), 1, None, None):
        raise ConfigError("--networks, --batch, --size and --plot compare runtimes: name some, such as --runtimes all.")
    for place in filter(None, (json_file, plot)):
        demand_writable(place)
    if runtimes:
        own = size is None
        table, record = _in_runtimes(model, runtimes, networks, workload, own_size=own, rounds=rounds, plot=plot)
    else:
        table, record = _in_forms(model, threads, rounds)
    show(table.title, table.head, table.rows, table.note)
    if json_file:
        write_json(json_file, record)
        say(f"numbers: {json_file}")
    if plot:
        say(f"plot: {plot}")


def _in_runtimes(
    model: str | None,
    runtimes: Sequence[str],
    networks: Sequence[str],
    workload: "Workload",
    *,
    own_size: bool,
    rounds: int,
    plot: Path | None,
) -> tuple["Table", dict[str, Any]]:
    from lvunet.benchmark.plot import checked, write_plot
    from lvunet.benchmark.runtimes import ALL, compare, installed, ready
    from lvunet.card import LVUNET
    from lvunet.evaluate.provenance import provenance
    from lvunet.model.lvunet import SMALLEST_SIDE

    if workload.side < SMALLEST_SIDE and {LVUNET, ALL} & set(networks):
        raise ConfigError(f"--size {workload.side}: {LVUNET} takes {SMALLEST_SIDE} pixels or more.")
    if plot:
        checked(plot)
    (chosen, card), wanted = ready(networks, model), installed(runtimes)
    if own_size:
        workload = replace(workload, side=card.size)
    with progress("preparing", len(chosen) * len(wanted)) as advance:
        speeds = compare(chosen, wanted, card, workload, rounds=rounds, progress=advance)
    if plot:
        write_plot(plot, speeds, provenance())
    return speeds.table(), speeds.record(provenance())


def _in_forms(model: str | None, threads: int, rounds: int) -> tuple["Table", dict[str, Any]]:
    from lvunet.benchmark.forms import measure_forms
    from lvunet.evaluate.latency import record
    from lvunet.evaluate.provenance import provenance
    from lvunet.evaluate.report import forms

    costs = measure_forms(model, threads, rounds)
    return forms(costs.rows(), costs.workload), record(costs.latencies, costs.workload, provenance())
