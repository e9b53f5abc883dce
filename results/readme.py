"""Writes what is told of the files beside this one: tables of the README, docs/results.md, cards: `make numbers`."""

import json
from collections.abc import Iterable, Sequence
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from results.page import page, sections
from results.runtimes_plot import PICTURE, picture
from results.section import Section, counted, difference, found, interval_of, leaks, origin, score
from results.zoo import pages as zoo_pages

from lvunet.benchmark.accuracy import DEFAULTS
from lvunet.benchmark.speeds import IN
from lvunet.benchmark.standings import Pair, Record, budget_and_seed, dice_difference, kinds, read_records
from lvunet.card import LVUNET, Card
from lvunet.data.registry import DATASETS
from lvunet.evaluate.intervals import VERDICTS
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


def against_preset(records: Sequence[Record]) -> str:
    """Return the table of `configs/` against the paper's preset: a row a protocol, its splits and seeds as one."""
    rows, shown, leaked = [], list[Record](), leaks()
    for config in configurations().values():
        ours = [record for record in records if follows(record, config)]
        pairs = [(record, preset) for record in ours for preset in records if _is_its_preset(preset, record)]
        for (_, size, *epochs), group in groupby(sorted(pairs, key=_run), _run):
            runs = list(group)
            shown += chain(*runs)
            splits = dict.fromkeys(record["split"] for record, _ in runs)
            named = ", ".join(f"{each.removesuffix(' test')} ({leaked[config.dataset, each]})" for each in splits)
            run = (
                f"{config.dataset}, {named}",
                f"{_ratio(config.size, size)} px",
                _ratio(*epochs),
                " / ".join(f"{minutes(side):.0f}" for side in zip(*runs, strict=True)),
                f"{len(runs)}",
            )
            for kind, part in kinds(runs):
                first = (f"- {kind}", *[""] * (len(run) - 1)) if kind else run
                means = (mean(side, kind) for side in zip(*part, strict=True))
                apart = dice_difference(part)
                rows.append((*first, counted(apart), *means, *difference(apart)))
    head = (
        *("data set, split (leaked)", "input", "epochs", "minutes", "runs", "n"),
        *("ours", "preset", "difference (95 % interval)", "differs"),
    )
    title = (
        "**Our recipe ([`configs/`](configs)) against the preset `paper`**; same splits, seeds and start, both at that "
        "input size and for as many epochs unless two numbers are given (ours / preset); mean Dice"
    )
    sizes = sorted({Card().size, *(config.size for config in configurations().values())})
    costs = " and ".join(f"{billions(size):.2f} G at {size} px" for size in sizes)
    note = (
        f"Multiply-adds of an image, in use: {costs}; in training the ratio is the same, so that equal epochs are not "
        "equal computing: minutes are ours / preset's of a run, on machines that were busy in other ways. `ours` was "
        "fixed before any search, but for the rims of shifted images; what `configs/` adds to it was chosen on "
        "validation parts. The test parts of earlier recipes had been looked at, and where there are several seeds "
        "the first was scored before the others were trained. Runs are seeds and, of grouped splits, splits; an image "
        "or group under several is drawn as one. Intervals tell of the choice of images, not of seeds. "
        f"{VERDICTS} Leaked: test images whose like is in the training or validation part; copies are left out. A "
        "random split of Kvasir-SEG or ISIC 2016 leaks next to nothing and is as good as a grouped one; CVC-ClinicDB's "
        "leaks all, and its grouped ones by `configs/` are still to be trained. All began "
        "with Google's minimalistic ImageNet weights, not with those that `--weights imagenet` downloads."
    )
    return f"{title}\n\n{Table('', head, tuple(rows), note).markdown()}\n{origin(*shown)}"


