"""Makes docs/results.md, one page of all that was measured, from the JSON files of a folder; readme.py writes it."""

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import Any

from results.across import robustness
from results.runtimes import runtimes
from results.section import Section, counted, difference, found, interval_of, score

from lvunet.benchmark.standings import Record, comparisons, read_records, standings
from lvunet.evaluate.intervals import VERDICTS
from lvunet.evaluate.page import Table
from lvunet.learn.config import TrainConfig

HEAD = f"""# Results

All that was measured of accuracy, written by `make numbers` from the files in [`results/`](../results). The speed of
the network is in the [README](../README.md#numbers); what was made of it all, in the [lab notes](lab-notes.md).
Scores are means over images, with 95 % intervals in brackets, bootstrapped over images or over the groups that they
come in: *123 in 29* are 123 images in 29 groups. They tell of the choice of images, not of the seed of a training. A
difference *differs* if its interval excludes 0. {VERDICTS}

Recipes: *paper* is the protocol of the paper, *ours* what is usual for long trainings (`src/lvunet/learn/recipe.py`);
both were fixed before any search, but for the rims of shifted images (*mirrored*). *tuned* is ours from a model of the
package. Behind a recipe stand the keys in which a run differs from it; *configs* are those of
[`configs/`](../configs), whose keys were chosen on validation parts.
Splits: *paper-0* is random, of seed 0; *grouped-0* keeps what was taken of one scene or sequence together. Runs:
*polyp-black60*, *isic2016-zero40* and *busi-ds40* are the package's `polyp`, `skin` and `breast-ultrasound`;
*mirrored* are trainings with the strong augmentation until commit 3116cf5, which filled the rim of a shifted image with
its mirror. Moving averages (*ours*, *EMA 0.99*) of trainings until 2026-11-28 began at 0.99, which matters in runs of
fewer than about 1,500 steps: in the search, and on CVC-ColonDB.

All began with Google's MobileNetV3-Large *minimalistic* ImageNet weights, embedded in torchvision's network, since
torchvision's own, which `--weights imagenet` downloads, could not be had on these machines: with those the numbers will
be others.
"""
RUNTIMES = ("ONNX Runtime", "PyTorch channels-last")
PEERS_HEAD = (
    *("network", "package", "parameters", "multiply-adds", "starts from", "Dice", "minus LV-UNet", "differs"),
    *(f"{runtime}, ms" for runtime in RUNTIMES),
)
KEPT = ("100%", "90%", "80%", "50%")


def sections(results: Path) -> list[Section]:
    """Return the sections that have files in the folder `results`."""
    made = (make(results) for make in (accuracy, recipe_search, robustness, quality, peers, runtimes, leaks))
    return [section for section in made if section.shown]


def page(made: Iterable[Section]) -> str:
    """Return the page of these sections."""
    return "\n".join((HEAD, *(section.markdown() for section in made)))


def accuracy(results: Path) -> Section:
    """Return the table of all trained networks, and that of the recipes that can be compared."""
    records = list(read_records(results).values())
    text = (
        "How well does each trained network outline images that it has not seen? It is scored on the test part of its "
        "split, image by image at the stored size; every image counts, but for copies of images that it was trained or "
        "validated on, and a miss scores 0."
    )
    tables = standings(records), comparisons(records)
    return Section("Trained networks", text, "accuracy-*.json", tables, records)


def recipe_search(results: Path) -> Section:
    """Return a table a data set: what each change to the base did to the Dice on the validation part."""
    records = found(results, "recipe-*.json")
    text = (
        "Which changes to the recipe are worth a full training? Each experiment is the base with one change, trained "
        "with one seed and a short budget, and scored on the validation part; test images were not looked at. It is "
        "scored at the best of the epochs that may be chosen, on the same images: those whose slope is 1, which the "
        "base has two of in twelve, a tail from 0.6 or 0.3 five or more, and plain training twelve, so that a small "
        "gain of these may be that of the choice. Nothing is corrected for the number of comparisons. *The original's "
        "normalisation* is its double one, and where it says so its BGR, too."
    )
    rows = [row | {"machine": record["machine"]} for record in records for row in record["experiments"]]
    return Section("Recipe search", text, "recipe-*.json", [_experiments(record) for record in records], rows)


