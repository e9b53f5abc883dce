"""Writes what is told of the files beside this one: tables of the README, docs/results.md, cards: `make numbers`."""

import json
from collections.abc import Sequence
from operator import itemgetter
from pathlib import Path
from typing import Any

from results.away_plot import AWAY, home_and_away, picture_away
from results.configured import against_preset, away, beside_paper, configurations, elsewhere, headed
from results.page import page, sections
from results.runtimes_plot import PICTURE, picture
from results.section import Section, found, interval_of, leaks, origin
from results.zoo import pages as zoo_pages

from lvunet.benchmark.speeds import IN
from lvunet.benchmark.standings import Record, read_records
from lvunet.card import LVUNET
from lvunet.evaluate.page import Table
from lvunet.runtime.zoo import ZOO, bundled

HERE = Path(__file__).parent
README, PAGE = HERE.parent / "README.md", HERE.parent / "docs" / "results.md"
BEGIN, END = "<!-- numbers -->\n", "<!-- /numbers -->\n"


def read(name: str) -> dict[str, Any]:
    """Return one result."""
    content: dict[str, Any] = json.loads((HERE / name).read_text(encoding="utf-8"))
    return content


def models() -> str:
    """Return the table of the models in the package."""
    leaked = leaks()
    rows = [
        (
            f"[`{model.name}`](src/lvunet/zoo/{model.name}.md)",
            model.outlines,
            f"{test.dataset}, n {test.n} ({leaked[test.dataset, test.split]})",
            dice,
        )
        for model in bundled().values()
        for test in model.scores
        for dice in [f"{test.dice:.3f} ({test.low:.3f} to {test.high:.3f})"]
    ]
    head = ("model", "outlines", "tested on (leaked)", "Dice (95 % interval)")
    title = "**Models in the package**, on test parts that they have not seen"
    note = (
        "Leaked: test images whose like, of one scene or sequence, is in the training or validation part; of these, "
        "copies are left out of n."
    )
    return f"{title}\n\n{Table('', head, tuple(rows), note).markdown().rstrip()}"


def accuracy_of_peers() -> str:
    """Return which networks of packages learnt better than LV-UNet by one recipe, and which did not."""
    (record,) = (each for each in found(HERE, "peers-*.json") if "recipe" in each)
    networks = {each["name"]: each for each in record["networks"]}
    own, recipe = networks.pop(LVUNET), record["recipe"]
    apart = {name: interval_of(each["minus_lvunet"]) for name, each in networks.items()}
    better = [
        f"{name} {apart[name].mean:+.3f} ({each['multiply_adds'] / own['multiply_adds']:.0f} times)"
        for name, each in networks.items()
        if apart[name].differs and apart[name].mean > 0
    ]
    worse = ", ".join(name for name, each in apart.items() if each.differs and each.mean < 0)
    rest = ", ".join(name for name, each in apart.items() if not each.differs)
    return (
        f"**Peers by accuracy**: `{recipe['recipe']}` for all, {recipe['epochs']} epochs at {recipe['size']} px of "
        f"{record['dataset']} (which LV-UNet, which alone has deep training, pads to 256), "
        f"Dice on the test part (n {record['n']}): LV-UNet {own['dice']['mean']:.3f}. Better, in "
        f"brackets the multiply-adds, both at 256 px, as times LV-UNet's: {', '.join(better) or 'none'}. "
        f"Worse: {worse or 'none'}; the "
        "ResNets and MONAI's networks began at random, as no weights that fit could be had. Not told apart: "
        f"{rest or 'none'}. [Intervals and costs](docs/results.md#peers)."
    )


