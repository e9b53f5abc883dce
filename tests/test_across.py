"""What is left of a model on other sets and on spoilt images, and how ours stands to the preset there."""

import csv
from itertools import cycle, islice
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from results import away_plot
from results.across import ALL, drops, lines_of, matrix, members, ours_and_preset, recipes_apart
from results.configured import away
from results.readme import HERE, PAGE

from lvunet.evaluate.intervals import mean_interval

SPLITS = Path(__file__).parents[1] / "src" / "lvunet" / "data" / "splits"
TEST, OTHER = "kvasir-seg, paper-0 test", "cvc-clinicdb"
TRAINED = "kvasir-seg (paper-0, seed 0, 40 epochs)"
BETTER = ("+0.0200 (0.0200 to 0.0200)", "yes")


def interval(mean: float, low: float, high: float, n: int = 40, clusters: int = 40) -> dict[str, Any]:
    return {"mean": mean, "low": low, "high": high, "n": n, "clusters": clusters}


def dice(mean: float, dataset: str, split: str) -> dict[str, Any]:
    """A measurement of a mean on all images of a committed split."""
    owners = members(dataset, split)
    values = islice(cycle((mean - 0.1, mean + 0.1)), len(owners))
    bounds = interval(mean, mean - 0.1, mean + 0.1, len(owners), len({*owners.values()}))
    return bounds | {"per_image": " ".join(f"{each:.4f}" for each in values)}


def spoilt(
    recipe: str, better: float = 0, weights: str = "", epochs: int = 40, size: int = 256, **taught: Any
) -> dict[str, Any]:
    """What results/robustness.py writes of a model of Kvasir-SEG, better when clean and thrice so when spoilt."""
    own = ("kvasir-seg", "paper-0 test")

    def cell(tested_on: str, split: str, mean: float, seen: int | None) -> dict[str, Any]:
        found = dice(mean + better, tested_on, split)
        where = {"model": "m", "tested_on": tested_on, "split": split, "seen": seen, "missed": 0}
        return {**where, "per_image": found.pop("per_image"), "dice": found}

    def condition(severity: str, mean: float, drop: dict[str, Any]) -> dict[str, Any]:
        facts = {"corruption": "defocus", "severity": severity, "amount": f"{severity} px", "drop": drop}
        return facts | {"per_image": dice(mean + 3 * better, *own)["per_image"]}

    config = {"dataset": own[0], "protocol": "paper", "split_seed": 0, "seed": 0, "epochs": epochs, "size": size}
    conditions = [
        condition("mild", 0.75, interval(0.05, -0.01, 0.1)),
        condition("medium", 0.6, interval(0.2, 0.1, 0.3)),
        condition("severe", 0.3, interval(0.5, 0.4, 0.6)),
    ]
    table = {"dataset": own[0], "split": own[1], "conditions": conditions}
    training = {"config": config | {"recipe": recipe} | taught}
    return {
        "recipe": recipe,
        "models": {"m": {"source_sha256": weights or recipe, "training": training}},
        "matrix": [cell(*own, 0.8, 0), cell(OTHER, "paper-0 test", 0.7, 0), cell(OTHER, ALL, 0.6, None)],
        "corruptions": {"m": table | {"clean": dice(0.8 + better, *own), "mean_drop": interval(0.25, 0.2, 0.3)}},
    }


def is_ours(model: dict[str, Any]) -> bool:
    return bool(model["source_sha256"] == "ours")


def test_the_pictures_of_the_front_page_are_of_the_results_of_now() -> None:
    shown = (PAGE.parent / "images" / away_plot.AWAY).read_text(encoding="utf-8")
    assert away_plot.in_words(away_plot.home_and_away(*away(HERE))) in shown, "run `make numbers`"


def test_the_matrix_has_test_parts_and_all_images_and_the_drops_three_severities() -> None:
    record = spoilt("paper")
    test_parts, whole = matrix(record, "test parts"), matrix(record, ALL)
    own, other = "**0.800 (0.700 to 0.900), n 200**", "0.700 (0.600 to 0.800), n 123 in 29"
    assert test_parts.head == ("trained on", "kvasir-seg", OTHER)
    assert test_parts.rows == ((f"{TRAINED}: paper", own, other),)
    assert test_parts.note.endswith("0 in 2 cells.")
    assert whole.rows == ((f"{TRAINED}: paper", "", "0.600 (0.500 to 0.700), n 612 in 29"),)
    assert whole.note.endswith("0 in 0 cells, not known of 1.")
    assert drops(record).rows == (
        ("clean: Dice", "", "0.800 (0.700 to 0.900), n 200"),
        ("defocus", "mild px; medium px; severe px", "+0.050 / **+0.200** / **+0.500**"),
        ("mean corruption drop", "", "+0.250 (0.200 to 0.300)"),
    )


def test_recipes_of_equal_budget_are_compared_image_by_image() -> None:
    records = [spoilt("paper"), spoilt("a", 0.02, size=384), spoilt("b", epochs=300)]
    records.append(spoilt("paper", better=0.5))  # of the same weights, which are not compared with themselves
    names = "a-size=384 (a) - paper (paper)"
    assert recipes_apart(lines_of(records, ())).rows == (
        (TRAINED, f"{OTHER}, all images", "Dice", names, "612 in 29", *BETTER),
        (TRAINED, f"{OTHER}, paper-0 test", "Dice", names, "123 in 29", *BETTER),
        (TRAINED, TEST, "Dice", names, "200", *BETTER),
        (TRAINED, TEST, "Dice on spoilt images", names, "200", "+0.0600 (0.0600 to 0.0600)", "yes"),
        (TRAINED, TEST, "mean corruption drop", names, "200", "-0.0400 (-0.0400 to -0.0400)", "yes"),
    )


