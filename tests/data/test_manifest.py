"""The committed splits, those that users make, and what must never be in two parts."""

import csv
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from lvunet.data.manifest import (
    PARTS,
    Split,
    committed_splits,
    grouped_split,
    load_split,
    load_splits,
    paper_split,
    split_samples,
    with_groups,
    write_splits,
)
from lvunet.data.registry import DATASETS, Sample
from lvunet.errors import ConfigError, MissingDependency
from lvunet.image import write_image

COMMITTED = [split for name in DATASETS for split in load_splits(name)]
SIX = ["paper-0", "paper-1", "paper-2", "grouped-0", "grouped-1", "grouped-2"]
each_split = pytest.mark.parametrize("split", COMMITTED, ids=lambda s: f"{s.dataset}-{s.protocol}-{s.seed}")
each_set = pytest.mark.parametrize("name", DATASETS)
IDS = [f"{number:03}" for number in range(50)]


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def members(split: Split) -> list[set[str]]:
    """The groups as sets of ids."""
    return [{key for key in split.groups if split.groups[key] == group} for group in set(split.groups.values())]


@each_set
def test_each_set_has_three_splits_of_each_protocol(name: str) -> None:
    assert [f"{split.protocol}-{split.seed}" for split in load_splits(name)] == SIX


@each_split
def test_the_parts_are_disjoint_and_sorted_and_lack_no_id(split: Split) -> None:
    ids = [key for part in PARTS for key in split.part(part)]
    assert len(ids) == len(set(ids)) == DATASETS[split.dataset].listed
    assert all(list(split.part(part)) == sorted(split.part(part)) for part in PARTS)


@each_set
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_grouped_split_never_parts_a_group(name: str, seed: int) -> None:
    split = load_split(name, "grouped", seed)
    part = split.parts()
    assert all(len({part[key] for key in group}) == 1 for group in members(split))


@each_split
def test_a_fifth_is_tested_on_and_a_fifth_of_the_rest_validates(split: Split) -> None:
    n = DATASETS[split.dataset].listed
    slack = 0.03 if split.protocol == "grouped" else 1 / n
    tested = 305 / 1054 if split.dataset == "isic2016" else 0.2
    assert len(split.test) / n == pytest.approx(tested, abs=slack)
    assert len(split.val) / (n - len(split.test)) == pytest.approx(0.2, abs=slack)


def test_the_papers_split_of_a_thousand_is_640_160_200() -> None:
    split = load_split("kvasir-seg", "paper", seed=0)
    assert (len(split.train), len(split.val), len(split.test)) == (640, 160, 200)


@each_set
def test_splits_of_different_seeds_differ(name: str) -> None:
    for protocol in ("paper", "grouped"):
        assert len({load_split(name, protocol, seed).val for seed in (0, 1, 2)}) == 3


@each_set
def test_the_committed_splits_are_what_the_data_give_today(shared: Path, name: str) -> None:
    assert committed_splits(name, shared / "datasets" / name) == load_splits(name)


def test_isic_keeps_its_official_test_part(shared: Path) -> None:
    official = {row["id"] for row in rows(shared / "datasets/isic2016/split.csv") if row["split"] == "test"}
    assert all(set(split.test) == official for split in load_splits("isic2016"))


def test_the_groups_of_clinicdb_are_its_sequences(shared: Path) -> None:
    sequences: dict[str, set[str]] = {}
    for row in rows(shared / "datasets/cvc-clinicdb/index.csv"):
        sequences.setdefault(row["sequence"], set()).add(row["id"])
    assert sorted(map(sorted, members(load_split("cvc-clinicdb")))) == sorted(map(sorted, sequences.values()))


@pytest.mark.parametrize("name", ["cvc-colondb", "busi"])
def test_known_duplicates_are_in_one_group(shared: Path, name: str) -> None:
    groups = load_split(name).groups
    known = rows(shared / "datasets" / name / "duplicates.csv")
    assert {(row["group"], groups[row["id"]]) for row in known} == {
        (row["group"], groups[next(first["id"] for first in known if first["group"] == row["group"])]) for row in known
    }


def test_colondb_has_fifteen_groups_as_its_owners_say_and_they_are_runs_of_frames() -> None:
    groups = members(load_split("cvc-colondb"))
    assert len(groups) == 15
    assert all(max(map(int, group)) - min(map(int, group)) == len(group) - 1 for group in groups)


def test_near_duplicates_of_kvasir_are_in_one_group() -> None:
    groups = load_split("kvasir-seg").groups
    assert groups["cju30bmab08bi0835mvlr6e0r"] == groups["cju77k828z46w0871r0avuoo9"]
    assert groups["cju76lsehyia10987u54vn8rb"] == groups["cju772304yw5t0818vbw8kkjf"]
    assert groups["cju886ryxnsl50801r93jai7q"] == groups["cju8amfdtqi4x09871tygrgqe"]


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_grouped_parts_of_busi_have_the_classes_of_the_whole(seed: int) -> None:
    split = load_split("busi", "grouped", seed)
    for part in PARTS:
        counts = Counter(key.partition("_")[0] for key in split.part(part))
        for name, whole in (("benign", 437), ("malignant", 210), ("normal", 133)):
            assert counts[name] / len(split.part(part)) == pytest.approx(whole / 780, abs=0.02)


def test_the_papers_split_depends_on_the_seed_and_not_on_the_order_of_the_ids() -> None:
    assert paper_split(IDS, 1) == paper_split(IDS[::-1], 1) != paper_split(IDS, 2)


def test_an_official_test_part_is_kept() -> None:
    official = ("003", "001")
    assert paper_split(IDS, 0, official)[2] == grouped_split(IDS, 0, {}, {}, official)[2] == ("001", "003")


