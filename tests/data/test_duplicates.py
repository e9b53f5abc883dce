"""What counts as the same picture, and what belongs together because of it."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from lvunet.data.duplicates import Fingerprint, Pair, connected, find_pairs, fingerprint
from lvunet.data.phantom import phantom
from lvunet.image import UInt8


@pytest.fixture(scope="module")
def pixels() -> UInt8:
    return phantom("polyp", 3)[0]


def relation(one: UInt8, other: UInt8) -> str | None:
    pairs = find_pairs({"a": fingerprint(one), "b": fingerprint(other)})
    return pairs[0].kind if pairs else None


def encoded(pixels: UInt8, quality: int) -> UInt8:
    buffer = BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=quality)
    return np.asarray(Image.open(buffer))


def test_equal_pixels_are_exact_duplicates(pixels: UInt8) -> None:
    assert relation(pixels, pixels.copy()) == "exact"


def test_another_encoding_of_a_picture_is_nearly_equal(pixels: UInt8) -> None:
    assert relation(pixels, encoded(pixels, quality=60)) == "near"


def test_another_size_of_a_picture_is_nearly_equal(pixels: UInt8) -> None:
    assert relation(pixels, np.asarray(Image.fromarray(pixels).resize((352, 300)))) == "near"


def test_equal_bytes_of_another_shape_are_not_exact_duplicates() -> None:
    flat = np.zeros((4, 6, 3), dtype=np.uint8)
    assert fingerprint(flat).digest != fingerprint(flat.reshape(6, 4, 3)).digest


def test_a_picture_that_moved_and_dimmed_a_little_shows_the_same_scene(pixels: UInt8) -> None:
    moved = np.roll(pixels, 2, axis=1)
    assert relation(pixels, (moved * 0.96).astype(np.uint8)) == "scene"


@pytest.mark.parametrize("kind", ["polyp", "dermoscopy", "ultrasound"])
def test_different_phantoms_show_different_scenes(kind: str) -> None:
    prints = {str(seed): fingerprint(phantom(kind, seed, (128, 128))[0]) for seed in range(40)}  # type: ignore[arg-type]
    assert find_pairs(prints) == []


def test_two_flat_pictures_of_near_tones_are_not_one_scene() -> None:
    """They have no detail that could be alike; without the limit for flat images, noise would correlate."""
    tones = [np.full((64, 64, 3), tone, dtype=np.uint8) for tone in (100, 108)]
    tones[0][0, 0] = tones[1][0, 0] = 0
    assert relation(*tones) is None


def test_the_distance_of_a_pair_is_the_rmse_of_its_thumbnails() -> None:
    grey = np.full((32, 32, 3), 100, dtype=np.uint8)
    other = grey.copy()
    other[:16] += 2  # half of the pixels differ by 2: sqrt(4 / 2)
    assert find_pairs({"a": fingerprint(grey), "b": fingerprint(other)}) == [Pair("a", "b", "near", np.sqrt(2))]


def test_pairs_are_found_across_the_chunks_of_a_long_list() -> None:
    rng = np.random.default_rng(0)
    thumbnails = rng.integers(0, 256, size=(1100, 32, 32, 3), dtype=np.uint8)
    thumbnails[1099] = thumbnails[3]
    thumbnails[600] = thumbnails[599]
    prints = {f"{k:04}": Fingerprint(str(k), thumbnails[k]) for k in range(1100)}
    assert [(pair.first, pair.second) for pair in find_pairs(prints)] == [("0003", "1099"), ("0599", "0600")]


def test_without_images_there_are_no_pairs() -> None:
    assert find_pairs({}) == []


def test_links_join_into_groups_that_are_named_after_their_first_id() -> None:
    assert connected("fedcbag", [("c", "b"), ("e", "f"), ("b", "d")]) == {
        "b": "b",
        "c": "b",
        "d": "b",
        "e": "e",
        "f": "e",
    }


def test_a_link_to_itself_makes_no_group() -> None:
    assert connected(["a"], [("a", "a")]) == {}
