"""From a folder of images and masks to `best.safetensors`: one run of deep training, by Lightning."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint, RichProgressBar, WeightAveraging
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from lvunet.card import IMAGENET_MEAN, IMAGENET_STD, Card
from lvunet.data.dataset import EpochBatches, SegmentationData
from lvunet.data.manifest import Part, Split
from lvunet.data.registry import Sample
from lvunet.data.selection import PICTURES, seen_in_training, task
from lvunet.errors import CheckpointError, ConfigError
from lvunet.evaluate.evidence import write_json
from lvunet.export.onnx import export_onnx
from lvunet.export.restore import initial
from lvunet.fold.unfold import settle
from lvunet.image import read_image
from lvunet.learn.allocator import keep_freed_memory
from lvunet.learn.calibrate import calibrate
from lvunet.learn.config import ARTEFACT, BEST, LOG, MANIFEST, TrainConfig
from lvunet.learn.module import DeepTraining, EpochLog, KeepBest
from lvunet.learn.record import resumable, run_record, seen_images
from lvunet.learn.schedule import decay
from lvunet.model import Constructor, LVUNet, load_checkpoint
from lvunet.model.lvunet import pixel_statistic

SETTLING_BATCHES = 12


@dataclass(frozen=True)
class Run:
    """What a training run leaves behind."""

    folder: Path
    best: Path
    val_dice: float
    epoch: int


def train(
    config: TrainConfig,
    progress_bar: bool = True,
    build: Constructor = LVUNet,
    tell: Callable[[str], None] = lambda _: None,
) -> Run:
    """Train, or go on with the interrupted run in `config.folder`; raises any `LVUNetError`.

    `build` makes the network that `config.network` names; `tell` is given what a person should know beforehand.
    """
    keep_freed_memory()
    split, used = _parts(config)
    pl.seed_everything(config.seed, verbose=False)
    network, card = _start(config, build, used, tell)
    last, epoch = _begun(config, run_record(config, split, used), tell)
    keep_best = KeepBest(config.folder)
    with _lightning_at_ease():
        trainer = _trainer(config, keep_best, progress_bar)
        device = trainer.strategy.root_device
        training = SegmentationData(used["train"], card, config.augment, config.seed).to(device)
        validation = SegmentationData(used["val"], card, "none", config.seed).to(device)
        steps, checks = _batches(config, training, trainer, epoch), _batches(config, validation, trainer)
        if config.init and last is None:
            network = settle(network, _normalised(training, steps, card))
        module = DeepTraining(network.train().to(memory_format=torch.channels_last), card, config, steps.batch_size)
        loaders = (
            DataLoader(training, sampler=steps, batch_size=None),
            DataLoader(validation, sampler=checks, batch_size=None),
        )
        try:
            trainer.fit(module, *loaders, ckpt_path=last, weights_only=True)
        except SystemExit as end:  # so Lightning ends on Ctrl-C
            raise KeyboardInterrupt from end
    if keep_best.best_epoch < 0:
        raise CheckpointError(
            f"{config.folder}: stopped before the slope reached 1, so nothing can be folded yet. Run it again to go on."
        )
    run = Run(config.folder, config.folder / BEST, keep_best.best, keep_best.best_epoch)
    if trainer.is_global_zero:
        every = EpochBatches(len(validation), config.batch_size, config.seed, training=False)
        calibrate(run.best, (validation[key] for key in every), build)
    trainer.strategy.barrier()
    return run


def _begun(config: TrainConfig, record: dict[str, Any], tell: Callable[[str], None]) -> tuple[Path | None, int]:
    """Return the checkpoint to go on from and its epoch, as `resumable` does; of a new run write the manifest."""
    last, epoch = resumable(config.folder, record)
    if last is None:  # it says with which code, and where, the run was begun
        write_json(config.folder / MANIFEST, record)
    else:
        tell(f"{epoch} of {config.epochs} epochs are trained already: {config.folder}")
    return last, epoch


def _parts(config: TrainConfig) -> tuple[Split, dict[Part, list[Sample]]]:
    """Return the split, and its samples that training and validation use; raises `ConfigError` where there are none."""
    samples, split = task(config.data, config.dataset, config.protocol, config.split_seed)
    used: dict[Part, list[Sample]] = {part: split.select(samples, part) for part in ("train", "val")}
    for part, of_part in used.items():
        if not of_part:
            raise ConfigError(f"{config.data}: the {part} part of the split is empty; give more images.")
    return split, used


def export(run: Run, config: TrainConfig) -> Path:
    """Write the chosen network as `model.onnx` beside its checkpoint, proven on validation images; return its path.

    Raises what `export_onnx` does.
    """
    validation = _parts(config)[1]["val"]
    images = [read_image(sample.image) for sample in validation[:: -(-len(validation) // PICTURES)]]
    network, card = load_checkpoint(run.best)
    export_onnx(network, card, run.folder / ARTEFACT, images)
    return run.folder / ARTEFACT


class Bar(RichProgressBar):
    """Lightning's, without the version number of a logger, and with epochs counted as people do."""

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> Any:
        """Return what stands beside the bar."""
        return {name: value for name, value in super().get_metrics(trainer, pl_module).items() if name != "v_num"}

    def _get_train_description(self, current_epoch: int) -> str:
        return f"Epoch {current_epoch + 1} of {self.trainer.max_epochs}"  # Lightning's last of 40 is "Epoch 39/39"