def test_groups_stay_whole_and_parts_keep_their_sizes() -> None:
    groups = {key: key[:2] for key in IDS}  # five groups of ten frames: a fifth of four groups is one
    train, val, test = grouped_split(IDS, 0, groups, {})
    assert (len(train), len(val), len(test)) == (30, 10, 10)
    assert len({groups[key] for key in test}) == len({groups[key] for key in val}) == 1


def test_an_unknown_split_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'grouped-2'"):
        load_split("busi", "grouped", seed=22)
    with pytest.raises(ConfigError, match="Did you mean 'busi'"):
        load_split("bussi")


def test_without_scikit_learn_committed_splits_load_and_new_ones_name_what_is_missing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)  # as if not installed
    assert load_split("busi").test
    with pytest.raises(MissingDependency, match=r"pip install 'lvunet\[train\]'"):
        paper_split(IDS, 0)


def test_a_split_selects_its_samples_in_order_and_leaves_out_the_others() -> None:
    split = Split("set", "paper", 0, train=("a", "b"), val=("c",), test=("d",))
    samples = [Sample(key, Path(key)) for key in "zdcba"]
    assert [sample.id for sample in split.select(samples, "train")] == ["a", "b"]
    with pytest.raises(ConfigError, match=r"is not set, .* 1 of the 2 train ids of paper-0 are not in it, such as b"):
        split.select(samples[:3] + samples[4:], "train")


def test_a_written_table_is_read_back(tmp_path: Path) -> None:
    splits = [
        Split("mine", "grouped", 0, ("a", "b"), ("c",), ("d",), {"a": "a", "b": "a"}),
        Split("mine", "by-hospital", 7, ("d",), ("a", "b"), ("c",), {"a": "a", "b": "a"}),
    ]
    write_splits(tmp_path / "mine.csv", splits)
    assert load_splits(tmp_path / "mine.csv") == splits
    assert load_split(str(tmp_path / "mine.csv"), "by-hospital", 7) == splits[1]


@pytest.mark.parametrize(
    "text",
    ["", "id,group,paper-0\n", "a,b\n1,2\n", "id,group,paper-0\na,,training\n", "id,group,paper\na,,test\n"],
    ids=["empty", "no rows", "other columns", "unknown part", "no seed"],
)
def test_a_table_that_is_none_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "splits.csv"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match="is no table of splits"):
        load_split(path)


def noise_samples(folder: Path, count: int) -> list[Sample]:
    rng = np.random.default_rng(0)
    for index in range(count):
        write_image(folder / f"{index:02}.png", rng.integers(0, 256, (32, 32, 3), dtype=np.uint8))
    return [Sample(f"{index:02}", folder / f"{index:02}.png") for index in range(count)]


def test_a_users_duplicates_and_groups_stay_together(tmp_path: Path) -> None:
    samples = noise_samples(tmp_path, 20)
    copy = Sample("copy", samples[4].image)
    patient = [Sample(f"p{k}", samples[k].image, group="anna") for k in (5, 6, 7)]
    split = split_samples([*samples[:5], copy, *samples[8:], *patient], seed=3)
    assert members(split) in ([{"04", "copy"}, {"p5", "p6", "p7"}], [{"p5", "p6", "p7"}, {"04", "copy"}])
    part = split.parts()
    assert all(len({part[key] for key in group}) == 1 for group in members(split))
    assert len(part) == 20 + 1
    assert all(split.part(name) for name in PARTS)


def test_a_users_split_is_the_same_in_any_order_of_the_samples(tmp_path: Path) -> None:
    samples = noise_samples(tmp_path, 9)
    assert split_samples(samples, 1) == split_samples(samples[::-1], 1)


def test_five_independent_samples_can_be_split_and_four_cannot(tmp_path: Path) -> None:
    samples = noise_samples(tmp_path, 5)
    split = split_samples(samples, 0)
    assert (len(split.train), len(split.val), len(split.test)) == (3, 1, 1)
    with pytest.raises(ConfigError, match="5 samples, 4 of them independent"):
        split_samples([*samples[:4], Sample("copy", samples[0].image)], 0)


def test_the_patients_of_a_table_stay_whole_and_a_mistake_in_it_is_named(tmp_path: Path) -> None:
    samples, table = noise_samples(tmp_path, 20), tmp_path / "patients.csv"
    table.write_text("id,group\n" + "".join(f"{index:02},patient {index // 4}\n" for index in range(20)))
    patients = with_groups(samples, table)
    assert [sample.group for sample in patients[-5:]] == ["patient 3", *["patient 4"] * 4]
    part = split_samples(patients).parts()
    assert all(len({part[f"{index:02}"] for index in range(first, first + 4)}) == 1 for first in (0, 4, 8, 12, 16))
    assert any(len({split_samples(samples).parts()[f"{index:02}"] for index in range(k, k + 4)}) > 1 for k in (0, 4))
    table.write_text("id,group\n00,a\n01,\n")
    with pytest.raises(ConfigError, match=r"19 of 20 images have no group, such as 01\. Give each one"):
        with_groups(samples, table)
    table.write_text("id,group\n00.png,a\n")
    with pytest.raises(
        ConfigError, match=r"no image has the id '00\.png'\. An id is the file's name without its suffix"
    ):
        with_groups(samples, table)
    table.write_text("image,patient\n00,a\n")
    with pytest.raises(ConfigError, match="is no table with the columns id and group"):
        with_groups(samples, table)


def test_one_huge_group_among_small_ones_leaves_no_part_empty(tmp_path: Path) -> None:
    samples = noise_samples(tmp_path, 30)
    grouped = [Sample(sample.id, sample.image, group="video") for sample in samples[:26]]
    assert all(split_samples([*grouped, *samples[26:]], 0).part(name) for name in PARTS)
