"""What each corruption does to a picture, by hand where there is a formula, and what none of them may do."""

from io import BytesIO

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import norm

from lvunet.data.phantom import KINDS, Kind, phantom
from lvunet.evaluate.corruptions import CORRUPTIONS, SEVERITIES, Corruption, Severity
from lvunet.image import UInt8, resize

BY_NAME = {corruption.name: corruption for corruption in CORRUPTIONS}
SMOOTHING = ("defocus", "motion", "resolution")
GEOMETRIC = (*SMOOTHING, "noise", "jpeg", "highlights")
ROUNDING = 0.5
BOXES = 3.0  # grey levels that Pillow's three box filters may differ from a Gaussian, on an edge of 200
MOST_COVERED = 0.05
SMOOTHED = 0.3  # resizing smooths: 0.75 to 0.96 is left; with amounts that do not scale 0.08 to 0.57, of spots 0.7

all_corruptions = pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda corruption: corruption.name)


def polyp(seed: int = 0, size: tuple[int, int] = (256, 256)) -> UInt8:
    return phantom("polyp", seed, size)[0]


def flat(*colour: int, size: tuple[int, int] = (256, 256)) -> UInt8:
    return np.full((*size, 3), colour, np.uint8)


def rms(one: NDArray[np.generic], other: NDArray[np.generic]) -> float:
    return float(np.sqrt(np.mean((one.astype(np.float64) - other.astype(np.float64)) ** 2)))


def detail(image: UInt8) -> float:
    """Mean square of the differences of neighbours."""
    values = image.astype(np.float64)
    return float(np.mean(np.diff(values, axis=0) ** 2) + np.mean(np.diff(values, axis=1) ** 2))


@all_corruptions
@pytest.mark.parametrize("kind", KINDS)
def test_each_changes_the_picture_more_the_severer_it_is(corruption: Corruption, kind: Kind) -> None:
    image = phantom(kind, 3, (200, 256))[0]
    image.setflags(write=False)  # nothing is changed in place
    spoilt = [corruption(image, severity) for severity in SEVERITIES]
    assert all(each.shape == image.shape and each.dtype == np.uint8 for each in spoilt)
    changes = [rms(each, image) for each in spoilt]
    assert 0 < changes[0] < changes[1] < changes[2]


@pytest.mark.parametrize("name", SMOOTHING)
def test_blur_and_loss_of_resolution_take_detail_away(name: str) -> None:
    image = polyp()
    left = [detail(image), *(detail(BY_NAME[name](image, severity)) for severity in SEVERITIES)]
    assert left == sorted(left, reverse=True)
    assert left[-1] < left[0] / 2


@all_corruptions
def test_the_same_pixels_are_spoilt_in_the_same_way_however_they_lie_in_memory(corruption: Corruption) -> None:
    image = polyp()
    in_columns = np.asfortranarray(image)
    assert np.array_equal(corruption(image, "severe"), corruption(in_columns, "severe"))


@all_corruptions
def test_grey_stays_grey_but_for_a_colour_cast(corruption: Corruption) -> None:
    image = phantom("ultrasound", 1, (200, 256))[0]
    assert (image == image[:, :, :1]).all()
    spoilt = corruption(image, "severe")
    assert bool((spoilt == spoilt[:, :, :1]).all()) == (corruption.name != "cast")


@all_corruptions
@pytest.mark.parametrize("size", [(8, 8), (1, 1), (1, 300), (300, 1), (2, 5)])
@pytest.mark.parametrize("grey_level", [0, 90, 255])
def test_tiny_thin_and_flat_pictures_are_no_trouble(
    corruption: Corruption, size: tuple[int, int], grey_level: int
) -> None:
    for severity in SEVERITIES:
        assert corruption(flat(grey_level, size=size), severity).shape == (*size, 3)


@pytest.mark.parametrize("name", GEOMETRIC)
@pytest.mark.parametrize("severity", SEVERITIES[1:])
def test_a_large_photograph_is_hurt_like_a_small_one(name: str, severity: Severity) -> None:
    small = polyp(1)
    large = np.rint(resize(small, (1024, 1024))).astype(np.uint8)
    seen = resize(BY_NAME[name](large, severity), (256, 256))
    hurt, hurt_small = rms(seen, resize(large, (256, 256))), rms(BY_NAME[name](small, severity), small)
    assert hurt / hurt_small == pytest.approx(1, abs=SMOOTHED)


