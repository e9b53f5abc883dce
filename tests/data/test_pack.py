"""A pack: the same ids, at the size of the network the same masks and nearly the same pixels."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lvunet import cli
from lvunet.card import Card
from lvunet.data.dataset import decode
from lvunet.data.manifest import load_split
from lvunet.data.pack import MB, Packing, pack, pack_sample, side_of
from lvunet.data.phantom import write_phantoms
from lvunet.data.registry import DATASETS, Sample, find_samples
from lvunet.errors import ConfigError, EmptyInput, MismatchedPair, OutputError, UnreadableImage

SMALL = Packing(size=64)
CARD = Card(size=64)
# Grey levels, mean over an image: over all 3,826 images of the five sets it was at most 1.9.
JPEG_ERROR = 3.0


@pytest.fixture(scope="module")
def phantoms(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sets") / "phantoms"
    write_phantoms(folder, 12, size=(90, 120))
    return folder


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_pack_keeps_ids_masks_and_nearly_the_pixels(phantoms: Path, tmp_path: Path) -> None:
    made = pack([phantoms], tmp_path / "pack", SMALL)
    originals, packed = find_samples(phantoms), find_samples(tmp_path / "pack" / "phantoms")
    assert [sample.id for sample in packed] == [sample.id for sample in originals]
    for one, other in zip(originals, packed, strict=True):
        (pixels, mask), (packed_pixels, packed_mask) = decode(one, CARD), decode(other, CARD)
        assert mask.equal(packed_mask)
        assert (pixels.float() - packed_pixels.float()).abs().mean() < JPEG_ERROR
    files = [path for path in (tmp_path / "pack").rglob("*") if path.is_file()]
    assert (side_of(tmp_path / "pack" / "phantoms"), side_of(phantoms), side_of(tmp_path)) == (64, None, None)
    assert made.images == {"phantoms": 12}
    assert made.total_bytes == sum(path.stat().st_size for path in files)


def test_images_are_jpegs_and_masks_pngs_of_one_bit(phantoms: Path, tmp_path: Path) -> None:
    pack([phantoms], tmp_path / "pack", SMALL)
    for sample in find_samples(tmp_path / "pack"):
        with Image.open(sample.image) as image, Image.open(sample.masks[0]) as mask:
            assert (image.format, image.size, mask.format, mask.mode, mask.size) == (
                "JPEG",
                (64, 64),
                "PNG",
                "1",
                (64, 64),
            )


def test_an_official_archive_is_packed_under_the_ids_of_the_splits_its_masks_merged(tmp_path: Path) -> None:
    archive = tmp_path / "Dataset_BUSI_with_GT"
    (archive / "benign").mkdir(parents=True)
    (archive / "normal").mkdir()
    for name in ("benign/benign (4)", "normal/normal (1)"):
        Image.new("RGB", (8, 8), (90, 90, 90)).save(archive / f"{name}.png")
        Image.new("L", (8, 8)).save(archive / f"{name}_mask.png")
    left = Image.new("L", (8, 8))
    left.paste(255, (0, 0, 4, 8))
    left.save(archive / "benign" / "benign (4)_mask_1.png")
    pack([archive], tmp_path / "pack", Packing(size=4))
    benign, normal = find_samples(tmp_path / "pack")
    assert (benign.id, normal.id) == ("benign_004", "normal_001")
    assert {benign.id, normal.id} < load_split("busi").parts().keys()
    assert np.asarray(Image.open(benign.masks[0])).astype(int).tolist() == [[1, 1, 0, 0]] * 4
    assert not np.asarray(Image.open(normal.masks[0])).any()


def test_a_known_set_is_named_as_its_splits_are(tmp_path: Path) -> None:
    write_phantoms(tmp_path / "Kvasir-SEG", 1, size=(32, 32))
    assert pack([tmp_path / "Kvasir-SEG"], tmp_path / "pack", SMALL).images == {"kvasir-seg": 1}


def test_groups_travel_along(phantoms: Path, tmp_path: Path) -> None:
    write_phantoms(tmp_path / "set", 3, size=(32, 32))
    ids = [sample.id for sample in find_samples(tmp_path / "set")]
    (tmp_path / "set" / "groups.csv").write_text(f"id,group\n{ids[0]},anna\n{ids[2]},anna\n", encoding="utf-8")
    pack([tmp_path / "set", phantoms], tmp_path / "pack", SMALL)
    assert [sample.group for sample in find_samples(tmp_path / "pack" / "set")] == ["anna", "", "anna"]
    assert not (tmp_path / "pack" / "phantoms" / "groups.csv").exists()


def test_a_pack_that_would_be_too_large_is_not_made_and_its_size_is_foretold(phantoms: Path, tmp_path: Path) -> None:
    whole = pack([phantoms], tmp_path / "whole", SMALL).total_bytes / MB
    with pytest.raises(OutputError, match=r"over 0\.01 MB after \d+ of 12 images"):
        pack([phantoms], tmp_path / "pack", Packing(size=64, limit_mb=0.01))
    pack([phantoms], tmp_path / "fits", Packing(size=64, limit_mb=whole))
    assert names(tmp_path) == ["fits", "whole"]


def test_after_an_unreadable_image_nothing_is_left(phantoms: Path, tmp_path: Path) -> None:
    write_phantoms(tmp_path / "set", 2, size=(32, 32))
    find_samples(tmp_path / "set")[1].image.write_bytes(b"no image")
    with pytest.raises(UnreadableImage):
        pack([phantoms, tmp_path / "set"], tmp_path / "pack", SMALL)
    assert names(tmp_path) == ["set"]


def test_an_image_and_a_mask_of_two_sizes_are_refused(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8)).save(tmp_path / "image.png")
    Image.new("L", (8, 9)).save(tmp_path / "mask.png")
    with pytest.raises(MismatchedPair, match="odd"):
        pack_sample(Sample("odd", tmp_path / "image.png", (tmp_path / "mask.png",)), SMALL)


def test_what_is_there_already_is_not_touched(phantoms: Path, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").touch()
    with pytest.raises(OutputError, match="is there already"):
        pack([phantoms], tmp_path, SMALL)
    assert names(tmp_path) == ["mine.txt"]


def test_two_folders_of_one_name_or_none_at_all_are_refused(phantoms: Path, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="two folders are named phantoms"):
        pack([phantoms, phantoms], tmp_path / "pack")
    with pytest.raises(EmptyInput, match="nothing to pack"):
        pack([], tmp_path / "pack")
    assert not names(tmp_path)


def test_progress_is_told_after_each_image_of_all_sets(phantoms: Path, tmp_path: Path) -> None:
    write_phantoms(tmp_path / "set", 2, size=(32, 32))
    told: list[tuple[int, int]] = []
    pack([phantoms, tmp_path / "set"], tmp_path / "pack", SMALL, lambda done, of: told.append((done, of)))
    assert told == [(done, 14) for done in range(1, 15)]


def test_the_command_says_what_it_made(phantoms: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["data", "pack", str(phantoms), "-o", str(tmp_path / "pack"), "--size", "64"]
    with pytest.raises(SystemExit) as end:
        cli.main(arguments)
    assert end.value.code == 0
    assert "phantoms: 12 images\n12 images, 0.0 MB" in capsys.readouterr().out
    with pytest.raises(SystemExit) as end:
        cli.main([*arguments[:-3], str(tmp_path / "other"), "--limit-mb", "0.001"])
    assert end.value.code == 2
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize("name", DATASETS)
def test_of_real_sets_the_pack_has_the_masks_bit_for_bit(shared: Path, tmp_path: Path, name: str) -> None:
    card, packing = Card(size=256), Packing()
    samples = find_samples(shared / "datasets" / name)
    for sample in samples[:: len(samples) // 5]:
        image, mask = tmp_path / f"{sample.id}.jpg", tmp_path / f"{sample.id}.png"
        for path, data in zip((image, mask), pack_sample(sample, packing), strict=True):
            path.write_bytes(data)
        (pixels, truth), (packed_pixels, packed_truth) = decode(sample, card), decode(Sample("", image, (mask,)), card)
        assert truth.equal(packed_truth)
        assert (pixels.float() - packed_pixels.float()).abs().mean() < JPEG_ERROR