def _experiments(record: Record) -> Table:
    head = ("experiment", "change", "Dice", "minus base", "differs", "images seen", "minutes")
    experiments, rows = record["experiments"], []
    for each in experiments:
        against = difference(interval_of(each["minus_base"])) if each["change"] and "minus_base" in each else ("", "")
        if len(each["change"]) > 1 and "seed" in each["change"]:
            against = (against[0], "")
        first = (each["experiment"], _words(each["change"]), score(interval_of(each["dice"])))
        rows.append((*first, *against, f"{each['images_seen']:,}", f"{each['minutes']:.1f}"))
    compared = sum(
        "minus_base" in each and bool(each["change"]) and "seed" not in each["change"] for each in experiments
    )
    note = f"Of {compared} changes that do nothing {compared * 0.05:.2g} would be expected to differ."
    for each in experiments:
        if each["change"].keys() == {"seed"}:
            note += f" *{each['experiment']}* is the base with another seed: it shows the noise between seeds."
        elif "seed" in each["change"]:
            note += f" *{each['experiment']}* is held against the base of another seed: that noise is in it, too."
    unkept = [each["experiment"] for each in experiments if "dice_by_image" not in each]
    note += (
        f" Dice by image was not kept, so that it cannot be computed again, of: {'; '.join(unkept)}." if unkept else ""
    )
    n = counted(interval_of(experiments[0]["dice"]))
    title = f"{record['dataset']}, validation part, n {n}; base: {_words(record['base'])}"
    return Table(title, head, tuple(rows), note)


def _words(choices: Mapping[str, Any]) -> str:
    """Return choices of a configuration, of a path only its end."""
    return ", ".join(f"{key} {'/'.join(Path(str(value)).parts[-2:])}" for key, value in choices.items())


def quality(results: Path) -> Section:
    """Return what the calibration of each model is worth, and the Dice of the masks that it trusts most."""
    records = found(results, "quality-*.json")
    text = (
        "Does a model know when its mask is wrong? A temperature and an expected Dice of each mask were fitted on the "
        "validation part of its split, and both were judged on the test part; the NLL alone is of the validation part."
    )
    return Section("When not to trust a mask", text, "quality-*.json", (_expected(records), _kept(records)), records)


def _expected(records: Iterable[Record]) -> Table:
    head = ("model", "data set, split", "n", "temperature", "ECE", "NLL", "rank correlation", "mean absolute error")
    rows = []
    for record in records:
        fitted, constant = record["fitted_on_validation"], record["constant_mean_absolute_error"]
        pixels = (
            f"{record['temperature']:.2f}",
            f"{record['ece_at_temperature_1']:.4f} / {record['ece']:.4f}",
            f"{fitted['nll_before']:.4f} / {fitted['nll_after']:.4f}",
        )
        error = f"{_of_trust(record['mean_absolute_error'])}; constant {constant:.3f}"
        rows.append((*_model(record), str(record["n"]), *pixels, _of_trust(record["rank_correlation"]), error))
    note = (
        "ECE and NLL: of the pixels, before / after. Rank correlation (Spearman) and mean absolute error: of the "
        "expected Dice to the true; *constant* is the error of expecting their mean Dice of all these masks."
    )
    return Table("Calibration and expected Dice", head, tuple(rows), note)


def _kept(records: Iterable[Record]) -> Table:
    head = ("model", "data set, split", *(f"Dice of {share}" for share in KEPT), "AURC", "oracle", "random")
    rows = []
    for record in records:
        kept = (f"{record['dice_of_kept'][share]:.3f}" for share in KEPT)
        bounds = (f"{record['aurc_oracle']:.3f}", f"{record['aurc_random']:.3f}")
        rows.append((*_model(record), *kept, _of_trust(record["aurc"]), *bounds))
    note = (
        "Mean Dice of that share of the masks of which the model expects most. AURC, less is better: the mean of 1 - "
        "Dice over all shares; an oracle would leave out the lowest true Dice first."
    )
    return Table("Masks that are trusted most", head, tuple(rows), note)


def _model(record: Record) -> tuple[str, str]:
    return record["model"], f"{record['dataset']}, {record['split']}"


def _of_trust(measured: Mapping[str, float]) -> str:
    return f"{measured['value']:.3f} ({measured['low']:.3f} to {measured['high']:.3f})"


