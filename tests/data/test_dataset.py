"""Samples as batches: what is random depends on seed, epoch and indices alone."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from lvunet.card import Card
from lvunet.data.augment import Preset
from lvunet.data.dataset import EpochBatches, SegmentationData
from lvunet.data.registry import Sample
from lvunet.errors import MismatchedPair, UnreadableImage

SIZE = 64


@pytest.fixture(scope="module")
def samples(tmp_path_factory: pytest.TempPathFactory) -> list[Sample]:
    """Four pictures that are white exactly where their mask is, off centre."""
    folder = tmp_path_factory.mktemp("pairs")
    made = []
    for k in range(4):
        mask = np.zeros((SIZE, SIZE), np.uint8)
        mask[8 : 28 + 4 * k, 12:30] = 255
        Image.fromarray(mask).save(folder / f"mask{k}.png")
        Image.fromarray(np.stack([mask] * 3, axis=-1)).save(folder / f"image{k}.png")
        made.append(Sample(str(k), folder / f"image{k}.png", (folder / f"mask{k}.png",)))
    return made


def dataset(samples: list[Sample], augment: Preset, seed: int = 0) -> SegmentationData:
    return SegmentationData(samples, Card(size=SIZE), augment, seed)


def test_without_augmentation_a_sample_is_its_file(samples: list[Sample]) -> None:
    pixels, masks = dataset(samples, "none")[0, [3, 2]]
    expected = torch.zeros(SIZE, SIZE, dtype=torch.uint8)
    expected[8:36, 12:30] = 1
    assert torch.equal(masks[1, 0], expected)
    assert torch.equal(pixels[1], expected.expand(3, -1, -1) * 255)


@pytest.mark.parametrize("augment", ["paper", "strong"])
def test_a_batch_depends_on_seed_epoch_and_indices_alone(samples: list[Sample], augment: Preset) -> None:
    data, again = dataset(samples, augment), dataset(samples, augment)
    torch.manual_seed(123)
    first = data[3, [1, 0]]
    again[0, [0]], torch.rand(7)
    assert all(torch.equal(a, b) for a, b in zip(first, again[3, [1, 0]], strict=True))
    assert not torch.equal(first[0], dataset(samples, "strong", seed=1)[3, [1, 0]][0])
    assert len({data[epoch, [1, 2]][1].numpy().tobytes() for epoch in range(20)}) > 5


def test_drawing_a_batch_leaves_the_random_stream_of_the_program_alone(samples: list[Sample]) -> None:
    data = dataset(samples, "strong")
    torch.manual_seed(7)
    undisturbed = torch.rand(3)
    torch.manual_seed(7)
    data[0, [0, 1, 2]]
    assert torch.equal(torch.rand(3), undisturbed)


def test_each_epoch_has_an_order_of_its_own_that_a_resumed_run_finds_again() -> None:
    sampler, resumed = EpochBatches(50, 5, seed=1), EpochBatches(50, 5, seed=1)
    first = list(sampler)
    sampler.set_epoch(1)
    resumed.set_epoch(1)
    assert sorted(index for _, batch in first for index in batch) == list(range(50))
    assert list(sampler) == list(resumed)
    assert [batch for _, batch in sampler] != [batch for _, batch in first]


def test_training_leaves_out_a_batch_that_is_not_full_and_validation_does_not() -> None:
    for training, sizes in ((True, [4, 4]), (False, [4, 4, 3])):
        batches = EpochBatches(11, 4, 0, training=training)
        assert [len(batch) for _, batch in batches] == sizes
        assert len(batches) == len(sizes)
    assert [index for _, batch in EpochBatches(11, 4, 0, training=False) for index in batch] == list(range(11))


def test_fewer_images_than_a_batch_make_one_batch() -> None:
    assert [len(batch) for _, batch in EpochBatches(3, 8, seed=0)] == [3]


def test_two_processes_share_an_epoch_and_make_as_many_steps() -> None:
    shares = [[batch for _, batch in EpochBatches(7, 2, 0, (k, 2))] for k in range(2)]
    assert [len(share) for share in shares] == [2, 2]
    assert {index for share in shares for batch in share for index in batch} == set(range(7))


def test_labels_of_several_classes_are_resized_by_the_largest_share(tmp_path: Path) -> None:
    labels = np.zeros((8, 8), np.uint8)
    labels[:, 4:], labels[0, 0] = 2, 1
    Image.fromarray(labels).save(tmp_path / "m.png")
    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "i.png")
    sample = Sample("x", tmp_path / "i.png", (tmp_path / "m.png",))
    _, mask = SegmentationData([sample], Card(size=4, classes=3), "none", seed=0)[0, [0]]
    assert mask[0, 0].tolist() == [[0, 0, 2, 2]] * 4


def test_one_channel_reads_the_image_as_grey(samples: list[Sample]) -> None:
    card = Card(size=SIZE, in_channels=1, mean=(0.4,), std=(0.2,))
    pixels, mask = SegmentationData(samples, card, "none", seed=0)[0, [1]]
    assert pixels.shape == (1, 1, SIZE, SIZE)
    assert torch.equal(pixels == 255, mask == 1)


def test_a_mask_of_another_size_stops_training_and_names_the_sample(samples: list[Sample], tmp_path: Path) -> None:
    Image.fromarray(np.zeros((10, 20), np.uint8)).save(tmp_path / "mask.png")
    wrong = Sample("odd", samples[0].image, (tmp_path / "mask.png",))
    with pytest.raises(MismatchedPair, match=r"odd: the mask is \(10, 20\), but the image \(64, 64\)"):
        dataset([*samples, wrong], "none")


def test_labels_where_one_class_was_asked_for_are_refused_with_the_number_to_ask_for(
    samples: list[Sample], tmp_path: Path
) -> None:
    Image.fromarray(np.full((SIZE, SIZE), 2, np.uint8)).save(tmp_path / "labels.png")
    with pytest.raises(UnreadableImage, match="--classes 3"):
        dataset([Sample("l", samples[0].image, (tmp_path / "labels.png",))], "none")
