"""The README and docs/results.md: their numbers are those of results/, their links lead somewhere."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from results import page, readme
from results.section import origin

from lvunet.evaluate.page import Table

ROOT = Path(__file__).parents[1]
PAGES = ("README.md", "docs/results.md")
Shown = Callable[[Mapping[str, Any]], Sequence[Table]]
MADE = {"commit": "abc", "date": "2026-01-02", "machine": {"cpu": "CPU", "cores": 2}}


def test_the_numbers_of_the_readme_and_the_page_are_those_of_the_results() -> None:
    made = page.sections(readme.HERE)
    text = readme.README.read_text(encoding="utf-8")
    assert readme.renewed(text, made) == text, "run `make numbers`"
    assert readme.PAGE.read_text(encoding="utf-8") == page.page(made), "run `make numbers`"


@pytest.mark.parametrize("name", PAGES)
def test_every_picture_and_link_exists(name: str) -> None:
    targets = [part.split(")")[0] for part in (ROOT / name).read_text(encoding="utf-8").split("](")[1:]]
    local = [target.partition("#")[0] for target in targets if not target.startswith("http")]
    assert len(local) > 2
    assert all((ROOT / name).parent.joinpath(target).exists() for target in local), local


def interval(mean: float, low: float, high: float, n: int = 40, clusters: int = 40) -> dict[str, Any]:
    return {"mean": mean, "low": low, "high": high, "n": n, "clusters": clusters}


@pytest.fixture
def shown(tmp_path: Path) -> Shown:
    """Write records under their names to a folder; return the tables of the one section that comes of them."""

    def tables(records: Mapping[str, Any]) -> Sequence[Table]:
        for name, record in records.items():
            (tmp_path / f"{name}.json").write_text(json.dumps(record), encoding="utf-8")
        (section,) = page.sections(tmp_path)
        found: Sequence[Table] = section.shown
        return found

    return tables


def test_a_section_without_its_files_is_left_out(tmp_path: Path) -> None:
    assert page.sections(tmp_path) == []
    assert page.page([]).startswith("# Results")


def test_accuracy_is_the_standings_and_the_paired_difference(shown: Shown) -> None:
    records = {}
    for recipe, dice in (("paper", 0.8), ("ours", 0.9)):
        score = interval(dice, dice - 0.01, dice + 0.01, n=2, clusters=2)
        run = {"recipe": recipe, "seed": 0, "epochs": 40, "images_seen": 25_600, "source_sha256": recipe}
        where = {"dataset": "kvasir-seg", "split": "paper-0 test", "model": recipe, "false_alarms": 0}
        means = {"metrics": {"dice": score, "iou": score, "hd95_px": score}, "paper_metric": None}
        images = [{"id": key, "group": "", "dice": dice} for key in "abcdefghij"]
        forms = {"trained": {"minus_trained": 0.0}}
        training = {"training": {"config": {"dataset": "kvasir-seg", "size": 256}}, "training_provenance": MADE}
        record = {**run, **where, **means, **training, "images": images, "forms": forms}
        records[f"accuracy-{recipe}"] = record | MADE
    standings, differences = shown(records)
    assert standings.rows[0][:7] == ("kvasir-seg, paper-0", "ours", "0", "40", "2", "0.900 (0.890 to 0.910)", "-0.015")
    assert differences.rows[0][-2:] == ("+0.1000 (0.1000 to 0.1000)", "yes")


def test_an_experiment_stands_with_its_change_its_difference_and_whether_that_excludes_0(shown: Shown) -> None:
    def experiment(name: str, change: dict[str, str], minus_base: dict[str, Any]) -> dict[str, Any]:
        cost = {"images_seen": 7680, "minutes": 7.6, "commit": "abc"}
        dice = interval(0.8336, 0.8065, 0.8589)
        return {"experiment": name, "change": change, **cost, "dice": dice, "minus_base": minus_base}

    experiments = [
        experiment("base", {}, interval(0, 0, 0)),
        experiment("base, seed 1", {"seed": "1"}, interval(0.0084, -0.002, 0.0194)),
        experiment("taught", {"teacher": "/a/b/run/best.safetensors"}, interval(-0.0037, -0.0059, -0.0018)),
        experiment("taught, seed 1", {"teacher": "a", "seed": "1"}, interval(0.01, 0.002, 0.02)),
    ]
    for each in (*experiments[:2], experiments[3]):
        each["dice_by_image"] = {"a": 0.8}
    base = {"epochs": 12, "size": 192}
    record = {"dataset": "busi", "part": "val", "base": base, "experiments": experiments, "machine": MADE["machine"]}
    (table,) = shown({"recipe-busi": record})
    dice, cost = "0.834 (0.806 to 0.859)", ("7,680", "7.6")
    assert table.title == "busi, validation part, n 40; base: epochs 12, size 192"
    assert table.rows == (
        ("base", "", dice, "", "", *cost),
        ("base, seed 1", "seed 1", dice, "+0.0084 (-0.0020 to 0.0194)", "no", *cost),
        ("taught", "teacher run/best.safetensors", dice, "-0.0037 (-0.0059 to -0.0018)", "yes", *cost),
        ("taught, seed 1", "teacher a, seed 1", dice, "+0.0100 (0.0020 to 0.0200)", "", *cost),
    )
    assert table.note.startswith(
        "Of 1 changes that do nothing 0.05 would be expected to differ. *base, seed 1* is the base"
    )
    noise = "*taught, seed 1* is held against the base of another seed: that noise is in it, too."
    assert table.note.endswith(f"{noise} Dice by image was not kept, so that it cannot be computed again, of: taught.")


def test_a_section_says_where_it_comes_from(tmp_path: Path) -> None:
    (tmp_path / "quality-run.json").write_text(json.dumps(judged()), encoding="utf-8")
    (section,) = page.sections(tmp_path)
    assert "\nFrom `results/quality-*.json`. *Commit abc; 2026-01-02; CPU, 2 cores.*\n" in section.markdown()


def test_the_origin_names_every_commit_once_and_dates_where_they_are_known() -> None:
    undated = {"commit": "abb", "machine": MADE["machine"]}
    assert origin(MADE, MADE, undated) == "*Commit abb, abc; 2026-01-02; CPU, 2 cores.*"
    assert origin(undated) == "*Commit abb; CPU, 2 cores.*"


def judged() -> dict[str, Any]:
    """What results/quality.py writes of a model, but for its images."""

    def measured(value: float) -> dict[str, float]:
        return {"value": value, "low": value - 0.01, "high": value + 0.01}

    where = {"dataset": "busi", "split": "paper-0 test", "model": "run", "n": 156, "temperature": 2.431}
    pixels = {"ece_at_temperature_1": 0.02827, "ece": 0.00744}
    fitted = {"fitted_on_validation": {"nll_before": 0.17739, "nll_after": 0.10545}}
    expected = {"rank_correlation": measured(0.8), "mean_absolute_error": measured(0.06)}
    bounds = {"constant_mean_absolute_error": 0.094, "aurc_oracle": 0.04, "aurc_random": 0.12}
    kept = {"100%": 0.88, "90%": 0.9, "80%": 0.92, "70%": 0.93, "50%": 0.95}
    return {**where, **pixels, **fitted, **expected, **bounds, "aurc": measured(0.05), "dice_of_kept": kept, **MADE}


def test_a_calibration_stands_before_and_after_and_the_masks_by_trust(shown: Shown) -> None:
    calibration, kept = shown({"quality-run": judged()})
    of = ("run", "busi, paper-0 test")
    pixels = ("156", "2.43", "0.0283 / 0.0074", "0.1774 / 0.1055")
    expected = ("0.800 (0.790 to 0.810)", "0.060 (0.050 to 0.070); constant 0.094")
    assert calibration.rows == ((*of, *pixels, *expected),)
    shares = ("0.880", "0.900", "0.920", "0.950")
    assert kept.rows == ((*of, *shares, "0.050 (0.040 to 0.060)", "0.040", "0.120"),)


NETWORK = {"package": "a", "version": "1.0", "parameters": 510_953, "multiply_adds": 157_070_000}


def timed() -> dict[str, Any]:
    def network(name: str, times: float) -> dict[str, Any]:
        latency = {"median_ms": 4 * times, "times_lvunet": times}
        return {"name": name, **NETWORK, "ONNX Runtime": latency, "PyTorch channels-last": latency}

    return {"workload": "batch 1", "networks": [network("lv-unet", 1), network("unet", 10), network("fpn", 5)], **MADE}


def test_peers_that_were_only_timed_are_a_table_of_costs(shown: Shown) -> None:
    (costs,) = shown({"peers-latency": timed()})
    own = ("0.51 M", "0.16 G", "", "", "", "", "4.0 (1.0)", "4.0 (1.0)")
    assert costs.rows[0] == ("lv-unet", "a 1.0", *own)
    assert "Latency: batch 1" in costs.note


def test_peers_are_joined_by_name_with_what_they_cost(shown: Shown) -> None:
    def trained(name: str, dice: float, minus_lvunet: dict[str, Any]) -> dict[str, Any]:
        score = interval(dice, dice - 0.02, dice + 0.02) | {"median": 0.9}
        return {"name": name, **NETWORK, "initialised": "random", "dice": score, "minus_lvunet": minus_lvunet, **MADE}

    networks = [trained("lv-unet", 0.8, interval(0, 0, 0)), trained("unet", 0.85, interval(0.05, 0.03, 0.07))]
    recipe = {"recipe": "paper", "seed": 0, "size": 192, "epochs": 30}
    record = {"dataset": "busi", "split": "paper-0 test", "recipe": recipe, "networks": networks}
    (table,) = shown({"peers-busi": record, "peers-latency": timed()})
    assert table.title == "busi, paper-0 test, n 40: recipe paper, seed 0, size 192, epochs 30"
    size = ("a 1.0", "0.51 M", "0.16 G")
    assert table.rows == (
        ("lv-unet", *size, "random", "0.800 (0.780 to 0.820)", "", "", "4.0 (1.0)", "4.0 (1.0)"),
        (
            *("unet", *size, "random", "0.850 (0.830 to 0.870)", "+0.0500 (0.0300 to 0.0700)", "yes"),
            *("40.0 (10.0)", "40.0 (10.0)"),
        ),
        ("fpn", *size, "", "", "", "", "20.0 (5.0)", "20.0 (5.0)"),
    )


def test_leaks_are_counted_within_and_across_sets(shown: Shown) -> None:
    def split(seed: int, **leaks: int) -> dict[str, Any]:
        counts = {"exact": 0, "near": 0, "scene": 0, "group": 0} | leaks
        counts["any"] = sum(counts.values())
        n = {"n_train": 60, "n_val": 20, "n_test": 25}
        leaked = {"val_leaks": counts, "test_leaks": counts}
        return {"dataset": "busi", "protocol": "paper", "seed": seed, **n, **leaked}

    within = {"what": "images", "splits": [split(0, exact=1, scene=3), split(1)], **MADE}
    nearest = {"first": "a/1", "second": "b/2", "rmse": 23.37}
    across = {"what": "pairs.", "images": 1992, "pairs": [], "nearest": nearest, "splits": [split(0)], **MADE}
    first, second = shown({"data-leaks": within, "data-leaks-across": across})
    assert first.rows == (("busi, paper", "4 of 25 (1 exact, 3 scene)", "0 of 25", "4 of 20; 0 of 20"),)
    assert second.rows == (("busi, paper", "0 of 25", "0 of 20"),)
    assert "1,992 images, 0 such pairs; nearest are a/1 and b/2, RMSE 23.4." in second.note
