"""The table of all records, and the differences between recipes, from records written by hand."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lvunet.benchmark.standings import HEAD, Record, comparisons, dice_difference, read_records, standings
from lvunet.data.registry import DATASETS
from lvunet.errors import ConfigError, MismatchedPair

PLACE = {name: place for place, name in enumerate(HEAD)}


def interval(mean: float, n: int = 40) -> dict[str, Any]:
    return {"mean": mean, "low": mean - 0.02, "high": mean + 0.01, "n": n, "clusters": n}


def record_of(
    dices: Mapping[str, float] | None = None, groups: Mapping[str, str] | None = None, **changed: Any
) -> Record:
    """A record of Kvasir-SEG by recipe "paper", of these Dice scores by id, but for what is changed."""
    images = [{"id": key, "group": (groups or {}).get(key, ""), "dice": dice} for key, dice in (dices or {}).items()]
    config = {"dataset": "kvasir-seg", "size": 256}
    fixed = {
        "model": "run",
        "dataset": "kvasir-seg",
        "split": "paper-0 test",
        "recipe": "paper",
        "seed": 0,
        "epochs": 40,
        "images_seen": 25_600,
        "training": {"config": config},
        "training_provenance": {"commit": "abc"},
        "metrics": {"dice": interval(0.883), "iou": interval(0.815), "hd95_px": interval(35.3)},
        "paper_metric": {"iou": 0.796, "dice": 0.885},
        "false_alarms": 0,
        "forms": {"trained": {"minus_trained": 0.0}, "folded": {"minus_trained": -3e-6}},
        "images": images,
    }
    return fixed | changed


def trained(before: str = "", **config: Any) -> dict[str, Any]:
    """What a record says of a training with such a configuration, that went on from a model of this name."""
    past: dict[str, Any] = {"before": {"name": before}} if before else {}
    return {"config": {"dataset": "kvasir-seg", "size": 256} | config, **past}


def test_a_run_stands_beside_what_was_published_and_what_is_to_be_reached() -> None:
    table = standings([record_of()])
    (row,) = table.rows
    assert row[:6] == ("kvasir-seg, paper-0", "paper", "0", "40", "40", "0.883 (0.863 to 0.893)")
    assert row[6:] == ("-0.032", "0.815", "35.3", "0.796 (0.807)")  # 0.883 - 0.915; the paper says 80.69
    assert "0.915 for kvasir-seg" in table.note
    assert "3e-06" in table.note


@pytest.mark.parametrize("changed", [{"split": "grouped-1 test"}, {"dataset": "mine"}])
def test_nothing_was_published_for_grouped_splits_and_unknown_sets(changed: dict[str, Any]) -> None:
    table = standings([record_of(**changed)])
    (row,) = table.rows
    assert (row[-2:], table.head[-2:]) == (("0.815", "35.3"), ("IoU", "HD95 px"))
    assert "Goals" not in table.note
    assert "published" not in table.note
    beside = standings([record_of(**changed), record_of()])
    assert (beside.rows[0][PLACE["to goal"]], beside.rows[0][-1]) == ("", "0.796")


def test_the_goal_of_busi_is_for_its_lesions() -> None:
    apart: dict[str, Any] = {"lesions": interval(0.8, 30), "normals": interval(0.7, 10), "false_alarms": 3}
    table = standings([record_of(dataset="busi", **apart)])
    whole, lesions, normals = table.rows
    assert (whole[PLACE["n"]], lesions[PLACE["n"]], normals[PLACE["n"]]) == ("40", "30", "10")
    assert [row[PLACE["to goal"]] for row in table.rows] == ["", "-0.020", ""]
    assert "3 false alarms" in normals[0]
    assert "0.82 for busi lesions" in table.note


def test_the_difference_is_that_of_the_same_images_in_any_order() -> None:
    ours, theirs = record_of({"a": 0.9, "b": 0.8, "c": 0.7}), record_of({"c": 0.4, "a": 0.8, "b": 0.8})
    found = dice_difference([(ours, theirs)])
    assert found.mean == pytest.approx((0.1 + 0 + 0.3) / 3)
    assert (found.n, found.clusters) == (3, 3)
    assert found.low == pytest.approx(0)  # 2.5 % of resamples and more, (1/3)^3, are three times b
    assert found.high == pytest.approx(0.3)  # or three times c


def test_the_frames_of_a_sequence_are_drawn_together() -> None:
    groups = {"a": "one", "b": "one"}
    ours, theirs = record_of({"a": 0.9, "b": 0.8, "c": 0.7}, groups), record_of({"a": 0.8, "b": 0.8, "c": 0.4})
    assert dice_difference([(ours, theirs)]).clusters == 2


def test_the_number_of_groups_is_stated_where_there_are_any() -> None:
    dice = interval(0.883, 123) | {"clusters": 29}
    (row,) = standings([record_of(metrics=record_of()["metrics"] | {"dice": dice})]).rows
    assert row[PLACE["n"]] == "123 in 29"


def test_scores_of_different_images_are_not_compared() -> None:
    with pytest.raises(MismatchedPair, match="different images"):
        dice_difference([(record_of({"a": 0.9}), record_of({"b": 0.9}))])


LOW, HIGH = ({str(n): base + n / 100 for n in range(20)} for base in (0.5, 0.6))
DIFFERENCE = ("20", "+0.1000 (0.1000 to 0.1000)", "yes")


@pytest.mark.parametrize(
    "changed",
    [
        {"images_seen": 48_000},
        {"epochs": 300},
        {"seed": 1},
        {"split": "grouped-0 test"},
        {"dataset": "cvc-clinicdb"},
        {"training": trained(dataset="kvasir-seg+cvc-clinicdb")},
    ],
)
def test_recipes_are_compared_with_the_paper_at_equal_budget_alone(changed: dict[str, Any]) -> None:
    plain, ours = record_of(LOW), record_of(HIGH, recipe="ours")
    (row,) = comparisons([ours, plain, record_of(HIGH, recipe="ours", **changed)]).rows
    assert row == ("kvasir-seg, paper-0", "ours - paper", "0", "40", "25,600", *DIFFERENCE)


def test_what_went_on_from_a_model_is_compared_and_says_so() -> None:
    tuned = record_of(HIGH, recipe="tuned", training=trained(before="isic2016", init="isic2016"))
    for other in (record_of(LOW), record_of(LOW, recipe="zzz")):
        (row,) = comparisons([tuned, other]).rows
        assert row[1] == f"tuned (from isic2016) - {other['recipe']}"
    assert standings([tuned]).rows[0][PLACE["recipe"]] == "tuned (from isic2016)"


def test_a_remark_stands_behind_the_recipe() -> None:
    remarked = record_of(HIGH, recipe="ours", remark="borders mirrored", training=trained())
    assert standings([remarked]).rows[0][PLACE["recipe"]] == "ours (borders mirrored)"


def test_lesions_and_normals_are_compared_apart() -> None:
    kinds: dict[str, Any] = {"lesions": interval(0.8, 1), "normals": interval(0.7, 1)}
    ours, theirs = (record_of(dices, **kinds) for dices in ({"a": 0.9, "b": 0.0}, {"a": 0.8, "b": 1.0}))
    for record in (ours, theirs):
        for row, truth_px in zip(record["images"], (30, 0), strict=True):
            row["truth_px"] = truth_px
    ours["recipe"] = "ours"
    rows = [(row[0], row[5], row[6].split()[0]) for row in comparisons([ours, theirs]).rows]
    assert rows == [
        ("kvasir-seg, paper-0", "2", "-0.4500"),
        ("- lesions", "1", "+0.1000"),
        ("- normals", "1", "-1.0000"),
    ]


def test_a_run_on_several_sets_names_them_and_is_compared_with_its_like() -> None:
    joint = [trained(dataset="kvasir-seg+cvc-clinicdb"), trained("lvunet", dataset="cvc-clinicdb+kvasir-seg")]
    records = [record_of(LOW, training=joint[0]), record_of(HIGH, recipe="ours", training=joint[1])]
    sets = "trained on cvc-clinicdb+kvasir-seg"
    assert [row[PLACE["recipe"]] for row in standings(records).rows] == [
        f"paper ({sets})",
        f"ours ({sets}, from lvunet)",
    ]
    assert [row[1] for row in comparisons(records).rows] == [f"ours ({sets}, from lvunet) - paper ({sets})"]


@pytest.mark.parametrize("dataset", [None, "splits/my+table.csv"])
def test_a_folder_of_ones_own_needs_no_name(dataset: str | None) -> None:
    (row,) = standings([record_of(dataset="mine", training=trained(dataset=dataset))]).rows
    assert row[PLACE["recipe"]] == "paper"


def test_seeds_of_one_pair_are_pooled_with_an_image_drawn_once() -> None:
    higher = {key: dice + 0.3 for key, dice in LOW.items()}
    seeds = [(0, HIGH), (1, higher), (2, LOW)]
    records = [record_of(dices, recipe="ours", seed=seed) for seed, dices in reversed(seeds)]
    records += [record_of(LOW, seed=seed) for seed, _ in seeds]
    first, second, third, pooled = comparisons(records).rows
    assert [row[2] for row in (first, second, third)] == ["0", "1", "2"]
    assert [row[6].split()[0] for row in (first, second, third)] == ["+0.1000", "+0.3000", "+0.0000"]
    assert pooled[2] == "seeds 0 to 2"
    assert pooled[5:] == ("60 in 20", "+0.1333 (0.1333 to 0.1333)", "yes")  # 0.4 / 3 for each image, so no noise
    *_, gap = comparisons(record for record in records if record["seed"] != 1).rows
    assert gap[2] == "seeds 0, 2"


def test_the_note_names_pairs_that_different_code_trained() -> None:
    plain, ours = record_of(LOW), record_of(HIGH, recipe="ours")
    assert "different code" not in comparisons([plain, ours]).note
    note = comparisons([plain, ours | {"training_provenance": {"commit": "def"}}]).note
    assert note.endswith("Trained with different code: ours - paper on kvasir-seg, paper-0 (def, abc).")


def test_what_is_not_a_record_is_named(tmp_path: Path) -> None:
    assert read_records(tmp_path / "nowhere") == {}
    for content in ("{", "[]", '{"n": 3}'):
        (tmp_path / "accuracy-x.json").write_text(content, encoding="utf-8")
        with pytest.raises(ConfigError, match=r"accuracy-x\.json"):
            read_records(tmp_path)


def test_published_figures_are_there_for_the_polyp_sets_alone() -> None:
    published = {name: entry.published.iou for name, entry in DATASETS.items() if entry.published}
    assert published == {"cvc-clinicdb": 0.8514, "cvc-colondb": 0.7964, "kvasir-seg": 0.8069}
    assert all(0.8 < entry.goal_dice < 1 for entry in DATASETS.values())
