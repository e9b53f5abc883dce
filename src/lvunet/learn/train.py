"""From a folder of images and masks to `best.safetensors`: one run of deep training, by Lightning."""

import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint, RichProgressBar, WeightAveraging
from pytorch_lightning.loggers import TensorBoardLogger
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from lvunet.card import IMAGENET_MEAN, IMAGENET_STD, Card
from lvunet.data.dataset import EpochBatches, SegmentationData
from lvunet.data.manifest import Part
from lvunet.data.registry import Sample
from lvunet.data.selection import task
from lvunet.errors import CheckpointError, ConfigError
from lvunet.evaluate.evidence import write_json
from lvunet.learn.allocator import keep_freed_memory
from lvunet.learn.config import TrainConfig
from lvunet.learn.module import DeepTraining, EpochLog, KeepBest
from lvunet.learn.record import MANIFEST, resumable, run_record, seen_images
from lvunet.model import LVUNet


@dataclass(frozen=True)
class Run:
    """What a training run leaves behind."""

    folder: Path
    best: Path
    val_dice: float
    epoch: int


def train(config: TrainConfig, progress_bar: bool = True) -> Run:
    """Train, or go on with the interrupted run in `config.folder`; raises any `LVUNetError`."""
    keep_freed_memory()
    samples, split = task(config.data, config.dataset, config.protocol, config.split_seed)
    used: dict[Part, list[Sample]] = {part: split.select(samples, part) for part in ("train", "val")}
    for part, of_part in used.items():
        if not of_part:
            raise ConfigError(f"{config.data}: the {part} part of the split is empty; give more images.")
    record = run_record(config, split, used)
    last, epoch = resumable(config.folder, record)
    pl.seed_everything(config.seed, verbose=False)
    card = _card(config, seen_images(used))
    network = LVUNet(card.classes, card.in_channels, config.weights).to(memory_format=torch.channels_last)
    write_json(config.folder / MANIFEST, record)
    keep_best = KeepBest(config.folder)
    with _lightning_at_ease():
        trainer = _trainer(config, keep_best, progress_bar)
        device = trainer.strategy.root_device
        training = SegmentationData(used["train"], card, config.augment, config.seed).to(device)
        validation = SegmentationData(used["val"], card, "none", config.seed).to(device)
        steps, checks = _batches(config, training, trainer, epoch), _batches(config, validation, trainer)
        loaders = (
            DataLoader(training, sampler=steps, batch_size=None),
            DataLoader(validation, sampler=checks, batch_size=None),
        )
        module = DeepTraining(network, card, config, steps.batch_size)
        try:
            trainer.fit(module, *loaders, ckpt_path=last, weights_only=True)
        except SystemExit as end:  # so Lightning ends on Ctrl-C
            raise KeyboardInterrupt from end
    if keep_best.best_epoch < 0:
        raise CheckpointError(
            f"{config.folder}: stopped before the slope reached 1, so nothing can be folded yet. Run it again to go on."
        )
    return Run(config.folder, config.folder / "best.safetensors", keep_best.best, keep_best.best_epoch)


class Bar(RichProgressBar):
    """Lightning's, without the version number of a logger."""

    def get_metrics(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> Any:
        """Return what stands beside the bar."""
        return {name: value for name, value in super().get_metrics(trainer, pl_module).items() if name != "v_num"}


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


def _card(config: TrainConfig, seen: list[str]) -> Card:
    return Card(
        name=config.folder.resolve().name,
        classes=config.classes,
        class_names=("foreground",)
        if config.classes == 1
        else ("background", *(f"class {label}" for label in range(1, config.classes))),
        in_channels=1 if config.grey else 3,
        size=config.size,
        mean=(sum(IMAGENET_MEAN) / 3,) if config.grey else IMAGENET_MEAN,
        std=(sum(IMAGENET_STD) / 3,) if config.grey else IMAGENET_STD,
        training={"config": config.model_dump(mode="json"), "seen": seen},
    )


def _batches(
    config: TrainConfig, data: SegmentationData, trainer: pl.Trainer, epoch: int | None = None
) -> EpochBatches:
    """Return the batches of validation, or of training from `epoch` on: drawn before Lightning says which it is."""
    share = (trainer.global_rank, trainer.world_size)
    batches = EpochBatches(len(data), config.batch_size, config.seed, share, training=epoch is not None)
    batches.set_epoch(epoch or 0)
    return batches


def _trainer(config: TrainConfig, keep_best: KeepBest, progress_bar: bool) -> pl.Trainer:
    callbacks: list[pl.Callback] = [keep_best, EpochLog(config.folder / "metrics.csv")]
    if config.ema:
        callbacks.append(WeightAveraging(multi_avg_fn=get_ema_multi_avg_fn(config.ema)))  # type: ignore[no-untyped-call]
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