def test_ours_stands_beside_every_preset_of_its_size_or_256_px_and_of_its_epochs_or_more() -> None:
    records = [
        spoilt("paper", 0.3, "other", augment="strong"),
        spoilt("paper", 0.3, "taught", size=384, teacher=["a"]),
        spoilt("paper", 0.3, "short", epochs=20),
        spoilt("paper", 0.01, "long", epochs=300),
        spoilt("paper", 0.015, "large", size=384),
        spoilt("paper", 0.3, "middle", size=320),
        spoilt("paper"),
        spoilt("ours", 0.02, size=384),
    ]
    table, used = ours_and_preset(lines_of(records, ()), is_ours)
    assert {row[0] for row in table.rows} == {"kvasir-seg, paper-0, seed 0"}
    elsewhere, own = (f"{OTHER}, all images", "612 in 29", "0.620"), ("kvasir-seg, spoilt images", "200", "0.610")
    assert [(*row[1:7], row[7][:7]) for row in table.rows] == [
        ("384 / 256", "40", *elsewhere, "0.600", "+0.0200"),
        ("384 / 256", "40 / 300", *elsewhere, "0.610", "+0.0100"),
        ("384", "40", *elsewhere, "0.615", "+0.0050"),
        ("384 / 256", "40", *own, "0.550", "+0.0600"),
        ("384 / 256", "40 / 300", *own, "0.580", "+0.0300"),
        ("384", "40", *own, "0.595", "+0.0150"),
    ]
    assert used[:2] == [records[-1], records[-2]]


def test_what_accuracy_leaves_out_is_left_out_and_lesions_and_normals_are_told_apart() -> None:
    paper, ours = spoilt("paper"), spoilt("ours", 0.02)
    *kept, copy = (key.partition("/")[2] for key in members("kvasir-seg", "paper-0 test"))
    images = [{"id": key, "truth_px": int(place >= 50)} for place, key in enumerate(kept)]
    accuracies = [
        {"source_sha256": name, "dataset": "kvasir-seg", "split": "paper-0 test", "lesions": {}}
        | {"images": images, "test_images_left_out": [copy]}
        for name in ("paper", "ours")
    ]
    table, _ = ours_and_preset(lines_of([paper, ours], accuracies), is_ours)
    assert [(row[3], row[4]) for row in table.rows[1:]] == [
        ("kvasir-seg, spoilt images", "199"),
        ("kvasir-seg, spoilt images, lesions", "149"),
        ("kvasir-seg, spoilt images, normals", "50"),
    ]


def test_the_picture_has_home_first_and_the_preset_of_equal_epochs_and_if_there_is_one_of_equal_size() -> None:
    records = [spoilt("paper", 0.3, "long", epochs=300), spoilt("paper"), spoilt("ours", 0.02, size=384)]
    rows = away_plot.home_and_away(lines_of(records, ()), is_ours)
    assert [(row.trained, row.test, round(row.ours, 3), round(row.preset, 3)) for row in rows] == [
        ("Kvasir-SEG, 384 / 256 px", "its test part", 0.82, 0.8),
        ("Kvasir-SEG, 384 / 256 px", "spoilt", 0.61, 0.55),
        ("Kvasir-SEG, 384 / 256 px", "all of CVC-ClinicDB", 0.62, 0.6),
    ]
    fairer = away_plot.home_and_away(lines_of([*records, spoilt("paper", 0.01, "large", size=384)], ()), is_ours)
    assert [(row.trained, round(row.preset, 3)) for row in fairer] == [
        ("Kvasir-SEG, 384 px", 0.81),
        ("Kvasir-SEG, 384 px", 0.58),
        ("Kvasir-SEG, 384 px", 0.61),
    ]
    drawn = ElementTree.fromstring(away_plot.picture_away(rows))
    assert "Kvasir-SEG, 384 / 256 px, spoilt: 0.610, preset 0.550" in drawn.attrib["aria-label"]


@pytest.mark.parametrize("split", ["grouped-0 test", ALL])
def test_recipes_are_compared_by_the_groups_of_the_committed_split(split: str) -> None:
    column = split.removesuffix(" test")
    with (SPLITS / f"{OTHER}.csv").open(encoding="utf-8", newline="") as file:
        listed = sorted((row["id"], row["group"]) for row in csv.DictReader(file) if row.get(column, "test") == "test")
    groups = [group for _, group in listed]
    differences = [0.3 * (group == groups[0]) + 0.1 * (place % 2) for place, group in enumerate(groups)]
    expected = mean_interval(differences, groups)
    assert 1 < expected.clusters < expected.n
    records = []
    for recipe, values in (("paper", [0.5] * len(groups)), ("ours", [0.5 + each for each in differences])):
        per_image = " ".join(f"{value:.4f}" for value in values)
        records.append(spoilt(recipe))
        records[-1]["matrix"] = [{"model": "m", "tested_on": OTHER, "split": split, "seen": 0, "per_image": per_image}]
    row = recipes_apart(lines_of(records, ())).rows[0]
    assert row[4] == f"{expected.n} in {expected.clusters}"
    assert row[5] == f"{expected.mean:+.4f} ({expected.low:.4f} to {expected.high:.4f})"
