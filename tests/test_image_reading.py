"""Reading images and masks of every kind, and what is refused."""

import struct
import zlib
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import ExifTags, Image

from lvunet.errors import ImageTooLarge, UnreadableImage
from lvunet.image import (
    UInt8,
    encode_png,
    image_size,
    read_image,
    read_mask,
)

COLOURFUL = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)


def encoded(image: Image.Image, kind: str = "PNG", exif: Image.Exif | None = None) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, exif=exif or Image.Exif())
    return buffer.getvalue()


def png_of_size(width: int, height: int) -> bytes:
    """A PNG file of a hundred bytes that claims to be 1-bit and of that size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"\0")) + chunk(b"IEND", b"")


class TestReading:
    def test_path_string_bytes_pillow_image_and_array_give_the_same(self, tmp_path: Path) -> None:
        path = tmp_path / "image.png"
        path.write_bytes(encode_png(COLOURFUL))
        for source in (path, str(path), path.read_bytes(), Image.open(path), COLOURFUL):
            np.testing.assert_array_equal(read_image(source), COLOURFUL)

    def test_a_picture_of_more_rows_than_are_converted_at_once_is_whole(self) -> None:
        tall = np.random.default_rng(1).integers(0, 256, (700, 3, 3), dtype=np.uint8)
        np.testing.assert_array_equal(read_image(encode_png(tall)), tall)

    def test_grey_is_repeated_in_three_channels(self) -> None:
        grey = COLOURFUL[:, :, 0]
        for source in (grey, encode_png(grey)):
            np.testing.assert_array_equal(read_image(source), np.dstack([grey] * 3))

    def test_one_bit_becomes_black_and_white(self) -> None:
        bits = Image.fromarray(np.array([[True, False]]))
        assert read_image(encoded(bits)).tolist() == [[[255] * 3, [0] * 3]]

    def test_a_palette_is_looked_up(self) -> None:
        image = Image.new("P", (2, 1))
        image.putpalette([10, 20, 30, 40, 50, 60])
        image.putpixel((1, 0), 1)
        assert read_image(encoded(image)).tolist() == [[[10, 20, 30], [40, 50, 60]]]

    def test_transparency_is_laid_on_white(self) -> None:
        colours = np.array([[[0, 0, 0, 0], [0, 0, 0, 51], [200, 100, 0, 255]]], np.uint8)
        # 51 is a fifth: 255 * 4 / 5 = 204
        assert read_image(encoded(Image.fromarray(colours))).tolist() == [[[255] * 3, [204] * 3, [200, 100, 0]]]

    def test_a_transparent_colour_of_a_palette_is_white(self) -> None:
        image = Image.new("P", (2, 1))
        image.putpalette([10, 20, 30, 40, 50, 60])
        image.putpixel((1, 0), 1)
        image.info["transparency"] = 0
        assert read_image(encoded(image)).tolist() == [[[255] * 3, [40, 50, 60]]]

    def test_cmyk_becomes_rgb(self) -> None:
        image = Image.new("CMYK", (1, 1), (0, 255, 255, 0))
        assert read_image(encoded(image, "TIFF")).tolist() == [[[255, 0, 0]]]

    @pytest.mark.parametrize(
        ("stored", "shown"),
        [
            (np.array([[1000, 3000, 9000]], np.uint16), [0, 64, 255]),  # 2000 / 8000 of 255 is 63.75
            (np.array([[0, 7, 255]], np.uint16), [0, 7, 255]),  # no more than 8 bits are used
            (np.array([[500, 500]], np.uint16), [0, 0]),
            (np.array([[-100, 0, 100]], np.int32), [0, 128, 255]),
            (np.array([[0.0, 0.2, 1.0]], np.float32), [0, 51, 255]),
        ],
        ids=["16 bits", "8 of 16 bits", "constant", "negative", "float"],
    )
    def test_more_than_8_bits_are_stretched_from_the_range_used(
        self, stored: NDArray[np.uint8], shown: list[int]
    ) -> None:
        assert read_image(encoded(Image.fromarray(stored), "TIFF"))[0, :, 1].tolist() == shown

    @pytest.mark.parametrize(
        ("orientation", "upright"),
        [
            (1, COLOURFUL),
            (2, COLOURFUL[:, ::-1]),
            (3, COLOURFUL[::-1, ::-1]),
            (4, COLOURFUL[::-1]),
            (5, COLOURFUL.transpose(1, 0, 2)),
            (6, COLOURFUL[::-1].transpose(1, 0, 2)),
            (7, COLOURFUL[::-1, ::-1].transpose(1, 0, 2)),
            (8, COLOURFUL[:, ::-1].transpose(1, 0, 2)),
        ],
    )
    def test_exif_orientation_is_applied(self, orientation: int, upright: UInt8) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = orientation
        np.testing.assert_array_equal(read_image(encoded(Image.fromarray(COLOURFUL), exif=exif)), upright)
        assert read_image(encoded(Image.fromarray(COLOURFUL), "JPEG", exif)).shape == upright.shape

    def test_a_pillow_image_that_was_handed_in_stays_open_and_as_it_is(self) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        image = Image.open(BytesIO(encoded(Image.fromarray(COLOURFUL), exif=exif)))
        assert read_image(image).shape == (7, 5, 3)
        np.testing.assert_array_equal(np.asarray(image), COLOURFUL)

    def test_of_several_frames_the_first_is_read(self) -> None:
        frames = [Image.new("L", (2, 2), value) for value in (10, 20)]
        buffer = BytesIO()
        frames[0].save(buffer, "TIFF", save_all=True, append_images=frames[1:])
        assert (read_image(buffer.getvalue()) == 10).all()

    def test_a_size_is_known_from_the_header(self) -> None:
        assert image_size(png_of_size(300, 200)) == (200, 300)


class TestReadingRefuses:
    def test_a_truncated_png(self, tmp_path: Path) -> None:
        path = tmp_path / "half.png"
        data = encode_png(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
        path.write_bytes(data[: len(data) // 2])
        with pytest.raises(UnreadableImage, match=r"half\.png is not a readable image"):
            read_image(path)

    def test_an_empty_file(self, tmp_path: Path) -> None:
        path = tmp_path / "empty.png"
        path.touch()
        with pytest.raises(UnreadableImage, match="it is empty"):
            read_image(path)
        with pytest.raises(UnreadableImage, match="it is empty"):
            read_image(b"")

    def test_text_that_is_named_png(self, tmp_path: Path) -> None:
        path = tmp_path / "notes.png"
        path.write_text("not pixels")
        with pytest.raises(UnreadableImage, match=r"notes\.png"):
            read_image(path)

    def test_a_missing_file_and_a_folder(self, tmp_path: Path) -> None:
        with pytest.raises(UnreadableImage, match="no such file"):
            read_image(tmp_path / "missing.png")
        with pytest.raises(UnreadableImage):
            read_image(tmp_path)

    @given(st.binary(min_size=1, max_size=200))
    def test_any_bytes_that_are_no_image(self, noise: bytes) -> None:
        with pytest.raises(UnreadableImage):
            read_image(b"\x89PNG\r\n\x1a\n" + noise)

    @pytest.mark.parametrize("side", [10_000, 40_000], ids=["Pillow warns", "Pillow refuses"])
    def test_a_decompression_bomb_before_it_is_decoded(self, side: int) -> None:
        with pytest.raises(ImageTooLarge, match="more than 89,478,485 pixels"):
            read_image(png_of_size(side, side))

    def test_values_that_are_not_finite(self) -> None:
        image = Image.fromarray(np.array([[0, np.nan]], np.float32))
        with pytest.raises(UnreadableImage, match="not finite"):
            read_image(encoded(image, "TIFF"))

    @pytest.mark.parametrize(
        "array",
        [
            np.zeros((4, 4, 3), np.float32),
            np.zeros((4, 4, 4), np.uint8),
            np.zeros(4, np.uint8),
            np.zeros((0, 4, 3), np.uint8),
        ],
        ids=["float", "four channels", "one axis", "no row"],
    )
    def test_an_array_of_another_kind(self, array: UInt8) -> None:
        with pytest.raises(UnreadableImage, match=r"give uint8 of shape \(H, W, 3\)"):
            read_image(array)


class TestMasks:
    @pytest.mark.parametrize(
        ("stored", "labels"),
        [([0, 255], [0, 1]), ([0, 1], [0, 1]), ([3, 127, 128, 250], [0, 0, 1, 1]), ([0, 0], [0, 0]), ([1, 1], [1, 1])],
        ids=["0 and 255", "0 and 1", "grey edges", "empty", "full"],
    )
    def test_one_class_is_0_and_1_however_it_was_stored(self, stored: list[int], labels: list[int]) -> None:
        mask = np.array([stored], np.uint8)
        for source in (mask, encode_png(mask), np.array([stored], np.int64)):
            read = read_mask(source)  # type: ignore[arg-type]
            assert read.tolist() == [labels]
            assert read.dtype == np.uint8

    def test_one_class_in_one_bit_in_colour_and_in_16_bits(self) -> None:
        bits = Image.fromarray(np.array([[False, True]]))
        red = Image.fromarray(np.array([[[0, 0, 0], [128, 0, 0]]], np.uint8))
        deep = Image.fromarray(np.array([[0, 65535]], np.uint16))
        opaque = Image.fromarray(np.array([[[0, 0, 0, 255], [255, 255, 255, 255]]], np.uint8))
        for image in (bits, red, deep, opaque, red.quantize(2)):
            assert read_mask(encoded(image)).tolist() == [[0, 1]]

    def test_labels_stay_and_of_a_palette_the_indices_count(self) -> None:
        labels = np.array([[0, 1, 2]], np.uint8)
        palette = Image.fromarray(labels)
        palette.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0])
        for source in (labels, encode_png(labels), encoded(palette)):
            assert read_mask(source, classes=3).tolist() == [[0, 1, 2]]

    def test_a_label_beyond_the_classes_is_refused(self) -> None:
        with pytest.raises(UnreadableImage, match="label 3 in a mask of labels 0 to 2"):
            read_mask(np.array([[0, 3]], np.uint8), classes=3)

    def test_labels_are_not_taken_for_one_class(self) -> None:
        with pytest.raises(UnreadableImage, match="3 classes are meant"):
            read_mask(np.array([[0, 1, 2]], np.uint8))

    def test_a_mask_of_fractions_is_refused(self) -> None:
        with pytest.raises(UnreadableImage, match="give whole numbers"):
            read_mask(np.array([[0.5]]))

    def test_a_mask_turns_with_its_image(self) -> None:
        exif = Image.Exif()
        exif[ExifTags.Base.Orientation] = 6
        mask = np.array([[0, 255]], np.uint8)
        assert read_mask(encoded(Image.fromarray(mask), exif=exif)).tolist() == [[0], [1]]