@pytest.mark.parametrize("name", ["darker", "brighter"])
def test_exposure_multiplies_grey_levels_and_ends_at_white(name: str) -> None:
    expected = {"darker": ([70, 50, 30], 60), "brighter": ([115, 130, 160], 255)}[name]
    found = [int(BY_NAME[name](flat(100), severity)[7, 9, 1]) for severity in SEVERITIES]
    assert (found, int(BY_NAME[name](flat(200), "severe").max())) == expected


def test_contrast_is_scaled_about_the_mean() -> None:
    image = flat(50)
    image[:, 128:] = 150
    found = [np.unique(BY_NAME["contrast"](image, severity)).tolist() for severity in SEVERITIES]
    assert found == [[65, 135], [75, 125], [85, 115]]


def test_a_cast_is_red_or_blue_and_which_is_the_pictures_own_lot() -> None:
    found = {tuple(BY_NAME["cast"](flat(100, size=(8, width)), "severe")[0, 0].tolist()) for width in range(1, 20)}
    assert found == {(135, 100, 74), (74, 100, 135)}


def test_noise_has_the_deviation_that_it_states_and_is_another_in_each_channel() -> None:
    image = flat(127, 128, 129)
    for severity, deviation in zip(SEVERITIES, (6, 15, 30), strict=True):
        noise = BY_NAME["noise"](image, severity).astype(np.float64) - image
        assert noise.std() == pytest.approx(deviation, rel=0.01)  # rounded to whole levels, clipped beyond 4 deviations
        assert abs(noise.mean()) < 5 * deviation / 256  # standard errors, of 65,536 pixels
        assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 5 / 256


def test_at_256_px_jpeg_is_jpeg() -> None:
    image = polyp()
    for severity, quality in zip(SEVERITIES, (40, 20, 10), strict=True):
        file = BytesIO()
        Image.fromarray(image).save(file, "JPEG", quality=quality)
        assert np.array_equal(BY_NAME["jpeg"](image, severity), np.asarray(Image.open(file)))


@pytest.mark.parametrize(("severity", "sigma"), [("medium", 1.5), ("severe", 3)])
def test_an_edge_out_of_focus_is_the_integral_of_a_gaussian(severity: Severity, sigma: float) -> None:
    image = flat(20)
    image[:, 128:] = 220
    profile = BY_NAME["defocus"](image, severity)[100, :, 0]
    expected = 20 + 200 * norm.cdf((np.arange(256) - 127.5) / sigma)
    assert np.abs(profile - expected).max() < BOXES


def test_motion_draws_a_point_out_into_a_line_of_the_path_it_went() -> None:
    image = flat(0)
    image[100, 100] = 240
    spoilt = BY_NAME["motion"](image, "severe")[..., 0]
    rows, columns = np.nonzero(spoilt)
    assert sorted((len(set(rows)), len(set(columns)))) == [1, 17]  # 15 whole pixels and two halves: a path of 16
    assert spoilt.max() == 240 / 16


def test_half_the_resolution_leaves_nothing_of_a_pattern_of_single_pixels() -> None:
    image = flat(0)
    image[:, ::2] = 200
    spoilt = BY_NAME["resolution"](image, "mild")[:, 8:-8]
    assert np.abs(spoilt - 100.0).max() <= ROUNDING
    assert np.array_equal(BY_NAME["resolution"](image[:64, :64], "mild"), image[:64, :64])  # it has only 64 px a side


@pytest.mark.parametrize("seed", range(3))
def test_highlights_are_white_few_and_grow_where_they_are(seed: int) -> None:
    image = polyp(seed, (300, 400))
    spots = [BY_NAME["highlights"](image, severity) for severity in SEVERITIES]
    assert all((each >= image).all() and (each == 255).all(axis=2).any() for each in spots)
    covered = [(each > image).any(axis=2) for each in spots]
    assert 0 < covered[0].mean() < covered[1].mean() < covered[2].mean() < MOST_COVERED
    assert not (covered[0] & ~covered[1]).any()
    assert not (covered[1] & ~covered[2]).any()


def test_highlights_are_where_light_falls() -> None:
    image = flat(0)
    image[:, 128:] = 120
    spoilt = BY_NAME["highlights"](image, "severe")
    assert not spoilt[:, :120].any()
    assert (spoilt[:, 136:] > 120).any()