def _is_its_preset(preset: Record, record: Record) -> bool:
    """Whether a training is by the preset, at its own size or the record's, for as many epochs or more."""
    same = all(preset[key] == record[key] for key in ("dataset", "split", "seed"))
    alone = budget_and_seed(preset)[2] == budget_and_seed(record)[2]  # the sets that it was trained on
    named = preset["recipe"] in ("paper", f"paper-size={record['training']['config']['size']}")
    return named and same and alone and preset["epochs"] >= record["epochs"]


def _run(pair: Pair) -> tuple[bool, int, int, int]:
    """Return what tells one row of a configuration from another: grouped after random, size and epochs."""
    ours, preset = pair
    size = (DEFAULTS | preset["training"]["config"])["size"]
    return ours["split"].startswith("grouped"), size, ours["epochs"], preset["epochs"]


def _ratio(ours: int, preset: int) -> str:
    """Return ``40``, or where they are two ``40 / 300``."""
    return " / ".join(map(str, dict.fromkeys((ours, preset))))


def minutes(records: Sequence[Record]) -> float:
    """Return how long a training took, on average."""
    return float(sum(record["training_seconds"] for record in records) / len(records) / 60)


def beside_paper(records: Sequence[Record]) -> str:
    """Return how far the recipes of `configs/` are from what was published, and from the goals of a full training."""
    rows, shown = [], list[Record]()
    for config in configurations().values():
        known = DATASETS.get(str(config.dataset))
        ours = [record for record in records if follows(record, config) and record["split"] == "paper-0 test"]
        if not (known and ours):
            continue
        longest = max(record["epochs"] for record in ours)
        ours = [record for record in ours if record["epochs"] == longest]
        shown += ours
        kind, what = ("lesions", ", lesions") if all("lesions" in record for record in ours) else ("", "")
        dice = mean(ours, kind)
        pooled = "" if kind else f"{sum(record['paper_metric']['iou'] for record in ours) / len(ours):.3f}"
        published = f"{known.published.iou:.3f}" if known.published else ""
        goal = f"{known.goal_dice:g} ({float(dice) - known.goal_dice:+.3f})" if known.goal_dice else ""
        rows.append((f"{known.name}, paper-0{what}", f"{longest}", f"{len(ours)}", dice, goal, pooled, published))
    head = (
        *("data set, split", "epochs", "seeds", "Dice", "our goal for 300 epochs (difference)"),
        *("pooled IoU", "published, another split"),
    )
    title = "**The recipes of `configs/` beside the paper**, which trained for 300 epochs on a split that is not known"
    return f"{title}\n\n{Table('', head, tuple(rows)).markdown()}\n{origin(*shown)}"


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
        f"{record['dataset']} (which LV-UNet pads to 256), "
        f"Dice on the test part (n {record['n']}): LV-UNet {own['dice']['mean']:.3f}. Better, in "
        f"brackets the multiply-adds as times LV-UNet's: {', '.join(better) or 'none'}. Worse: {worse or 'none'}; the "
        "ResNets and MONAI's networks began at random, as no weights that fit could be had. Not told apart: "
        f"{rest or 'none'}. [Intervals and costs](docs/results.md#peers)."
    )


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
        weights = Path(first["training"]["config"].get("weights") or "none").name
        run = f"with --epochs {epochs} --seed {first['seed']} --weights {weights}"
        cost = f"{round(first['training_seconds'] / 60)} minutes on {made['machine']['cpu']}, commit {made['commit']}"
        gave = f"Dice {score(dice)}{alike}; n {counted(dice)}, {first['split']}"
        lines[2:2] = [f"{GAVE}{run}, in {cost}:", f"{GAVE}{gave}"]
    return "\n".join(lines) + "\n"


def billions(size: int) -> float:
    """Return the multiply-adds of the deployed network for a square of that side, in 10^9, of multiples of 128 px."""
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
    records = [*read_records(HERE).values()]
    parts = models(), against_preset(records), beside_paper(records), accuracy_of_peers(), more, latency(), speed()
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
