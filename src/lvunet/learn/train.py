"""From a folder of images and masks to `best.safetensors`: one run of deep training, by Lightning."""

import hashlib
import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EMAWeightAveraging, ModelCheckpoint, RichProgressBar
from pytorch_lightning.loggers import TensorBoardLogger
from torch.utils.data import DataLoader

from lvunet.card import IMAGENET_MEAN, IMAGENET_STD, Card
from lvunet.data.dataset import EpochSampler, SegmentationData
from lvunet.data.manifest import PARTS, Part, Split
from lvunet.data.registry import find_samples
from lvunet.data.selection import split_of
from lvunet.errors import CheckpointError, ConfigError
from lvunet.evaluate.provenance import provenance
from lvunet.learn.allocator import keep_freed_memory
from lvunet.learn.config import TrainConfig
from lvunet.learn.module import DeepTraining, EpochLog, KeepBest
from lvunet.model import LVUNet

LAST = "last.ckpt"


@dataclass(frozen=True)
class Run:
    """What a training run leaves behind."""

    folder: Path
    best: Path
    val_dice: float
    epoch: int


def train(config: TrainConfig, progress_bar: bool = True) -> Run:
    """Train, or go on with the interrupted run in `config.out`; raises any `LVUNetError`."""
    keep_freed_memory()
    config.out.mkdir(parents=True, exist_ok=True)
    last = _resumable(config)
    pl.seed_everything(config.seed, verbose=False)
    split = split_of(config.data, config.dataset, config.protocol, config.split_seed)
    card = Card(
        classes=config.classes,
        class_names=_class_names(config.classes),
        size=config.size,
        mean=IMAGENET_MEAN,
        std=IMAGENET_STD,
    )
    network = LVUNet(config.classes, card.in_channels, config.weights).to(memory_format=torch.channels_last)
    module = DeepTraining(network, card, config)
    _write_manifest(config, split)
    keep_best = KeepBest(config.out)
    with _lightning_at_ease():
        trainer = _trainer(config, keep_best, progress_bar)
        loaders = (_loader(config, split, "train", trainer), _loader(config, split, "val", trainer))
        trainer.fit(module, *loaders, ckpt_path=last, weights_only=True)
    if keep_best.best_epoch < 0:
        raise CheckpointError(
            f"{config.out}: stopped before the slope reached 1, so nothing can be folded yet. Resume it."
        )
    return Run(config.out, config.out / "best.safetensors", keep_best.best, keep_best.best_epoch)


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


def _class_names(classes: int) -> tuple[str, ...]:
    return ("foreground",) if classes == 1 else ("background", *(f"class {k}" for k in range(1, classes)))


def _loader(config: TrainConfig, split: Split, part: Part, trainer: pl.Trainer) -> DataLoader[object]:
    training = part == "train"
    samples = split.select(find_samples(config.data), part)
    if not samples:
        raise ConfigError(f"{config.data}: the {part} part of the split is empty; give more images.")
    preset = config.augment if training else "none"
    data = SegmentationData(samples, config.size, config.classes, preset, config.seed)
    sampler = EpochSampler(len(data), config.seed, trainer.global_rank, trainer.world_size, shuffle=training)
    return DataLoader(
        data,
        batch_size=min(config.batch_size, len(data)),
        sampler=sampler,
        drop_last=training,  # a last batch of one image has no batch statistics
        num_workers=config.workers,
        persistent_workers=config.workers > 0,
        pin_memory=torch.cuda.is_available(),
    )


def _trainer(config: TrainConfig, keep_best: KeepBest, progress_bar: bool) -> pl.Trainer:
    callbacks: list[pl.Callback] = [keep_best, EpochLog(config.out / "metrics.csv")]
    if config.ema:
        callbacks.append(EMAWeightAveraging(decay=config.ema))
    if progress_bar:
        callbacks.append(Bar())
    callbacks.append(ModelCheckpoint(config.out, filename="last", save_top_k=1, enable_version_counter=False))
    return pl.Trainer(
        accelerator=config.accelerator,
        devices=config.devices,
        strategy="ddp" if config.devices > 1 else "auto",
        use_distributed_sampler=False,  # EpochSampler shares out by itself
        precision="bf16-mixed" if config.precision == "bf16" else "32-true",
        deterministic=config.deterministic,
        max_epochs=config.epochs,
        callbacks=callbacks,
        logger=TensorBoardLogger(config.out, name="", version="tensorboard"),
        num_sanity_val_steps=0,
        enable_progress_bar=progress_bar,
        enable_model_summary=False,
        log_every_n_steps=1_000_000,  # one row an epoch, not one a step
    )


def _resumable(config: TrainConfig) -> Path | None:
    """Return the checkpoint to go on from; a folder that holds another run is refused."""
    manifest, last = config.out / "manifest.json", config.out / LAST
    if not last.exists():
        return None
    before = json.loads(manifest.read_text(encoding="utf-8"))["config"] if manifest.exists() else {}
    now = config.model_dump(mode="json")
    changed = sorted(key for key in now if before.get(key) != now[key])
    if changed:
        raise ConfigError(
            f"{config.out} holds a run with other {', '.join(changed)}. Give another `out`, or delete it."
        )
    return last


def _sha256(config: TrainConfig, split: Split) -> str:
    """The SHA-256 over the ids and the files, images and masks, of the training and validation parts."""
    samples = find_samples(config.data)
    digest = hashlib.sha256()
    for part in ("train", "val"):
        for sample in split.select(samples, part):
            digest.update(sample.id.encode())
            for path in (sample.image, *sample.masks):
                digest.update(path.read_bytes())
    return digest.hexdigest()


def _write_manifest(config: TrainConfig, split: Split) -> None:
    facts = {
        "config": config.model_dump(mode="json"),
        "data_sha256": _sha256(config, split),
        "split": {part: list(split.part(part)) for part in PARTS},
        "provenance": asdict(provenance()),
    }
    (config.out / "manifest.json").write_text(json.dumps(facts, indent=1), encoding="utf-8")
