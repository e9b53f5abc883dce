"""Resizing, outlining, writing and finding images: what must be equal is computed by hand, or by torch."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray

from lvunet.errors import EmptyInput, InputError, OutputError
from lvunet.image import (
    COLOURS,
    atomic_write,
    demand_writable,
    find_images,
    overlay,
    read_image,
    resize,
    to_channels,
    write_image,
)

COLOURFUL = np.random.default_rng(0).integers(0, 256, (5, 7, 3), dtype=np.uint8)
RESIZE_TOLERANCE = 5e-3  # grey levels of 0..255: torch places its weights in float32, Pillow in float64


class TestResizing:
    def test_enlarging_by_hand(self) -> None:
        # The centres of the new pixels lie at -1/4, 1/4, 3/4 and 5/4 of the old ones; beyond the border it is constant.
        assert resize(np.array([[0, 100]], np.uint8), (1, 4)).tolist() == [[0, 25, 75, 100]]

    def test_shrinking_by_hand(self) -> None:
        # A triangle of half-width 2 about 1.0 weighs the centres 0.5, 1.5, 2.5 and 3.5 by 3, 3, 1, 0 sevenths.
        np.testing.assert_allclose(resize(np.array([[0, 0, 7, 7]], np.float32), (1, 2)), [[1, 6]], rtol=1e-6)

    @pytest.mark.parametrize("size", [(256, 256), (400, 90), (1, 1), (333, 250)])
    @pytest.mark.parametrize("shape", [(333, 250, 3), (40, 57, 3), (1, 300, 1)])
    def test_it_is_torchs_antialiased_bilinear(self, shape: tuple[int, int, int], size: tuple[int, int]) -> None:
        image = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
        planes = torch.from_numpy(image).permute(2, 0, 1)[None].float()
        expected = torch.nn.functional.interpolate(planes, size, mode="bilinear", antialias=True)[0].permute(1, 2, 0)
        np.testing.assert_allclose(resize(image, size), expected.numpy(), rtol=0, atol=RESIZE_TOLERANCE)

    @given(arrays(np.float32, (5, 6), elements=st.floats(0, 1, width=32)), st.integers(1, 20), st.integers(1, 20))
    def test_probabilities_stay_between_0_and_1(self, array: NDArray[np.float32], height: int, width: int) -> None:
        resized = resize(array, (height, width))
        assert resized.shape == (height, width)
        assert resized.dtype == np.float32
        assert 0 <= resized.min() <= resized.max() <= 1

    def test_the_result_can_be_written_to(self) -> None:
        resize(np.zeros((2, 2), np.float32), (3, 3))[0, 0] = 1

    def test_one_channel_is_luma_and_other_counts_are_left_or_refused(self) -> None:
        pixels = np.array([[[100, 10, 1]]], np.float32)
        np.testing.assert_allclose(to_channels(pixels, 1), [[[29.9 + 5.87 + 0.114]]], rtol=1e-6)
        assert to_channels(pixels, 3) is pixels
        with pytest.raises(InputError, match="3 channels for a network of 5"):
            to_channels(pixels, 5)


class TestOverlay:
    def test_the_inside_is_tinted_the_outline_is_drawn_and_the_rest_is_left(self) -> None:
        mask = np.zeros((20, 20), np.uint8)
        mask[5:15, 5:15] = 1
        painted = overlay(np.full((20, 20, 3), 100, np.uint8), mask, opacity=0.4)
        assert tuple(painted[5, 10]) == COLOURS[0]
        np.testing.assert_allclose(painted[10, 10], 0.6 * 100 + 0.4 * np.array(COLOURS[0]), atol=1)
        assert (painted[[0, 19, 10], [0, 19, 2]] == 100).all()

    def test_each_label_has_its_colour(self) -> None:
        mask = np.repeat(np.arange(3, dtype=np.uint8), 10)[None].repeat(10, axis=0)
        painted = overlay(np.zeros((10, 30, 3), np.uint8), mask, opacity=1)
        assert [tuple(painted[5, x]) for x in (5, 15, 25)] == [(0, 0, 0), COLOURS[0], COLOURS[1]]

    def test_an_empty_mask_gives_a_copy(self) -> None:
        painted = overlay(COLOURFUL, np.zeros(COLOURFUL.shape[:2], np.uint8))
        np.testing.assert_array_equal(painted, COLOURFUL)
        assert not np.shares_memory(painted, COLOURFUL)

    def test_a_mask_of_another_size_is_refused(self) -> None:
        with pytest.raises(InputError, match=r"\(4, 4\)"):
            overlay(COLOURFUL, np.zeros((4, 4), np.uint8))


class TestWriting:
    def test_what_is_written_is_read_again_and_folders_are_made(self, tmp_path: Path) -> None:
        path = tmp_path / "new" / "deeper" / "image.png"
        write_image(path, COLOURFUL)
        np.testing.assert_array_equal(read_image(path), COLOURFUL)
        assert [file.name for file in path.parent.iterdir()] == ["image.png"]

    def test_a_folder_that_cannot_be_is_an_output_error(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        for path in (tmp_path / "file" / "image.png", Path("/proc/lvunet/image.png"), tmp_path):
            with pytest.raises(OutputError, match="cannot write"):
                write_image(path, COLOURFUL)

    def test_a_place_that_can_be_written_to_is_left_as_it_is(self, tmp_path: Path) -> None:
        demand_writable(tmp_path / "new" / "deeper" / "image.png")
        assert not [*tmp_path.iterdir()]

    def test_a_folder_is_no_place_for_a_file(self, tmp_path: Path) -> None:
        for path in (tmp_path, Path(), Path("/")):
            with pytest.raises(OutputError, match="is a folder, and the output is a file"):
                demand_writable(path)

    def test_a_package_of_core_ml_may_be_replaced(self, tmp_path: Path) -> None:
        (tmp_path / "model.mlpackage").mkdir()
        demand_writable(tmp_path / "model.mlpackage")

    @pytest.mark.parametrize("interruption", [KeyboardInterrupt, ValueError, OSError])
    def test_an_interrupted_write_leaves_what_was_there(
        self, tmp_path: Path, interruption: type[BaseException]
    ) -> None:
        path = tmp_path / "image.png"
        path.write_text("before")

        def write_half() -> None:
            with atomic_write(path) as partial:
                partial.write_text("half")
                raise interruption

        with pytest.raises(OutputError if interruption is OSError else interruption):
            write_half()
        assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("image.png", "before")]


class TestFinding:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        for name in ("b.png", "a.JPG", "deep/er/c.tiff", "notes.txt", ".hidden.png", ".thumbnails/d.png"):
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).touch()
        return tmp_path

    def test_a_folder_is_searched_to_any_depth_and_sorted(self, folder: Path) -> None:
        assert find_images([folder]) == [folder / "a.JPG", folder / "b.png", folder / "deep" / "er" / "c.tiff"]

    def test_globs_files_and_folders_mix_and_each_file_comes_once(self, folder: Path) -> None:
        sources: list[str | Path] = [f"{folder}/*.png", folder / "b.png", f"{folder}/**/*.tiff", folder / "deep"]
        assert find_images(sources) == [folder / "b.png", folder / "deep" / "er" / "c.tiff"]

    def test_a_file_named_outright_needs_no_suffix_of_an_image(self, folder: Path) -> None:
        assert find_images([folder / "notes.txt"]) == [folder / "notes.txt"]

    def test_a_folder_whose_name_looks_like_a_glob_is_a_folder(self, tmp_path: Path) -> None:
        (tmp_path / "set[1]").mkdir()
        (tmp_path / "set[1]" / "a.png").touch()
        assert find_images([tmp_path / "set[1]"]) == [tmp_path / "set[1]" / "a.png"]

    @pytest.mark.parametrize("source", ["missing.png", "*.webp", "deep/er/none"])
    def test_nothing_found_is_said(self, folder: Path, source: str) -> None:
        with pytest.raises(EmptyInput, match="Give a file, a folder or a glob"):
            find_images([folder / source])
