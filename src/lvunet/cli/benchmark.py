"""`lvunet benchmark`: how fast, in which form, in which runtime, against which other networks."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lvunet.errors import ConfigError
from lvunet.screen import progress, say, show

Many = Parameter(consume_multiple=True)


def benchmark(
    model: Path | None = None,
    /,
    *,
    runtimes: Annotated[tuple[str, ...], Many] = (),
    networks: Annotated[tuple[str, ...], Many] = ("lv-unet",),
    batch: int = 1,
    size: int = 256,
    threads: int = 1,
    rounds: int = 30,
    json_file: Annotated[Path | None, Parameter(name="--json")] = None,
    plot: Path | None = None,
) -> None:
    """Measure forms, runtimes or networks against each other, in one alternating run.

    Without --runtimes: the trained form, the folded form and ONNX. With it: the folded network in each, from uint8 to
    probability, and how far that is from the machine's peak. Converters need up to a minute for a network.

    Args:
        model: The .safetensors of a training run; default: a new network, whose speed is the same.
        runtimes: pytorch, onnx, openvino, ... or all that are installed; the first is the baseline.
        networks: lv-unet, or peers by their names, or all.
        batch: Images a call; onnx and ncnn take them one by one.
        size: Side of the square in pixels; lv-unet pads it to a multiple of 128, which is what it then costs.
        threads: Threads of each candidate.
        rounds: Blocks of calls of each candidate.
        json_file: Where to write the numbers with machine and commit.
        plot: Where to write a picture of them (.svg), or a page with picture and table (.html).
    """
    from lvunet.benchmark.speeds import Workload
    from lvunet.evaluate.evidence import write_json
    from lvunet.evaluate.provenance import provenance

    workload = Workload(batch, size, threads)
    workload.demand(rounds)
    if not runtimes and (networks, batch, size, plot) != (("lv-unet",), 1, 256, None):
        raise ConfigError("--networks, --batch, --size and --plot compare runtimes: name some, such as --runtimes all.")
    if runtimes:
        from lvunet.benchmark.plot import checked, write_plot
        from lvunet.benchmark.runtimes import compare, installed, ready
        from lvunet.card import Card

        if plot:
            checked(plot)
        chosen, wanted = ready(networks, model), installed(runtimes)
        with progress("preparing", len(chosen) * len(wanted)) as advance:
            speeds = compare(chosen, wanted, Card(), workload, rounds=rounds, progress=advance)
        table, record = speeds.table(), speeds.record(provenance())
        if plot:
            write_plot(plot, speeds, provenance())
    else:
        from lvunet.benchmark.forms import measure_forms
        from lvunet.evaluate.latency import record as as_record
        from lvunet.evaluate.report import forms

        costs = measure_forms(model, threads, rounds)
        table, record = forms(costs.rows(), costs.workload), as_record(costs.latencies, costs.workload, provenance())
    show(table.title, table.head, table.rows, table.note)
    if json_file:
        write_json(json_file, record)
        say(f"numbers: {json_file}")
    if plot:
        say(f"plot: {plot}")
