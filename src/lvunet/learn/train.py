"""From a folder of images and masks to `best.safetensors`: one run of deep training, by Lightning."""

import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import ModelCheckpoint, RichProgressBar, WeightAveraging
from pytorch_lightning.loggers import TensorBoardLogger
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader

from lvunet.card import Card
from lvunet.data.dataset import EpochBatches, SegmentationData
from lvunet.data.selection import PICTURES
from lvunet.errors import CheckpointError, ConfigError
from lvunet.evaluate.evidence import write_json
from lvunet.export.onnx import export_onnx
from lvunet.fold.unfold import settle
from lvunet.image import read_image
from lvunet.learn.allocator import keep_freed_memory
from lvunet.learn.calibrate import calibrate
from lvunet.learn.config import ARTEFACT, BEST, LOG, MANIFEST, TrainConfig
from lvunet.learn.module import DeepTraining, EpochLog, KeepBest
from lvunet.learn.record import resumable, run_record
from lvunet.learn.schedule import decay
from lvunet.learn.start import parts, start, teachers
from lvunet.model import Constructor, load_checkpoint, only_lvunet
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
    constructor: Callable[[str], Constructor] = only_lvunet,
    tell: Callable[[str], None] = lambda _: None,
) -> Run:
    """Train, or go on with the interrupted run in `config.folder`; raises any `LVUNetError`.

    `constructor` returns what makes the network of a name: `config.network`, and those of teachers.
    `tell` is given what a person should know beforehand.
    """
    keep_freed_memory()
    _demand_accelerator(config)
    split, used, test = parts(config)
    pl.seed_everything(config.seed, verbose=False)
    network, card = start(config, constructor(config.network), used, test, tell)
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
        network = network.train().to(memory_format=torch.channels_last)
        module = DeepTraining(network, card, config, steps.batch_size, teachers(config, constructor))
        learnt = DataLoader(training, sampler=steps, batch_size=None)
        validated = DataLoader(validation, sampler=checks, batch_size=None)
        if not training.masks.any():
            tell(f"{config.data}: no training mask has anything to outline: what it learns is to find nothing.")
        if config.init and last is None and config.deep == "done" and trainer.world_size == 1:
            tell(f"{config.init} as it is has a validation Dice of {_as_it_is(config, module, validated):.4f}")
        try:
            trainer.fit(module, learnt, validated, ckpt_path=last, weights_only=True)
        except SystemExit as end:  # so Lightning ends on Ctrl-C
            raise KeyboardInterrupt from end
    run = _kept(keep_best)
    if trainer.is_global_zero:
        every = EpochBatches(len(validation), config.batch_size, config.seed, training=False)
        calibrate(run.best, (validation[key] for key in every), constructor)
    trainer.strategy.barrier()
    return run


def _kept(best: KeepBest) -> Run:
    """Return what is kept of a run that ended; raises `CheckpointError` if that is nothing."""
    if best.best_epoch < 0:
        raise CheckpointError(
            f"{best.run}: stopped before the slope reached 1, so nothing can be folded yet. Run it again to go on."
        )
    return Run(best.run, best.run / BEST, best.best, best.best_epoch)


def _demand_accelerator(config: TrainConfig) -> None:
    """Raise `ConfigError` where there is no GPU and one is asked for."""
    if config.accelerator == "gpu" and not torch.accelerator.is_available():
        raise ConfigError("--accelerator gpu: PyTorch finds no GPU here. Leave the flag out, or give cpu.")


def _begun(config: TrainConfig, record: dict[str, Any], tell: Callable[[str], None]) -> tuple[Path | None, int]:
    """Return the checkpoint to go on from and its epoch, as `resumable` does; of a new run write the manifest."""
    last, epoch = resumable(config.folder, record)
    if last is None:  # it says with which code, and where, the run was begun
        write_json(config.folder / MANIFEST, record)
    else:
        tell(f"{epoch} of {config.epochs} epochs are trained already: {config.folder}")
    return last, epoch


def export(run: Run, config: TrainConfig) -> Path:
    """Write the chosen network as `model.onnx` beside its checkpoint, proven on validation images; return its path.

    Raises what `export_onnx` does.
    """
    validation = parts(config)[1]["val"]
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


def _as_it_is(config: TrainConfig, module: DeepTraining, validation: DataLoader[Any]) -> float:
    """Return the Dice of a network before it is trained, and leave nothing behind."""
    once = pl.Trainer(
        accelerator=config.accelerator,
        devices=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    return float(once.validate(module, validation, verbose=False)[0]["val_dice"])


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
