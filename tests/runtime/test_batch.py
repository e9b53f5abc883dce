"""Many files: every good one is segmented, every bad one is reported, and nothing of the user's is overwritten."""

import csv
import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import lvunet
from lvunet.card import Card
from lvunet.errors import EmptyInput, OutputError
from lvunet.image import UInt8, read_image, write_image
from lvunet.runtime import FileResult, Segmentation, Segmenter, segment_files
from lvunet.runtime.batch import cells
from models import picture


@pytest.fixture(scope="module")
def segmenter(artefact: Path) -> Segmenter:
    return lvunet.load(artefact, threads=1)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Three images, one of them deeper, of sizes that tell them apart."""
    folder = tmp_path / "photos"
    for name, width in {"a.png": 40, "b.png": 50, "ward/c.png": 60}.items():
        write_image(folder / name, picture(30, width))
    return folder


def stored(path: Path | None) -> UInt8:
    assert path is not None
    return np.asarray(Image.open(path))


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_masks_keep_the_order_and_the_places_of_their_images(
    segmenter: Segmenter, photos: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    results = list(segment_files(segmenter, [photos], out))
    assert names(out) == ["a.png", "areas.csv", "b.png", "ward/c.png"]
    assert [result.file for result in results] == [photos / "a.png", photos / "b.png", photos / "ward" / "c.png"]
    for result in results:
        expected = segmenter.segment(result.file)
        np.testing.assert_array_equal(stored(result.mask), expected.mask * 255)
        assert (result.height, result.width) == expected.mask.shape
        assert (result.area_px, result.area_fraction) == (expected.area_px, expected.area_fraction)


def test_the_table_has_a_line_for_each_file(segmenter: Segmenter, photos: Path, tmp_path: Path) -> None:
    (photos / "broken.png").write_text("no image")
    results = list(segment_files(segmenter, [photos], tmp_path / "out"))
    with (tmp_path / "out" / "areas.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["file"] for row in rows] == [str(result.file) for result in results]
    assert [int(row["area_px"]) for row in rows if not row["error"]] == [r.area_px for r in results if not r.error]
    assert [row["area_px"] for row in rows if row["error"]] == [""]


@pytest.mark.parametrize(("drawn", "named"), [("out/drawn", "drawn/ward/c.png"), ("drawn", "{here}/drawn/ward/c.png")])
def test_the_table_names_what_is_below_it_from_where_it_lies_and_all_else_in_full(
    segmenter: Segmenter, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, drawn: str, named: str
) -> None:
    monkeypatch.chdir(tmp_path)
    list(segment_files(segmenter, [photos], "out", drawn))
    with Path("out/areas.csv").open(newline="") as file:
        *_, row = csv.DictReader(file)
    assert row["mask"] == str(Path("ward/c.png"))
    assert row["overlay"] == str(Path(named.format(here=tmp_path)))
    assert row["file"] == str(photos / "ward" / "c.png")


def test_a_number_of_the_table_has_six_significant_digits() -> None:
    assert cells(12_345_678, 2 / 3, 1 / 30_000_000, 1.0, None) == [12_345_678, "0.666667", "3.33333e-08", "1", None]


def test_the_table_says_what_dice_to_expect_where_the_model_was_calibrated(
    artefact: Path, photos: Path, tmp_path: Path
) -> None:
    def column(card: Card, out: Path) -> list[str]:
        segmenter = lvunet.load(artefact, threads=1)
        segmenter.card = card
        list(segment_files(segmenter, [photos], out))
        with (out / "areas.csv").open(newline="") as file:
            return [row["expected_dice"] for row in csv.DictReader(file)]

    card = lvunet.load(artefact).card
    assert column(card, tmp_path / "before") == [""] * 3
    calibrated = replace(card, quality=((1.0, 1.0),))
    found = [Segmentation(each.image, each.probability, calibrated) for each in _segmented(artefact, photos)]
    assert column(calibrated, tmp_path / "after") == [f"{each.expected_dice:.6g}" for each in found]


def _segmented(artefact: Path, photos: Path) -> list[Segmentation]:
    segmenter = lvunet.load(artefact, threads=1)
    return [segmenter.segment(photos / name) for name in ("a.png", "b.png", "ward/c.png")]


def test_one_bad_file_does_not_stop_the_rest(segmenter: Segmenter, photos: Path, tmp_path: Path) -> None:
    (photos / "aa.png").write_bytes((photos / "a.png").read_bytes()[:90])
    (photos / "ab.png").touch()
    results = list(segment_files(segmenter, [photos], tmp_path / "out"))
    assert [result.file.name for result in results if result.error] == ["aa.png", "ab.png"]
    assert [result.error for result in results if "aa.png is not a readable image" in result.error]
    assert names(tmp_path / "out") == ["a.png", "areas.csv", "b.png", "ward/c.png"]


def test_overlays_go_to_their_own_folder(segmenter: Segmenter, photos: Path, tmp_path: Path) -> None:
    results = list(segment_files(segmenter, [photos], tmp_path / "out", tmp_path / "out" / "overlays"))
    assert names(tmp_path / "out" / "overlays") == ["a.png", "b.png", "ward/c.png"]
    expected = segmenter.segment(photos / "a.png").overlay()
    np.testing.assert_array_equal(stored(results[0].overlay), expected)


def test_files_of_one_name_get_masks_of_several(segmenter: Segmenter, photos: Path, tmp_path: Path) -> None:
    write_image(photos / "a.bmp", picture(31, 41))
    write_image(photos / "other" / "A.png", picture(32, 42))
    inputs = [photos / "a.bmp", photos / "a.png", photos / "other" / "A.png", photos / "a.png"]
    results = list(segment_files(segmenter, inputs, tmp_path / "out"))
    assert [result.mask and result.mask.name for result in results] == ["a.png", "a-2.png", "A-3.png"]
    assert [stored(result.mask).shape for result in results] == [(31, 41), (30, 40), (32, 42)]


def test_a_dot_in_a_name_is_no_suffix(segmenter: Segmenter, photos: Path, tmp_path: Path) -> None:
    write_image(photos / "scan.v1.png", picture(30, 40))
    write_image(photos / "scan.v2.png", picture(30, 40))
    list(segment_files(segmenter, [photos / "scan.v1.png", photos / "scan.v2.png"], tmp_path / "out"))
    assert names(tmp_path / "out") == ["areas.csv", "scan.v1.png", "scan.v2.png"]


def test_images_are_never_overwritten(segmenter: Segmenter, photos: Path) -> None:
    before = read_image(photos / "a.png")
    with pytest.raises(OutputError, match=r"would overwrite .*a\.png, an input"):
        segment_files(segmenter, [photos], photos)
    np.testing.assert_array_equal(read_image(photos / "a.png"), before)


def test_the_truth_of_a_data_set_is_not_overwritten(segmenter: Segmenter, tmp_path: Path) -> None:
    for folder in ("images", "masks"):
        write_image(tmp_path / folder / "a.png", picture(30, 40))
    before = stored(tmp_path / "masks" / "a.png")
    for given in (tmp_path / "images", tmp_path / "images" / "a.png"):
        with pytest.raises(OutputError, match=r"would overwrite .*a\.png, the truth of a data set"):
            segment_files(segmenter, [given], tmp_path / "masks")
    np.testing.assert_array_equal(stored(tmp_path / "masks" / "a.png"), before)
    (tmp_path / "masks" / "a.png").unlink()
    assert len(list(segment_files(segmenter, [tmp_path / "images"], tmp_path / "masks"))) == 1


def test_masks_and_overlays_cannot_share_a_folder(segmenter: Segmenter, photos: Path, tmp_path: Path) -> None:
    with pytest.raises(OutputError, match="its own masks with overlays"):
        segment_files(segmenter, [photos], tmp_path / "out", tmp_path / "out")


def test_a_second_run_does_not_take_the_masks_of_the_first_for_images(segmenter: Segmenter, photos: Path) -> None:
    runs = [list(segment_files(segmenter, [photos], photos / "masks", photos / "drawn")) for _ in range(2)]
    assert runs[0] == runs[1]
    assert len(runs[0]) == 3


def test_no_image_is_said(segmenter: Segmenter, tmp_path: Path) -> None:
    for inputs in ([tmp_path], []):
        with pytest.raises(EmptyInput, match=r"Give (a file|files)"):
            segment_files(segmenter, inputs, tmp_path / "out")


def test_an_output_that_cannot_be_written_is_an_error_and_not_of_a_file(
    segmenter: Segmenter, photos: Path, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match=r"cannot write .*areas\.csv"):
        list(segment_files(segmenter, [photos], tmp_path / "file" / "out"))


def test_who_stops_early_gets_no_half_table_and_no_half_mask(
    segmenter: Segmenter, photos: Path, tmp_path: Path
) -> None:
    results = segment_files(segmenter, [photos], tmp_path / "out", workers=1)
    first = next(results)
    results.close()
    left = names(tmp_path / "out")
    assert "areas.csv" not in left
    assert not [name for name in left if "partial" in name]
    assert stored(first.mask).shape == (30, 40)


def test_the_number_of_workers_changes_nothing(segmenter: Segmenter, photos: Path, tmp_path: Path) -> None:
    for number in range(20):
        write_image(photos / f"more-{number:02}.png", picture(20 + number, 30))

    def areas(workers: int) -> list[tuple[Path, int | None]]:
        results = segment_files(segmenter, [photos], tmp_path / str(workers), workers=workers)
        return [(result.file, result.area_px) for result in results]

    assert areas(1) == areas(2) == areas(5)


def test_results_come_while_later_images_wait(segmenter: Segmenter, photos: Path, tmp_path: Path) -> None:
    for number in range(20):
        write_image(photos / f"more-{number:02}.png", picture(20, 30))
    results = segment_files(segmenter, [photos], tmp_path / "out", workers=2)
    taken = list(itertools.islice(results, 2))
    assert all(isinstance(result, FileResult) for result in taken)
    assert len(names(tmp_path / "out")) < 12
