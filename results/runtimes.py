"""The section of docs/results.md on speed: the deployed network in every runtime, from `lvunet benchmark --json`.

lvunet benchmark --runtimes all --json results/runtimes-256.json
"""

from pathlib import Path

from results.runtimes_plot import ALT, PICTURE, forms, table
from results.section import Section, found

from lvunet.benchmark.standings import Record
from lvunet.evaluate.page import Table

HEAD = ("runtime", "median ms", "p10 to p90", "times as fast", "times the floor")
TEXT = (
    "How fast is the deployed network, from squares of uint8 to their probability, in each runtime? *authors* is the "
    "form that the paper's authors deploy, whose backbone keeps its batch norms, in eager PyTorch. The floor is the "
    "time that the multiply-adds take at the peak of a float32 matrix product on this machine, measured in the same "
    "run; fewer bits, Winograd's way of a dense 3x3 convolution, and oneDNN's convolutions, which on this processor do "
    "twice as much a second as that product, take less. *onnx* resizes by itself, "
    "the others do not; *onnx* and *ncnn* take the images of a batch one by one. *compile* is `torch.compile`, *torch* "
    "an exported program of PyTorch. A candidate of float32 that is further than 1e-4 from PyTorch is not measured."
)


def runtimes(results: Path) -> Section:
    """Return a table a workload, the fastest runtime first."""
    records = found(results, "runtimes-*.json")
    made = forms(results) if records else []
    tables = [*map(_table, records), *([table(made)] if made else []), *map(_forms, found(results, "latency-*.json"))]
    text = f"{TEXT}\n\n![{ALT}](images/{PICTURE})" if made else TEXT
    return Section("Runtimes", text, "runtimes-*.json", tables, records)


def _table(record: Record) -> Table:
    latencies = sorted(record["latencies"], key=lambda each: each["median_ms"])
    rows = tuple(
        (
            each["name"].removeprefix("lv-unet in "),
            f"{each['median_ms']:.2f}",
            f"{each['p10_ms']:.2f} to {each['p90_ms']:.2f}",
            f"{each['times_as_fast']:.2f}",
            f"{each['times_the_floor']:.2f}",
        )
        for each in latencies
    )
    limit, baseline = record["limit"], record["latencies"][0]["baseline"].removeprefix("lv-unet in ")
    note = f"Times as fast as *{baseline}*. Peak {limit['gflops']:.0f} GFLOP/s, copy {limit['copy_gbps']:.0f} GB/s."
    for name, why in record.get("failures", {}).items():
        note += f" Not measured: {name.removeprefix('lv-unet in ')} ({why})."
    title = record["workload"] + (", networks of packages" if len(record["networks"]) > 1 else "")
    return Table(title, HEAD, rows, note)


def _forms(record: Record) -> Table:
    """Return the table of the forms of one network: trained, folded, exported."""
    rows = tuple(
        (
            each["name"],
            f"{each['median_ms']:.2f}",
            f"{each['p10_ms']:.2f} to {each['p90_ms']:.2f}",
            f"{each['times_as_fast']:.2f}",
        )
        for each in record["latencies"]
    )
    return Table(
        f"{record['workload']}, form by form", ("form", *HEAD[1:4]), rows, "Times as fast as the trained form."
    )
