"""Which samples a job works on: a set, a union of sets, a table, or a folder of one's own."""

from pathlib import Path

import pytest

from lvunet.data.manifest import PARTS, load_split
from lvunet.data.pack import pack
from lvunet.data.phantom import write_phantoms
from lvunet.data.registry import Sample, find_samples
from lvunet.data.selection import choose, image_hash, seen_in_training, task
from lvunet.errors import ConfigError, InputError

CLINIC, COLON = "cvc-clinicdb", "cvc-colondb"
BOTH = f"{CLINIC}+{COLON}"


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of both CVC sets under their official ids; the files are empty, for only their names are read."""
    folder = tmp_path_factory.mktemp("sets")
    for name in (CLINIC, COLON):
        for kind in ("images", "masks"):
            (folder / name / kind).mkdir(parents=True)
            for key in load_split(name).parts():
                (folder / name / kind / f"{key}.png").touch()
    (folder / COLON / "groups.csv").write_text("id,group\n1,anna\n2,anna\n", encoding="utf-8")
    return folder


@pytest.mark.parametrize(("protocol", "seed"), [("paper", 0), ("grouped", 2)])
def test_the_parts_of_a_union_are_those_of_its_sets_under_names_of_their_own(
    root: Path, protocol: str, seed: int
) -> None:
    samples, split = task(root, BOTH, protocol, seed)
    assert len(samples) == len(split.parts()) == 612 + 380
    for part in PARTS:
        of_each = {name: load_split(name, protocol, seed).part(part) for name in (CLINIC, COLON)}
        assert set(split.part(part)) == {f"{name}/{key}" for name, keys in of_each.items() for key in keys}
        chosen = split.select(samples, part)
        assert [sample.id for sample in chosen] == list(split.part(part)) == sorted(split.part(part))
        assert all(sample.id == f"{sample.image.parent.parent.name}/{sample.image.stem}" for sample in chosen)


def test_groups_of_two_sets_stay_two_groups(root: Path) -> None:
    samples, split = task(root, BOTH, "grouped")
    for name in (CLINIC, COLON):
        groups = load_split(name, "grouped").groups
        assert groups["001"] == "001"  # in both sets: without the prefix it would be one group
        assert split.groups[f"{name}/001"] == f"{name}/001"
    assert len(split.groups) == sum(len(load_split(name, "grouped").groups) for name in (CLINIC, COLON))
    assert [sample.id for sample in samples if sample.group == f"{COLON}/anna"] == [f"{COLON}/001", f"{COLON}/002"]
    assert {sample.group for sample in samples} == {"", f"{COLON}/anna"}


def test_the_order_of_the_names_makes_no_difference(root: Path) -> None:
    assert task(root, f"{COLON}+{CLINIC}+{COLON}") == task(root, BOTH)


def test_a_set_is_found_in_its_own_folder_and_in_one_of_several(root: Path) -> None:
    assert task(root, COLON) == task(root / COLON, COLON)
    samples, split = task(root, COLON)
    assert (len(samples), split) == (380, load_split(COLON))


def test_training_and_evaluation_work_on_the_same_samples(root: Path) -> None:
    samples, split = task(root, BOTH, "grouped", 1)
    assert choose(root, "test", BOTH, "grouped", 1) == (split.select(samples, "test"), "grouped-1 test")
    assert choose(root, None, BOTH) == (samples, "all images")


def test_a_union_without_one_of_its_folders_is_refused_by_what_is_missing(root: Path) -> None:
    samples, split = task(root, f"{CLINIC}+busi")
    with pytest.raises(ConfigError, match=r"156 of the 279 test ids .* such as busi/"):  # fifths of 780 and 612
        split.select(samples, "test")


def test_a_misspelt_set_in_a_union_is_answered_with_the_nearest_name(root: Path) -> None:
    with pytest.raises(ConfigError, match="Did you mean 'cvc-colondb'"):
        task(root, f"{CLINIC}+cvc-colon")


def test_several_sets_without_a_name_are_asked_for_one(root: Path) -> None:
    with pytest.raises(InputError, match="name one"):
        task(root, None)


def test_a_folder_of_ones_own_is_split_anew_the_same_way_each_time(tmp_path: Path) -> None:
    write_phantoms(tmp_path, 10, size=(32, 32))
    samples, split = task(tmp_path, None, seed=1)
    assert sorted(split.parts()) == [sample.id for sample in samples]
    assert (split.protocol, split.seed) == ("grouped", 1)
    assert task(tmp_path, None, seed=1) == (samples, split)
    assert choose(tmp_path, "val", None, seed=1)[0] == split.select(samples, "val")


def test_a_packed_image_is_known_as_the_one_it_was_made_from(tmp_path: Path) -> None:
    write_phantoms(tmp_path / "set", 3, size=(48, 64))
    pack([tmp_path / "set"], tmp_path / "pack")
    pack([tmp_path / "pack" / "set"], tmp_path / "twice")
    originals = find_samples(tmp_path / "set")
    hashes = [image_hash(sample.image) for sample in originals]
    assert len(set(hashes)) == 3
    for place in (tmp_path / "pack", tmp_path / "twice"):
        packed: list[Sample] = find_samples(place)
        assert [image_hash(sample.image) for sample in packed] == hashes
    assert seen_in_training({"seen": hashes[:1]}, packed) == [originals[0].id]