def latency() -> str:
    """Return how long the deployed network takes in each runtime, and by how much its nearest peer takes longer."""
    record = read("runtimes-256.json")
    peers = [peer for peer in found(HERE, "runtimes-peers-*.json") if peer["workload"] == record["workload"]]
    nearest, rows = nearest_peers(peers), []
    for each in sorted(record["latencies"], key=itemgetter("median_ms")):
        runtime, spread = each["name"].split(IN)[1], f"{each['p10_ms']:.2f} to {each['p90_ms']:.2f}"
        fast = f"{each['times_as_fast']:.2f}"
        rows.append((runtime, f"{each['median_ms']:.2f}", spread, fast, nearest.get(runtime, "")))
    head = ("runtime", "median ms", "p10 to p90", "times as fast as *authors*", "nearest peer, times LV-UNet's time")
    note = (
        "`lvunet export polyp` refuses two of these: *openvino-bf16*, whose masks agree with those of float32 to less "
        "than 0.998, and *onnx-int8*, which is no faster. "
        "*authors*: the form that the paper's authors deploy, in eager PyTorch. Peers: networks of packages, in the "
        "same runtime, each beside LV-UNet in a run of its own."
    )
    table = Table("", head, tuple(rows), note).markdown()
    return f"**Latency**, {record['workload']}, one alternating run\n\n{table}\n{origin(record, *peers)}"


def nearest_peers(records: Sequence[Record]) -> dict[str, str]:
    """Return for each runtime the fastest of the other networks, and how many times as long as LV-UNet it takes."""
    fastest: dict[str, tuple[float, str]] = {}
    for each in (latency for record in records for latency in record["latencies"]):
        network, runtime = each["name"].split(IN)
        if each["times_as_fast"] != 1:
            fastest[runtime] = max((each["times_as_fast"], network), fastest.get(runtime, (0.0, "")))
    return {runtime: f"{1 / fast:.2f} ({network})" for runtime, (fast, network) in fastest.items()}


def speed() -> str:
    """Return what is measured in images a second."""
    segmenting, training = read("segment-speed.json"), read("training-speed.json")
    rates, ratio = training["images_per_second"], training["ratio"]
    segmented = f"`lvunet segment`, {segmenting['images']} {segmenting['dataset']} images, files to masks"
    trained = f"training, batch 8, 256 x 256; {ratio:.2f} times a plain PyTorch loop"
    page_speed = read("web.json")
    in_browser = [
        f"| `lvunet demo --web` in headless Chromium, {row['threads']} thread{'s' * (row['threads'] > 1)}, 256 x 256; "
        f"takes {page_speed['times_as_slow_as_native'][str(row['threads'])]:.1f} times as long as ONNX Runtime "
        f"| {row['fps']:.1f} | |"
        for row in page_speed["rows"]
        if row["name"] == "Chromium, WebAssembly"
    ]
    lines = [
        "| whole path | images a second | peak memory |",
        "|---|---|---|",
        f"| {segmented} | {segmenting['images_per_second']:.0f} | {segmenting['peak_mb']:.0f} MB |",
        f"| {trained} | {rates['ours']:.1f} | {training['peak_mb']:.0f} MB |",
        *in_browser,
    ]
    return "\n".join([*lines, "", origin(segmenting, training, page_speed)])


def renewed(text: str, made: Sequence[Section]) -> str:
    """Return the README's text with the numbers of now; `made` are the sections of the page."""
    before, _, rest = text.partition(BEGIN)
    titles = ", ".join(section.title.lower() for section in made)
    more = f"All else that was measured, {titles}: [docs/results.md](docs/results.md)."
    records = [*read_records(HERE).values()]
    ours = against_preset(records), elsewhere(HERE), beside_paper(records)
    numbers = "\n\n".join((models(), *ours, accuracy_of_peers(), more, latency(), speed())) + "\n"
    return before + BEGIN + numbers + END + rest.partition(END)[2]


if __name__ == "__main__":
    made_now = sections(HERE)
    README.write_text(renewed(README.read_text(encoding="utf-8"), made_now), encoding="utf-8")
    PAGE.write_text(page(made_now), encoding="utf-8")
    for name, card in zoo_pages().items():
        (ZOO / name).write_text(card, encoding="utf-8")
    accuracies = read_records(HERE).values()
    for file, config in configurations().items():
        file.write_text(headed(file.read_text(encoding="utf-8"), config, accuracies), encoding="utf-8")
    (PAGE.parent / "images" / AWAY).write_text(picture_away(home_and_away(*away(HERE))), encoding="utf-8")
    (PAGE.parent / "images" / PICTURE).write_text(picture(HERE), encoding="utf-8")
