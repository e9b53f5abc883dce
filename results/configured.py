"""What the recipes of `configs/` give: against the preset, beside the paper, on other sets, and in their own heads."""

from collections.abc import Callable, Iterable, Sequence
from itertools import chain, groupby
from operator import itemgetter
from pathlib import Path

from results.across import Line, lines_of, ours_and_preset, ratio
from results.away_plot import ALT_AWAY, AWAY
from results.section import by_preset, counted, difference, found, interval_of, leaks, origin, score

from lvunet.benchmark.accuracy import DEFAULTS
from lvunet.benchmark.standings import Pair, Record, budget_and_seed, dice_difference, kinds, read_records
from lvunet.card import LVUNET, Card
from lvunet.data.registry import DATASETS
from lvunet.evaluate.intervals import VERDICTS
from lvunet.evaluate.page import Table
from lvunet.learn.config import TrainConfig

HERE = Path(__file__).parent
CONFIGS = HERE.parent / "configs"
OF_A_RUN = {"data", "out", "weights", "epochs", "seed", "protocol", "split_seed"}  # the rest is what it was taught by
GAVE = "# Gave: "
TOLD = """\
- Multiply-adds of an image, in use: {costs}; in training the ratio is the same, so that equal epochs are not equal
  computing. Minutes are ours / preset's of a run, on machines that were busy in other ways.
- `ours` was fixed before any search, but for the rims of shifted images; what `configs/` adds to it was chosen on
  validation parts. The test parts of earlier recipes had been looked at. Where there are several seeds the first was
  scored before the others were trained, to see whether it holds; none was left out.
- Runs are seeds and, of grouped splits, splits, with the difference of each, bold if it differs. An image or group
  under several is drawn as one. Intervals tell of the choice of images, not of seeds.
- {verdicts}
- Leaked: test images whose like is in the training or validation part; copies are left out. A random split of
  Kvasir-SEG or ISIC 2016 leaks next to nothing and is as good as a grouped one.
- BUSI's lesions and normals are of networks that were trained on both.
- All began with Google's minimalistic ImageNet weights, not with those that `--weights imagenet` downloads.
"""


def configurations() -> dict[Path, TrainConfig]:
    """Return what is in `configs/`."""
    return {path: TrainConfig.read(path) for path in sorted(CONFIGS.glob("*.toml"))}


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
                f"{ratio(config.size, size)} px",
                ratio(*epochs),
                " / ".join(f"{minutes(side):.0f}" for side in zip(*runs, strict=True)),
                each_run(runs),
            )
            for kind, part in kinds(runs):
                first = (f"- {kind}", *[""] * (len(run) - 1)) if kind else run
                means = (mean_of_images(side) for side in zip(*part, strict=True))
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
    told = TOLD.format(costs=costs, verdicts=VERDICTS)
    return f"{title}\n\n{Table('', head, tuple(rows)).markdown()}\n{told}\n{origin(*shown)}"


def _is_its_preset(preset: Record, record: Record) -> bool:
    """Whether a training is by the preset, at its own size or the record's, for as many epochs or more."""
    same = all(preset[key] == record[key] for key in ("dataset", "split", "seed"))
    longer = preset["epochs"] >= record["epochs"]
    alone = budget_and_seed(preset)[2] == budget_and_seed(record)[2]  # the sets that it was trained on
    taught, size = preset["training"]["config"], size_of(preset)
    return by_preset(taught) and size in (Card().size, size_of(record)) and same and alone and longer


def _run(pair: Pair) -> tuple[bool, int, int, int]:
    """Return what tells one row of a configuration from another: grouped after random, size and epochs."""
    ours, preset = pair
    return ours["split"].startswith("grouped"), size_of(preset), ours["epochs"], preset["epochs"]


def size_of(record: Record) -> int:
    """Return the side of the images that a training saw."""
    return int((DEFAULTS | record["training"]["config"])["size"])


