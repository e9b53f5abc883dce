"""Writes what is told of the files beside this one: tables of the README, docs/results.md, cards: `make numbers`."""

import json
from collections.abc import Iterable, Sequence
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from results.page import page, sections
from results.runtimes_plot import PICTURE, picture
from results.section import Section, counted, difference, found, interval_of, origin, score
from results.zoo import pages as zoo_pages

from lvunet.benchmark.accuracy import DEFAULTS
from lvunet.benchmark.peers import LVUNET
from lvunet.benchmark.speeds import IN
from lvunet.benchmark.standings import Pair, Record, budget_and_seed, dice_difference, kinds, read_records
from lvunet.card import Card
from lvunet.evaluate.page import Table
from lvunet.learn.config import TrainConfig
from lvunet.runtime.zoo import ZOO, bundled

HERE = Path(__file__).parent
CONFIGS = HERE.parent / "configs"
OF_A_RUN = {"data", "out", "weights", "epochs", "seed", "protocol", "split_seed"}  # the rest is what it was taught by
README, PAGE = HERE.parent / "README.md", HERE.parent / "docs" / "results.md"
GAVE = "# Gave: "
BEGIN, END = "<!-- numbers -->\n", "<!-- /numbers -->\n"


def read(name: str) -> dict[str, Any]:
    """Return one result."""
    content: dict[str, Any] = json.loads((HERE / name).read_text(encoding="utf-8"))
    return content


def models() -> str:
    """Return the table of the models in the package."""
    rows = [
        (f"[`{model.name}`](src/lvunet/zoo/{model.name}.md)", model.outlines, f"{test.dataset}, n {test.n}", dice)
        for model in bundled().values()
        for test in model.scores
        for dice in [f"{test.dice:.3f} ({test.low:.3f} to {test.high:.3f})"]
    ]
    head = ("model", "outlines", "tested on", "Dice (95 % interval)")
    title = "**Models in the package**, on images that they have not seen"
    return f"{title}\n\n{Table('', head, tuple(rows)).markdown().rstrip()}"


def against_preset(records: Sequence[Record]) -> str:
    """Return the table of `configs/` against the paper's preset at equal budget: a row a split, its seeds as one."""
    rows, shown, leaked = [], list[Record](), leaks()
    presets = {budget_and_seed(record): record for record in records if record["recipe"] == "paper"}
    for config in configurations().values():
        ours = [record for record in records if follows(record, config) and budget_and_seed(record) in presets]
        pairs = [(record, presets[budget_and_seed(record)]) for record in ours]
        for (_, split, epochs), group in groupby(sorted(pairs, key=_run), _run):
            seeds = list(group)
            shown += chain(*seeds)
            run = (
                f"{config.dataset}, {split.removesuffix(' test')}",
                leaked[config.dataset, split],
                f"{config.size} px",
                f"{epochs}",
                f"{len(seeds)}",
            )
            for kind, part in kinds(seeds):
                first = (f"- {kind}", *[""] * (len(run) - 1)) if kind else run
                means = (mean(side, kind) for side in zip(*part, strict=True))
                apart = dice_difference(part)
                rows.append((*first, counted(apart), *means, *difference(apart)))
    head = (
        *("data set, split", "leaked", "input", "epochs", "seeds", "n"),
        *("ours", "preset", "difference (95 % interval)", "differs"),
    )
    title = (
        "**Our recipe ([`configs/`](configs)) against the preset `paper`**, which sees 256 px; same split, number of "
        "images seen, and seeds; mean Dice"
    )
    sizes = sorted({Card().size, *(config.size for config in configurations().values())})
    costs = " and ".join(f"{billions(size):.2f} G at {size} px" for size in sizes)
    note = (
        f"Multiply-adds of an image, in use: {costs}; the preset saw 256 px alone. The recipes were chosen on "
        "validation parts, but the test parts of earlier recipes had been looked at, and where there are several seeds "
        "the first was scored before the others were trained. Intervals tell of the choice of images, not of seeds; "
        "from fewer than ten images or groups nothing is said to differ. Leaked: test images whose like is in the "
        "training or validation part; copies are left out. A random split that leaks next to nothing is as good as a "
        "grouped one, so that those sets have no row of grouped."
    )
    return f"{title}\n\n{Table('', head, tuple(rows), note).markdown()}\n{origin(*shown)}"


def _run(pair: Pair) -> tuple[bool, str, int]:
    """Return what tells one row of a configuration from another: the split, random before grouped, and the budget."""
    split: str = pair[0]["split"]
    return split.startswith("grouped"), split, pair[0]["epochs"]


def configurations() -> dict[Path, TrainConfig]:
    """Return what is in `configs/`."""
    return {path: TrainConfig.read(path) for path in sorted(CONFIGS.glob("*.toml"))}


def headed(text: str, config: TrainConfig, records: Iterable[Record]) -> str:
    """Return the text of a configuration with what it gave: of its records on a random split the longest trainings."""
    ours = [record for record in records if follows(record, config) and record["split"].startswith("paper-")]
    lines = [line for line in text.splitlines() if not line.startswith(GAVE)]
    if ours:
        epochs = max(record["epochs"] for record in ours)
        *others, first = sorted(
            (record for record in ours if record["epochs"] == epochs), key=itemgetter("seed"), reverse=True
        )
        made, dice = first["training_provenance"], interval_of(first["metrics"]["dice"])
        alike = "".join(f", seed {each['seed']} {each['metrics']['dice']['mean']:.3f}" for each in reversed(others))
        run = f"with --epochs {epochs} --seed {first['seed']}"
        cost = f"{round(first['training_seconds'] / 60)} minutes on {made['machine']['cpu']}, commit {made['commit']}"
        gave = f"Dice {score(dice)}{alike}; n {counted(dice)}, {first['split']}"
        lines[2:2] = [f"{GAVE}{run}, in {cost}:", f"{GAVE}{gave}"]
    return "\n".join(lines) + "\n"


def leaks() -> dict[tuple[Any, str], str]:
    """Return by set and test part how many of its images have their like in the training or validation part."""
    splits = read("data-leaks.json")["splits"]
    parts = {(each["dataset"], f"{each['protocol']}-{each['seed']} test"): each for each in splits}
    return {part: f"{each['test_leaks']['any']} of {each['n_test']}" for part, each in parts.items()}


def billions(size: int) -> float:
    """Return the multiply-adds of the deployed network for a square of that side, in 10^9: so many a pixel."""
    (measured,) = (row for row in read("peers-latency.json")["networks"] if row["name"] == LVUNET)
    return float(measured["multiply_adds"] * (size / Card().size) ** 2 / 1e9)


def follows(record: Record, config: TrainConfig) -> bool:
    """Whether a training was taught as a configuration says; a key that was not there in its time had its default."""
    taught = DEFAULTS | record["training"]["config"]
    return all(taught[key] == value for key, value in config.model_dump(mode="json").items() if key not in OF_A_RUN)


def mean(records: Sequence[Record], kind: str = "") -> str:
    """Return the mean Dice over several seeds, of all images or of one kind."""
    dice = [record[kind] if kind else record["metrics"]["dice"] for record in records]
    return f"{sum(each['mean'] for each in dice) / len(dice):.3f}"


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
    parts = models(), against_preset([*read_records(HERE).values()]), more, latency(), speed()
    numbers = "\n\n".join(parts) + "\n"
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
    (PAGE.parent / "images" / PICTURE).write_text(picture(HERE), encoding="utf-8")