def peers(results: Path) -> Section:
    """Return a table a training of the peers, each network beside what it costs; without any, the costs alone."""
    records = found(results, "peers-*.json")
    latency = [record for record in records if "workload" in record]
    trained = [record for record in records if "workload" not in record]
    text = (
        "How does LV-UNet stand beside networks of other packages? All are trained by one recipe, with one budget, and "
        "scored on the test part of one split; all are timed from an image to its probability in one alternating run. "
        "LV-UNet is folded, the others are as their packages give them. LV-UNet pads images to multiples of 128 px, so "
        "that of 192 px it sees 256, the rest being copies of the border; the others take 192 px as they are."
    )
    timed = {network["name"]: network for record in latency for network in record["networks"]}
    note = " ".join(f"Latency: {record['workload']}; in brackets, times that of LV-UNet." for record in latency)
    note += " Multiply-adds: at 256 x 256, at whatever size it was trained."
    tables = [Table(_training(record), PEERS_HEAD, _peers(record["networks"], timed), note) for record in trained]
    tables = tables or [Table("Costs", PEERS_HEAD, _peers((), timed), note)]
    rows = [network for record in trained for network in record["networks"]]
    return Section("Peers", text, "peers-*.json", tables, [*rows, *latency])


def _training(record: Record) -> str:
    recipe, dice = record["recipe"], interval_of(record["networks"][0]["dice"])
    preset = TrainConfig.read(None, {"recipe": recipe["recipe"]}).model_dump(mode="json")
    changed = {key: value for key, value in recipe.items() if value != preset[key] and key not in ("dataset", "recipe")}
    run = f"recipe {recipe['recipe']}, {_words({'seed': recipe['seed'], **changed})}"
    return f"{record['dataset']}, {record['split']}, n {counted(dice)}: {run}"


def _peers(networks: Sequence[Record], timed: Mapping[str, Record]) -> tuple[tuple[str, ...], ...]:
    """Return a row a network: those that were trained, of which LV-UNet is the first, then those only timed."""
    trained = {network["name"]: network for network in networks}
    rows = []
    for name in dict.fromkeys((*trained, *timed)):
        known, learned, times = trained.get(name) or timed[name], ("",) * 4, ("",) * len(RUNTIMES)
        if network := trained.get(name):
            against = difference(interval_of(network["minus_lvunet"])) if network is not networks[0] else ("", "")
            learned = (network["initialised"], score(interval_of(network["dice"])), *against)
        if network := timed.get(name):
            each = (network[runtime] for runtime in RUNTIMES)
            times = tuple(f"{time['median_ms']:.1f} ({time['times_lvunet']:.1f})" for time in each)
        size = (f"{known['parameters'] / 1e6:.2f} M", f"{known['multiply_adds'] / 1e9:.2f} G")
        rows.append((name, f"{known['package']} {known['version']}", *size, *learned, *times))
    return tuple(rows)


def leaks(results: Path) -> Section:
    """Return the leaks of each split, and those between sets, a table a file."""
    records = sorted(found(results, "data-leaks*.json"), key=lambda record: "pairs" in record)
    text = (
        "How many test images have their like in training or validation, and how many validation images in training? "
        "Pairs were searched for in all committed splits; a score on leaked images says less of new ones."
    )
    return Section("Leaks", text, "data-leaks*.json", [_leaks(record) for record in records], records)


def _leaks(record: Record) -> Table:
    """Return a row a data set and protocol, a column a seed: the test images that leak, and by which relation."""
    seeds = sorted({split["seed"] for split in record["splits"]})
    rows = []
    for (dataset, protocol), group in groupby(record["splits"], itemgetter("dataset", "protocol")):
        splits = {split["seed"]: split for split in group}
        tested = (_leaked(splits[seed]) if seed in splits else "" for seed in seeds)
        validated = "; ".join(f"{split['val_leaks']['any']} of {split['n_val']}" for split in splits.values())
        rows.append((f"{dataset}, {protocol}", *tested, validated))
    head = ("data set, protocol", *(f"test, seed {seed}" for seed in seeds), "validation, each seed")
    title, note = "Within sets", f"Counted: {record['what']}."
    if "pairs" in record:
        title, (near, far) = "Across sets", (record["nearest"][key] for key in ("first", "second"))
        note = f"{note.removesuffix('.')} {record['images']:,} images, {len(record['pairs'])} such pairs; "
        note += f"nearest are {near} and {far}, RMSE {record['nearest']['rmse']:.1f}."
    return Table(title, head, tuple(rows), note)


def _leaked(split: Record) -> str:
    """Return ``123 of 123 (1 near, 27 scene, 95 group)``."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in split["test_leaks"].items() if count and kind != "any")
    return f"{split['test_leaks']['any']} of {split['n_test']}" + (f" ({kinds})" if kinds else "")
