"""The five sets as data, and what is found in a folder."""

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lvunet.data.manifest import load_split
from lvunet.data.registry import DATASETS, dataset, find_samples, sample_id, scan
from lvunet.errors import ConfigError, EmptyInput, InputError, MismatchedPair
from lvunet.image import read_masks

Draw = Callable[..., Path]


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """Write small grey pictures of the given names under `tmp_path`, and return it."""

    def write(*names: str, value: int = 0) -> Path:
        for name in names:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            Image.new("L", (4, 3), value).save(tmp_path / name)
        return tmp_path

    return write


def test_there_are_the_five_sets_of_the_paper() -> None:
    assert {name: entry.images for name, entry in DATASETS.items()} == {
        "kvasir-seg": 1000,
        "cvc-clinicdb": 612,
        "cvc-colondb": 380,
        "isic2016": 900 + 379,
        "busi": 437 + 210 + 133,
    }


@pytest.mark.parametrize("name", DATASETS)
def test_a_set_names_its_creators_terms_and_watch_outs(name: str) -> None:
    entry = dataset(name)
    assert all((entry.title, entry.target, entry.creators, entry.citation, entry.terms, entry.url, entry.notes))


@pytest.mark.parametrize("name", DATASETS)
def test_the_committed_splits_list_as_many_ids_as_the_registry_says(name: str) -> None:
    assert len(load_split(name).parts()) == dataset(name).listed


def test_an_unknown_set_is_answered_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'kvasir-seg'"):
        dataset("kvasirseg")


@pytest.mark.parametrize(
    ("stem", "expected"),
    [("benign (7)", "benign_007"), ("normal (133)", "normal_133"), ("7", "007"), ("0042", "0042"), ("a7", "a7")],
)
def test_file_names_become_the_ids_of_the_splits(stem: str, expected: str) -> None:
    assert sample_id(stem) == expected


