"""Augmentation of batches: image and mask move together, each image by itself, as the preset says."""

import numpy as np
import pytest
import torch
from PIL import Image
from PIL.ImageFilter import GaussianBlur
from torch import Generator, Tensor

from lvunet.data.augment import BLUR_PX, Preset, augmented, coloured, smoothed, turned, warped

SIZE = 64


def drawn(seed: int = 0) -> Generator:
    return Generator().manual_seed(seed)


def batch(count: int = 1) -> tuple[Tensor, Tensor]:
    """Pictures that are white exactly where their mask is, an L off centre: no two of its eight positions are equal."""
    mask = torch.zeros(count, 1, SIZE, SIZE, dtype=torch.uint8)
    mask[:, :, 8:40, 12:20] = 1
    mask[:, :, 32:40, 12:44] = 1
    return mask.expand(-1, 3, -1, -1) * 255, mask


def test_none_changes_nothing() -> None:
    pixels, masks = batch(2)
    after = augmented("none", (pixels, masks), drawn())
    assert after[0] is pixels
    assert after[1] is masks


def test_the_paper_preset_moves_the_mask_with_its_image_to_all_eight_positions_equally_often() -> None:
    pixels, masks = augmented("paper", batch(800), drawn())
    assert torch.equal(pixels[:, :1] == 255, masks == 1)
    positions, counts = np.unique(masks.flatten(1).numpy(), axis=0, return_counts=True)
    expected = {
        mask.numpy().tobytes()
        for turn in range(4)
        for mask in (torch.rot90(batch()[1][0, 0], turn), torch.rot90(batch()[1][0, 0].flip(1), turn))
    }
    assert {mask.tobytes() for mask in positions} == expected
    assert counts.min() > 60  # of 100 expected: 4 standard deviations


@pytest.mark.parametrize("preset", ["paper", "strong"])
def test_each_image_of_a_batch_has_its_own_parameters(preset: Preset) -> None:
    pixels, _ = augmented(preset, batch(16), drawn())
    assert len({each.numpy().tobytes() for each in pixels}) > 4


def test_the_strong_preset_keeps_mask_and_image_together_up_to_blur_and_light() -> None:
    pixels, masks = augmented("strong", batch(64), drawn())
    assert pixels.dtype == torch.float32
    assert masks.dtype == torch.uint8
    assert 0 <= pixels.min() <= pixels.max() <= 255
    assert set(masks.flatten().tolist()) == {0, 1}
    for image, mask in zip(pixels.mean(1), masks[:, 0], strict=True):
        assert image[mask == 1].mean() > image[mask == 0].mean() + 60


def test_the_warp_is_the_same_for_image_and_mask() -> None:
    pixels, masks = batch(32)
    moved, labels = warped((pixels.float(), masks), drawn())
    share = ((moved[:, :1] >= 127.5) == (labels == 1)).float().mean()
    assert share > 0.99  # nearest and bilinear part only at outlines
    areas = labels.flatten(1).sum(1) / masks[0].sum()
    assert areas.min() < 0.8
    assert areas.max() > 1.25  # zoom goes both ways


def test_what_the_warp_brings_in_is_black_and_background() -> None:
    pixels, masks = torch.full((32, 3, 64, 64), 200.0), torch.ones(32, 1, 64, 64, dtype=torch.uint8)
    moved, labels = warped((pixels, masks), drawn())
    black, background = moved[:, :1] == 0, labels == 0
    assert 0.05 < black.float().mean() < 0.5
    assert background[black].all()
    assert (moved[:, :1][background] < 101).all()  # at the rim bilinear mixes in up to half of the image


def test_light_changes_are_factors_about_black_and_keep_grey_pictures_grey_up_to_the_cast() -> None:
    grey = torch.full((200, 3, 4, 4), 100.0)
    lit = coloured(grey, drawn())[:, :, 0, 0]
    untouched = (lit == 100).all(1)
    assert 0.1 < untouched.float().mean() < 0.3  # a fifth
    assert lit.max() <= 100 * 1.35 * 1.1 + 1e-3
    assert lit.min() >= 100 / 1.35 / 1.1 - 1e-3
    assert (lit.max(1).values / lit.min(1).values).max() <= 1.1**2 + 1e-5


def test_the_blur_is_gaussian() -> None:
    picture = np.zeros((65, 65), np.uint8)
    picture[32, 32] = 255
    sigma = 1.5
    ours = smoothed(torch.from_numpy(picture).float()[None, None], torch.tensor([sigma]))[0, 0]
    offsets = torch.arange(-32, 33)
    bell = torch.exp(-(offsets**2) / (2 * sigma**2))
    expected = 255 * torch.outer(bell, bell) / bell.sum() ** 2
    assert torch.allclose(ours, expected, atol=0.02)  # the tails beyond 6 px are cut
    pillow = np.asarray(Image.fromarray(picture).filter(GaussianBlur(sigma)), np.float32)
    assert np.abs(ours.numpy() - pillow).max() < 3  # Pillow's is made of boxes


def test_a_blur_of_no_images_is_none_and_a_constant_stays_constant_to_the_border() -> None:
    assert smoothed(torch.zeros(0, 3, 32, 32), torch.zeros(0)).shape == (0, 3, 32, 32)
    constant = torch.full((2, 1, 32, 32), 80.0)
    assert torch.allclose(smoothed(constant, torch.tensor([0.5, BLUR_PX])), constant)


def test_grey_networks_are_augmented_too() -> None:
    pixels, masks = batch(8)
    after, _ = augmented("strong", (pixels[:, :1].contiguous(), masks), drawn())
    assert after.shape == (8, 1, SIZE, SIZE)


def test_what_comes_in_is_not_changed() -> None:
    pixels, masks = batch(16)
    before = pixels.clone()
    augmented("strong", (pixels, masks), drawn())
    assert torch.equal(pixels, before)


def test_a_turn_of_uint8_is_exact() -> None:
    pixels, masks = batch(4)
    after, _ = turned((pixels, masks), drawn(3))
    assert after.dtype == torch.uint8
    assert after.sum() == pixels.sum()