@contextmanager
def _lightning_at_ease() -> Iterator[None]:
    """Keep back what Lightning says of every run and what is not so here."""
    talk = logging.getLogger("pytorch_lightning"), logging.getLogger("lightning.pytorch")
    levels = [logger.level for logger in talk]
    with warnings.catch_warnings():
        for message in (
            ".*does not have many workers.*",  # decoded pixels lie in memory
            ".*smaller than the logging interval.*",  # one row an epoch is meant
            ".*Checkpoint directory .* exists.*",  # as it must to be resumed
            ".*LeafSpec.*is deprecated.*",  # Lightning 2.6.6 on torch 2.14
        ):
            warnings.filterwarnings("ignore", message)
        for logger in talk:
            logger.setLevel(logging.ERROR)
        try:
            yield
        finally:
            for logger, level in zip(talk, levels, strict=True):
                logger.setLevel(level)


def _start(
    config: TrainConfig, build: Constructor, used: dict[Part, list[Sample]], tell: Callable[[str], None]
) -> tuple[nn.Module, Card]:
    """Return the network as training finds it: new, or that of `config.init`, which has seen images of its own.

    `tell` hears of those that the epoch will be chosen by.
    """
    seen = seen_images(used)
    several = ("background", *(f"class {label}" for label in range(1, config.classes)))
    card = Card(
        name=config.folder.resolve().name,
        classes=config.classes,
        class_names=("foreground",) if config.classes == 1 else several,
        in_channels=1 if config.grey else 3,
        size=config.size,
        mean=(sum(IMAGENET_MEAN) / 3,) if config.grey else IMAGENET_MEAN,
        std=(sum(IMAGENET_STD) / 3,) if config.grey else IMAGENET_STD,
        training={"config": config.model_dump(mode="json"), "seen": seen},
    )
    for teacher in config.teacher:  # what it has seen, it tells
        told = load_checkpoint(teacher)[1].training.get("seen", ())
        card = replace(card, training=card.training | {"seen": sorted({*card.training["seen"], *told})})
    if config.init is None:
        return build(card.classes, card.in_channels, config.weights), card
    network, before = initial(config.init, card.classes, card.in_channels)
    if config.deep == "done" and network.slope != 1:
        raise ConfigError(
            f"{config.init} has slope {network.slope:g}: its deep training is not over. Give --deep paper."
        )
    if known := seen_in_training(before.training, used["val"]):
        tell(
            f"{config.init} has seen {len(known)} of the {len(used['val'])} validation images in its own training: "
            "their Dice says little of new images."
        )
    earlier = {key: value for key, value in before.training.items() if key != "seen"}
    history = {
        "seen": sorted({*card.training["seen"], *before.training.get("seen", ())}),
        "before": {"name": before.name, **earlier},
    }
    return network, replace(card, mean=before.mean, std=before.std, training=card.training | history)


def _normalised(data: SegmentationData, batches: EpochBatches, card: Card) -> Iterator[Tensor]:
    """Yield what the network takes of a few dozen training images."""
    mean, std = pixel_statistic(card.mean), pixel_statistic(card.std)
    for key in islice(batches, SETTLING_BATCHES):
        yield (data[key][0].float().cpu() - mean) / std


def _batches(
    config: TrainConfig, data: SegmentationData, trainer: pl.Trainer, epoch: int | None = None
) -> EpochBatches:
    """Return the batches of validation, or of training from `epoch` on: drawn before Lightning says which it is."""
    share = (trainer.global_rank, trainer.world_size)
    batches = EpochBatches(len(data), config.batch_size, config.seed, share, training=epoch is not None)
    batches.set_epoch(epoch or 0)
    return batches


def _average(most: float, averaged: Any, current: Any, count: Tensor | int) -> None:
    """Move the average of the weights, of so many steps, towards those of now."""
    get_ema_multi_avg_fn(decay(int(count), most))(averaged, current, count)  # type: ignore[no-untyped-call]  # torch's


def _trainer(config: TrainConfig, keep_best: KeepBest, progress_bar: bool) -> pl.Trainer:
    callbacks: list[pl.Callback] = [keep_best, EpochLog(config.folder / LOG)]
    if config.ema:
        callbacks.append(WeightAveraging(multi_avg_fn=partial(_average, config.ema)))
    if progress_bar:
        callbacks.append(Bar())
    every = config.validate_every
    callbacks.append(
        ModelCheckpoint(
            config.folder,
            filename="last",
            save_top_k=1,
            every_n_epochs=every,
            save_on_train_epoch_end=True,  # not within an epoch, whose end would come twice
            enable_version_counter=False,
        )
    )
    return pl.Trainer(
        accelerator=config.accelerator,
        devices=config.devices,
        strategy="ddp" if config.devices > 1 else "auto",
        use_distributed_sampler=False,  # EpochBatches shares out by itself
        precision="bf16-mixed" if config.precision == "bf16" else "32-true",
        deterministic=config.deterministic,
        benchmark=not config.deterministic,
        max_epochs=config.epochs,
        check_val_every_n_epoch=every,
        callbacks=callbacks,
        logger=TensorBoardLogger(config.folder, name="", version="tensorboard"),
        num_sanity_val_steps=0,
        enable_progress_bar=progress_bar,
        enable_model_summary=False,
        log_every_n_steps=1_000_000,  # one row an epoch, not one a step
    )