LAYOUTS = {
    "ours": (["images/b.jpg", "masks/b.png", "images/a.png", "masks/a.png"], ["a", "b"]),
    "masks that end in _mask": (["images/a.png", "masks/a_mask.png"], ["a"]),
    "images and masks by number": (["images/12.png", "masks/12.png"], ["012"]),
    "Kvasir-SEG": (["Kvasir-SEG/images/cju.jpg", "Kvasir-SEG/masks/cju.jpg"], ["cju"]),
    "CVC-ClinicDB, tif": (["Original/7.tif", "Ground Truth/7.tif"], ["007"]),
    "CVC-ClinicDB, png": (["PNG/Original/612.png", "PNG/Ground Truth/612.png"], ["612"]),
    "CVC-ColonDB, tiff": (["7.tiff", "p7.tiff", "cp7.tiff", "80.tiff", "p80.tiff", "cp80.tiff"], ["007", "080"]),
    "CVC-ColonDB, bmp": (["CVC-ColonDB/7.bmp", "CVC-ColonDB/p7.bmp", "CVC-ColonDB/s7.bmp"], ["007"]),
    "ISIC 2016": (
        [
            "ISBI2016_ISIC_Part1_Training_Data/ISIC_0000000.jpg",
            "ISBI2016_ISIC_Part1_Training_GroundTruth/ISIC_0000000_Segmentation.png",
            "ISBI2016_ISIC_Part1_Test_Data/ISIC_0000003.jpg",
            "ISBI2016_ISIC_Part1_Test_GroundTruth/ISIC_0000003_Segmentation.png",
        ],
        ["ISIC_0000000", "ISIC_0000003"],
    ),
    "BUSI": (
        [
            "Dataset_BUSI_with_GT/normal/normal (1).png",
            "Dataset_BUSI_with_GT/normal/normal (1)_mask.png",
            "Dataset_BUSI_with_GT/benign/benign (4).png",
            "Dataset_BUSI_with_GT/benign/benign (4)_mask.png",
            "Dataset_BUSI_with_GT/benign/benign (4)_mask_1.png",
        ],
        ["benign_004", "normal_001"],
    ),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_every_known_layout_gives_its_pairs_sorted_by_id(draw: Draw, name: str) -> None:
    files, ids = LAYOUTS[name]
    samples = find_samples(draw(*files))
    assert [sample.id for sample in samples] == ids
    assert all(sample.masks and sample.image not in sample.masks for sample in samples)


def test_several_masks_of_one_image_are_merged_by_union(tmp_path: Path) -> None:
    folder = tmp_path / "benign"
    folder.mkdir()
    Image.new("L", (4, 3)).save(folder / "benign (1).png")
    for name, column in (("benign (1)_mask.png", 0), ("benign (1)_mask_1.png", 2)):
        mask = np.zeros((3, 4), dtype=np.uint8)
        mask[:, column] = 255
        Image.fromarray(mask).save(folder / name)
    (sample,) = find_samples(tmp_path)
    assert len(sample.masks) == 2
    assert read_masks(sample.masks).tolist() == [[1, 0, 1, 0]] * 3


def test_an_image_without_a_mask_is_named_with_the_cure(draw: Draw) -> None:
    root = draw("images/a.png", "images/b.png", "masks/a.png")
    with pytest.raises(MismatchedPair, match=r"1 image\(s\) without mask: b\. Each"):
        find_samples(root)
    assert scan(root).without_mask == ("b",)
    assert [sample.id for sample in scan(root).samples] == ["a"]


def test_of_many_masks_without_an_image_the_first_five_are_named(draw: Draw) -> None:
    root = draw("images/a.png", "masks/a.png", *(f"masks/m{k}.png" for k in range(7)))
    with pytest.raises(MismatchedPair, match=r"7 mask\(s\) without image: m0, m1, m2, m3, m4, \.\.\."):
        find_samples(root)


def test_two_files_that_are_one_image_are_refused(draw: Draw) -> None:
    with pytest.raises(MismatchedPair, match=r"a\.jpg and .*a\.png are both image 'a'"):
        find_samples(draw("images/a.png", "images/a.jpg", "masks/a.png"))


@pytest.mark.parametrize("name", ["images/notes.txt", "elsewhere/a.png"])
def test_a_folder_without_images_tells_the_layout_it_needs(tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir()
    (tmp_path / name).touch()
    with pytest.raises(EmptyInput, match="put them in images/ and their masks"):
        find_samples(tmp_path)


def test_a_folder_that_does_not_exist_is_empty_input(tmp_path: Path) -> None:
    with pytest.raises(EmptyInput):
        find_samples(tmp_path / "nowhere")


def test_a_folder_of_several_sets_asks_for_one(draw: Draw) -> None:
    with pytest.raises(InputError, match=r"holds 2 sets \(one, two\): name one"):
        find_samples(draw("one/images/a.png", "one/masks/a.png", "two/images/a.png", "two/masks/a.png"))


def test_hidden_files_are_not_images(draw: Draw) -> None:
    assert len(find_samples(draw("images/a.png", "images/._b.png", "masks/a.png"))) == 1


def test_groups_csv_names_what_belongs_together(draw: Draw) -> None:
    root = draw(*(f"{folder}/{k}.png" for folder in ("images", "masks") for k in (1, 2, 3)))
    (root / "groups.csv").write_text("id,group\n1,anna\n003,anna\n", encoding="utf-8")
    assert [sample.group for sample in find_samples(root)] == ["anna", "", "anna"]


@pytest.mark.parametrize(("text", "message"), [("a,b\n1,2\n", "needs the header"), ("id,group\n9,x\n", "such as 009")])
def test_a_wrong_groups_csv_is_refused(draw: Draw, text: str, message: str) -> None:
    root = draw("images/1.png", "masks/1.png")
    (root / "groups.csv").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=message):
        find_samples(root)


@pytest.mark.parametrize("name", DATASETS)
def test_the_real_sets_are_found_whole_with_the_ids_of_the_splits(shared: Path, name: str) -> None:
    samples = find_samples(shared / "datasets" / name)
    assert {sample.id for sample in samples} == load_split(name).parts().keys()


@pytest.mark.parametrize("name", ["busi", "cvc-clinicdb", "cvc-colondb"])
def test_the_file_names_of_the_official_archives_have_the_ids_of_the_splits(shared: Path, name: str) -> None:
    with (shared / "datasets" / name / "index.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [sample_id(Path(row["source_file"]).stem) for row in rows] == [row["id"] for row in rows]
