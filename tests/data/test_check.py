"""What is found in a folder that is not as it should be, and in the real ones."""

import json
from collections.abc import Mapping
from pathlib import Path
from time import process_time

import numpy as np
import pytest
from PIL import Image

from lvunet.data.check import Findings, Leak, check, count_leaks, find_leaks
from lvunet.data.duplicates import Pair
from lvunet.data.manifest import Split, load_splits
from lvunet.data.phantom import write_phantoms
from lvunet.data.registry import DATASETS, Sample, find_samples
from lvunet.errors import EmptyInput

RESULTS = Path(__file__).parents[2] / "results" / "data-leaks.json"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Seven phantoms, the masks of which are in order and not empty."""
    write_phantoms(tmp_path, 7, size=(64, 64))
    return tmp_path


def put(path: Path, pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> None:
    Image.fromarray(pixels).save(path)


def test_nothing_is_found_in_a_clean_folder(folder: Path) -> None:
    findings = check(folder)
    assert findings == Findings(samples=7)
    assert findings.unusable == 0
    assert findings.lines() == ["7 samples", "nothing found"]


def test_an_empty_file_a_text_and_a_truncated_png_are_reported_as_unreadable(folder: Path) -> None:
    images = sorted((folder / "images").iterdir())
    images[0].write_bytes(b"")
    images[1].write_text("not a picture", encoding="utf-8")
    mask = folder / "masks" / images[2].name
    mask.write_bytes(mask.read_bytes()[:60])
    findings = check(folder)
    assert [problem.id for problem in findings.unreadable] == [path.stem for path in images[:3]]
    assert findings.unusable == 3


def test_a_mask_of_another_size_is_reported_with_both_sizes(folder: Path) -> None:
    put(folder / "masks" / "polyp_00000.png", np.zeros((10, 20), dtype=np.uint8))
    (problem,) = check(folder).wrong_size
    assert (problem.id, problem.reason) == ("polyp_00000", "image 64 x 64, mask 20 x 10")


def test_a_mask_with_greys_is_reported_with_their_share(folder: Path) -> None:
    mask = np.zeros((64, 64), dtype=np.uint8)
    mask[:32] = 255
    mask[32, :] = 90  # 64 of 4096 pixels
    put(folder / "masks" / "polyp_00000.png", mask)
    (problem,) = check(folder).not_binary
    assert (problem.id, problem.reason) == ("polyp_00000", "1.56% of the pixels are between the two values")


def test_a_mask_of_0_and_1_is_binary(folder: Path) -> None:
    put(folder / "masks" / "polyp_00000.png", np.eye(64, dtype=np.uint8))
    assert check(folder) == Findings(samples=7)


def test_masks_of_class_indices_are_in_order_up_to_the_number_of_classes(folder: Path) -> None:
    for path in (folder / "masks").iterdir():
        put(path, np.full((64, 64), 2, dtype=np.uint8))
    assert check(folder, classes=3).unusable == 0
    assert check(folder, classes=2).unusable == 7


def test_an_empty_mask_is_listed_and_is_usable(folder: Path) -> None:
    put(folder / "masks" / "polyp_00003.png", np.zeros((64, 64), dtype=np.uint8))
    findings = check(folder)
    assert findings.empty_masks == ("polyp_00003",)
    assert findings.unusable == 0


def test_missing_partners_are_listed_and_the_rest_is_checked(folder: Path) -> None:
    (folder / "masks" / "polyp_00000.png").unlink()
    (folder / "images" / "polyp_00003.png").unlink()
    findings = check(folder)
    assert (findings.samples, findings.without_mask, findings.without_image) == (5, ("polyp_00000",), ("polyp_00003",))
    assert findings.unusable == 2


def test_equal_images_with_different_masks_are_a_conflict(folder: Path) -> None:
    image = (folder / "images" / "polyp_00000.png").read_bytes()
    mask = (folder / "masks" / "polyp_00000.png").read_bytes()
    for name in ("same", "other"):
        (folder / "images" / f"{name}.png").write_bytes(image)
    (folder / "masks" / "same.png").write_bytes(mask)
    put(folder / "masks" / "other.png", np.full((64, 64), 255, dtype=np.uint8))
    findings = check(folder)
    assert [pair.kind for pair in findings.pairs] == ["exact"] * 3
    assert [(pair.first, pair.second) for pair in findings.conflicts] == [("other", "polyp_00000"), ("other", "same")]


def test_progress_is_told_after_each_sample(folder: Path) -> None:
    told: list[tuple[int, int]] = []
    check(folder, progress=lambda done, of: told.append((done, of)))
    assert told == [(done, 7) for done in range(1, 8)]


def test_samples_may_be_given_and_those_without_masks_are_listed(folder: Path) -> None:
    samples = find_samples(folder)
    findings = check([*samples[:3], Sample("bare", samples[3].image)])
    assert (findings.samples, findings.without_mask) == (3, ("bare",))


def test_an_empty_folder_is_not_a_clean_one(tmp_path: Path) -> None:
    with pytest.raises(EmptyInput):
        check(tmp_path)


def test_a_split_is_compared_with_the_folder(folder: Path) -> None:
    ids = [sample.id for sample in find_samples(folder)]
    split = Split("mine", "paper", 0, tuple(ids[:3]), ("gone",), tuple(ids[3:6]))
    findings = check(folder, split)
    assert (findings.unlisted, findings.absent) == ((ids[6],), ("gone",))


def test_the_report_names_the_first_five_and_counts_the_others() -> None:
    findings = Findings(samples=9, empty_masks=tuple("abcdefg"))
    assert findings.lines() == [
        "9 samples",
        "empty masks (right where there is nothing to outline): 7: a, b, c, d, e and 2 more",
    ]


def test_the_findings_can_be_written_as_json(folder: Path) -> None:
    (folder / "images" / "polyp_00000.png").write_bytes(b"")
    assert json.loads(json.dumps(check(folder).to_dict()))["unreadable"][0]["id"] == "polyp_00000"


SPLIT = Split("set", "paper", 0, train=("a", "b"), val=("c", "d"), test=("e", "f"), groups={"b": "b", "d": "b"})


def leaks_of(*pairs: tuple[str, str, str], groups: Mapping[str, str] | None = None) -> set[Leak]:
    found = find_leaks(SPLIT, [Pair(one, two, kind, 0.0) for one, two, kind in pairs], groups)  # type: ignore[arg-type]
    return set(found) - {Leak("d", "val", "group", "b", "train")}  # the group of SPLIT itself


def test_a_duplicate_leaks_from_the_later_part() -> None:
    assert leaks_of(("a", "e", "near")) == {Leak("e", "test", "near", "a", "train")}
    assert leaks_of(("c", "f", "scene")) == {Leak("f", "test", "scene", "c", "val")}


def test_a_duplicate_within_a_part_or_outside_the_split_is_no_leak() -> None:
    assert leaks_of(("a", "b", "exact"), ("e", "f", "exact"), ("a", "stranger", "exact")) == set()


def test_an_image_leaks_once_by_its_strongest_relation() -> None:
    assert leaks_of(("a", "e", "scene"), ("c", "e", "exact"), ("b", "e", "near")) == {
        Leak("e", "test", "exact", "c", "val")
    }


def test_the_group_of_a_sample_counts_like_that_of_the_split() -> None:
    assert leaks_of(groups={"a": "anna", "f": "anna"}) == {Leak("f", "test", "group", "a", "train")}


def test_leaks_are_counted_by_part_and_relation() -> None:
    leaks = find_leaks(SPLIT, [Pair("a", "e", "near", 1.0)])
    assert count_leaks(SPLIT, leaks) == {
        "dataset": "set",
        "protocol": "paper",
        "seed": 0,
        "n_train": 2,
        "n_val": 2,
        "n_test": 2,
        "val_leaks": {"exact": 0, "near": 0, "scene": 0, "group": 1, "any": 1},
        "test_leaks": {"exact": 0, "near": 1, "scene": 0, "group": 0, "any": 1},
    }


@pytest.fixture(scope="module")
def real(shared: Path) -> dict[str, Findings]:
    """The findings in the five real sets."""
    return {name: check(shared / "datasets" / name) for name in DATASETS}


def pairs_of(findings: Findings, kind: str) -> set[tuple[str, str]]:
    return {(pair.first, pair.second) for pair in findings.pairs if pair.kind == kind}


def test_the_real_sets_are_readable_whole_and_binary(real: dict[str, Findings]) -> None:
    assert {name: found.samples for name, found in real.items()} == {
        name: entry.listed for name, entry in DATASETS.items()
    }
    assert all(found.unusable == 0 and not found.not_binary for found in real.values())


def test_only_the_normal_images_of_busi_have_empty_masks(real: dict[str, Findings]) -> None:
    assert real["busi"].empty_masks == tuple(f"normal_{number:03}" for number in range(1, 134))
    assert not any(found.empty_masks for name, found in real.items() if name != "busi")


def test_the_near_duplicates_are_those_of_the_provenance(real: dict[str, Findings]) -> None:
    assert pairs_of(real["kvasir-seg"], "near") == {
        ("cju30bmab08bi0835mvlr6e0r", "cju77k828z46w0871r0avuoo9"),
        ("cju76lsehyia10987u54vn8rb", "cju772304yw5t0818vbw8kkjf"),
        ("cju886ryxnsl50801r93jai7q", "cju8amfdtqi4x09871tygrgqe"),
    }
    assert pairs_of(real["cvc-clinicdb"], "near") == {("062", "063"), ("112", "113"), ("198", "199"), ("364", "365")}
    assert pairs_of(real["busi"], "near") == {
        ("benign_233", "benign_299"),
        ("normal_051", "normal_054"),
        ("normal_055", "normal_068"),
    }
    assert len(pairs_of(real["cvc-colondb"], "near") | pairs_of(real["cvc-colondb"], "exact")) == 89
    assert real["isic2016"].pairs == ()


def test_colondb_has_346_distinct_images_and_busi_one_under_two_classes(real: dict[str, Findings]) -> None:
    repeated = {second for _, second in pairs_of(real["cvc-colondb"], "exact")}
    assert 380 - len(repeated) == 346
    assert pairs_of(real["busi"], "exact") == {("benign_433", "malignant_145")}


def test_equal_frames_with_different_masks_are_those_of_the_provenance(real: dict[str, Findings]) -> None:
    assert {(pair.first, pair.second) for pair in real["cvc-colondb"].conflicts} == {
        ("108", "139"),
        ("183", "198"),
        ("190", "203"),
        ("276", "289"),
        ("289", "296"),
    }
    assert len(real["busi"].conflicts) == 1


def test_no_grouped_split_leaks_and_the_papers_splits_leak_as_published(real: dict[str, Findings]) -> None:
    splits = [split for name in DATASETS for split in load_splits(name)]
    rows = [count_leaks(split, find_leaks(split, real[split.dataset].pairs)) for split in splits]
    assert not any(
        row[part]["any"] for row in rows if row["protocol"] == "grouped" for part in ("val_leaks", "test_leaks")
    )
    assert rows == json.loads(RESULTS.read_text(encoding="utf-8"))["splits"]


@pytest.mark.slow
def test_a_thousand_images_are_checked_in_15_seconds_of_one_core(shared: Path) -> None:
    start = process_time()
    check(shared / "datasets" / "kvasir-seg")
    assert process_time() - start < 15