def each_run(pairs: Sequence[Pair]) -> str:
    """Return how many pairs there are, and if several what each has: ``2: **+0.018**, +0.010``."""
    apart = [dice_difference([pair]) for pair in pairs]
    each = ", ".join(f"**{one.mean:+.3f}**" if one.differs else f"{one.mean:+.3f}" for one in apart)
    return f"{len(apart)}: {each}" if len(apart) > 1 else "1"


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
    known = DATASETS["isic2016"]
    note = f"Of ISIC 2016 the {known.listed:,} of {known.images:,} images that are at hand, not the official test part."
    return f"{title}\n\n{Table('', head, tuple(rows), note).markdown()}\n{origin(*shown)}"


def away(results: Path) -> tuple[list[Line], Callable[[Record], bool]]:
    """Return what is known of networks on other sets and on spoilt images, and what tells which are of `configs/`."""
    made = configurations().values()
    lines = lines_of(found(results, "robustness-*.json"), read_records(results).values())
    return lines, lambda model: any(follows(model, config) for config in made)


def elsewhere(results: Path) -> str:
    """Return what is left of both on sets of other hospitals, and what spoilt images cost them."""
    table, shown = ours_and_preset(*away(results))
    title = f"**The same networks on other sets and on spoilt images**\n\n![{ALT_AWAY}](docs/images/{AWAY})"
    return f"{title}\n\n{table.markdown()}\n{origin(*shown)}"


def headed(text: str, config: TrainConfig, records: Iterable[Record]) -> str:
    """Return the text of a configuration with what it gave: of its records on a random split the longest trainings."""
    ours = [record for record in records if follows(record, config) and record["split"].startswith("paper-")]
    lines = [line for line in text.splitlines() if not line.startswith(GAVE)]
    if ours:
        epochs = max(record["epochs"] for record in ours)
        first, *others = sorted((record for record in ours if record["epochs"] == epochs), key=itemgetter("seed"))
        alike = [each for each in others if each["split"] == first["split"]]
        made, dice = first["training_provenance"], interval_of(first["metrics"]["dice"])
        more = "".join(f", seed {each['seed']} {each['metrics']['dice']['mean']:.3f}" for each in alike)
        weights = Path(first["training"]["config"].get("weights") or "none").name
        run = f"with --epochs {epochs} --seed {first['seed']} --weights {weights}"
        cost = f"{round(first['training_seconds'] / 60)} minutes on {made['machine']['cpu']}, commit {made['commit']}"
        gave = f"Dice {score(dice)}{more}; n {counted(dice)}, {first['split']}"
        lines[2:2] = [f"{GAVE}{run}, in {cost}:", f"{GAVE}{gave}"]
    return "\n".join(lines) + "\n"


def billions(size: int) -> float:
    """Return the multiply-adds of the deployed network for a square of that side, in 10^9, of multiples of 128 px."""
    (latencies,) = found(HERE, "peers-latency.json")
    (measured,) = (row for row in latencies["networks"] if row["name"] == LVUNET)
    return float(measured["multiply_adds"] * (size / Card().size) ** 2 / 1e9)


def follows(record: Record, config: TrainConfig) -> bool:
    """Whether a training was taught as a configuration says; a key that was not there in its time had its default."""
    taught = DEFAULTS | record["training"]["config"]
    return all(taught[key] == value for key, value in config.model_dump(mode="json").items() if key not in OF_A_RUN)


def mean_of_images(records: Sequence[Record]) -> str:
    """Return the mean Dice over the images of all records."""
    dice = [image["dice"] for record in records for image in record["images"]]
    return f"{sum(dice) / len(dice):.3f}"


def mean(records: Sequence[Record], kind: str = "") -> str:
    """Return the mean Dice over several seeds, of all images or of one kind."""
    dice = [record[kind] if kind else record["metrics"]["dice"] for record in records]
    return f"{sum(each['mean'] for each in dice) / len(dice):.3f}"
