"""What a training run begins with: its samples, and its network, new or of a model that it goes on from."""

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import nn

from lvunet.card import IMAGENET_MEAN, IMAGENET_STD, Card
from lvunet.data.manifest import Part, Split
from lvunet.data.registry import Sample
from lvunet.data.selection import seen_in_training, task
from lvunet.errors import ConfigError
from lvunet.export.restore import initial
from lvunet.learn.config import TrainConfig
from lvunet.learn.record import seen_images
from lvunet.model import Constructor, PixelsToProbability, load_card, load_network


def parts(config: TrainConfig) -> tuple[Split, dict[Part, list[Sample]], list[Sample]]:
    """Return the split, its samples that training and validation use, and those of the test part that are there.

    Raises `ConfigError` where there are none to use.
    """
    samples, split = task(config.data, config.dataset, config.protocol, config.split_seed)
    used: dict[Part, list[Sample]] = {part: split.select(samples, part) for part in ("train", "val")}
    for part, of_part in used.items():
        if not of_part:
            raise ConfigError(f"{config.data}: the {part} part of the split is empty; give more images.")
    ids = {*split.part("test")}
    return split, used, [sample for sample in samples if sample.id in ids]


def start(
    config: TrainConfig,
    build: Constructor,
    used: dict[Part, list[Sample]],
    test: list[Sample],
    tell: Callable[[str], None],
) -> tuple[nn.Module, Card]:
    """Return the network as training finds it: new, or that of `config.init`, which has seen images of its own.

    `tell` hears of those that the epoch will be chosen by, and of those that are for the test.
    """
    seen = seen_images(used)
    several = ("background", *(f"class {label}" for label in range(1, config.classes)))
    card = Card(
        name=config.folder.resolve().name,
        classes=config.classes,
        class_names=("foreground",) if config.classes == 1 else several,
        in_channels=config.channels,
        size=config.size,
        mean=(sum(IMAGENET_MEAN) / 3,) if config.grey else IMAGENET_MEAN,
        std=(sum(IMAGENET_STD) / 3,) if config.grey else IMAGENET_STD,
        training={"config": config.model_dump(mode="json"), "seen": seen},
    )
    for teacher in config.teacher:  # what it has seen, it tells
        told = load_card(teacher).training.get("seen", ())
        card = replace(card, training=card.training | {"seen": sorted({*card.training["seen"], *told})})
    if config.init is None:
        return build(card.classes, card.in_channels, config.weights), card
    network, before = initial(config.init, card.classes, card.in_channels)
    if config.deep == "done" and network.slope != 1:
        raise ConfigError(
            f"{config.init} has slope {network.slope:g}: its deep training is not over. Give --deep paper."
        )
    _warn(config, before, used["val"], test, tell)
    earlier = {key: value for key, value in before.training.items() if key != "seen"}
    history = {
        "seen": sorted({*card.training["seen"], *before.training.get("seen", ())}),
        "before": {"name": before.name, **earlier},
    }
    return network, replace(card, mean=before.mean, std=before.std, training=card.training | history)


def teachers(config: TrainConfig, constructor: Callable[[str], Constructor]) -> list[PixelsToProbability]:
    """Return the trained networks that a student learns from, as they are used.

    Raises `ConfigError` for one that does not do the same task, or is no network that `constructor` makes.
    """
    ready = []
    for path in config.teacher:
        network, its = load_network(path, constructor)
        if (its.classes, its.in_channels) != (config.classes, config.channels):
            raise ConfigError(
                f"teacher {path}: it has {its.classes} classes and {its.in_channels} channels, "
                f"the student {config.classes} and {config.channels}."
            )
        network = network.to(memory_format=torch.channels_last)
        ready.append(PixelsToProbability(network, its.mean, its.std, its.temperature))
    return ready


def _warn(
    config: TrainConfig, before: Card, val: list[Sample], test: list[Sample], tell: Callable[[str], None]
) -> None:
    """Tell what a model that a run goes on from has seen already, and that it is to see another size."""
    for title, images, so in (
        ("validation", val, "their Dice says little of new images"),
        ("test", test, "a test leaves them out, or is refused"),
    ):
        if known := seen_in_training(before.training, images):
            tell(f"{config.init} has seen {len(known)} of the {len(images)} {title} images in its own training: {so}.")
    if before.size != config.size:
        tell(
            f"{config.init} was trained at {before.size} px, and sees {config.size} px: --size {before.size} keeps it."
        )
