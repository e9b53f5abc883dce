"""The pictures that the demo and the tests are made of."""

from pathlib import Path
from time import process_time

import numpy as np
import pytest

from lvunet.data.phantom import KINDS, Kind, phantom, write_phantoms
from lvunet.data.registry import find_samples
from lvunet.errors import ConfigError
from lvunet.image import read_image, read_masks

each_kind = pytest.mark.parametrize("kind", KINDS)
SIDE = (96, 96)


@each_kind
@pytest.mark.parametrize("size", [(16, 16), (17, 40), (256, 192)])
def test_a_phantom_has_the_asked_size_and_a_mask_of_0_and_1(kind: Kind, size: tuple[int, int]) -> None:
    image, mask = phantom(kind, 1, size)
    assert image.shape == (*size, 3)
    assert mask.shape == size
    assert image.dtype == mask.dtype == np.uint8
    assert set(np.unique(mask)) == {0, 1}


@each_kind
def test_the_seed_decides_everything(kind: Kind) -> None:
    first, again, other = phantom(kind, 5, SIDE), phantom(kind, 5, SIDE), phantom(kind, 6, SIDE)
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])
    assert not np.array_equal(first[1], other[1])


@each_kind
def test_every_tenth_mask_is_empty_and_no_other(kind: Kind) -> None:
    empty = [seed for seed in range(40) if not phantom(kind, seed, (48, 48))[1].any()]
    assert empty == [9, 19, 29, 39]


@each_kind
def test_the_lesion_is_neither_a_dot_nor_the_whole_picture(kind: Kind) -> None:
    shares = np.array([phantom(kind, seed, SIDE)[1].mean() for seed in range(60) if seed % 10 != 9])
    assert shares.min() > 0.002
    assert shares.max() < 0.5
    assert 0.04 < shares.mean() < 0.2


@each_kind
def test_the_same_seed_is_the_same_picture_at_another_size(kind: Kind) -> None:
    small, large = phantom(kind, 2, (128, 128)), phantom(kind, 2, (256, 256))
    halved = large[1].reshape(128, 2, 128, 2).mean(axis=(1, 3)) >= 0.5
    assert (halved != small[1]).mean() < 0.005
    rough = [
        image.reshape(8, len(image) // 8, 8, len(image) // 8, 3).mean(axis=(1, 3)) for image in (small[0], large[0])
    ]
    assert np.abs(rough[0] - rough[1]).mean() < 3  # of 255


@each_kind
def test_lesions_differ_from_what_surrounds_them_but_no_threshold_outlines_them(kind: Kind) -> None:
    """Learnable: darker or lighter than the rest in most pictures. Not trivial: the best grey level of each fails."""
    contrasts, dices = [], []
    for seed in range(30):
        image, mask = phantom(kind, seed, SIDE)
        if not mask.any():
            continue
        grey, inside = image.mean(axis=2), mask == 1
        contrasts.append(abs(grey[inside].mean() - grey[~inside].mean()))
        levels = np.arange(10, 250, 10)[:, None, None]
        guesses = np.concatenate([grey < levels, grey >= levels])
        dices.append((2 * (guesses & inside).sum(axis=(1, 2)) / (guesses.sum(axis=(1, 2)) + inside.sum())).max())
    assert np.median(contrasts) > 15
    assert np.mean(dices) < 0.75


def test_pictures_are_written_as_pairs_that_can_be_found_and_read_back(tmp_path: Path) -> None:
    write_phantoms(tmp_path, 12, seed=4, size=(40, 50))
    samples = find_samples(tmp_path)
    assert [sample.id for sample in samples[:2]] == ["dermoscopy_00001", "dermoscopy_00004"]
    assert len(samples) == 12
    drawn = phantom("dermoscopy", 400_001, (40, 50))
    assert np.array_equal(read_image(samples[0].image), drawn[0])
    assert np.array_equal(read_masks(samples[0].masks), drawn[1])


@pytest.mark.parametrize(
    ("kind", "seed", "size"), [("xray", 0, SIDE), ("polyp", -1, SIDE), ("polyp", 0, (15, 99))], ids=str
)
def test_what_cannot_be_drawn_is_refused(kind: Kind, seed: int, size: tuple[int, int]) -> None:
    with pytest.raises(ConfigError, match="the kinds are polyp, dermoscopy, ultrasound"):
        phantom(kind, seed, size)


@pytest.mark.slow
@each_kind
def test_a_phantom_takes_less_than_20_ms_of_one_core(kind: Kind) -> None:
    phantom(kind, 0)
    start = process_time()
    for seed in range(50):
        phantom(kind, seed)
    assert (process_time() - start) / 50 < 0.020
