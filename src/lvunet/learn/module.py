"""LV-UNet as Lightning trains it: loss, score, optimiser, the slope of each epoch, and which epoch is kept."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import LambdaLR

from lvunet.card import Card
from lvunet.data.augment import Batch
from lvunet.errors import TrainingDiverged
from lvunet.evaluate.metrics import dice
from lvunet.learn.config import BEST, TrainConfig
from lvunet.learn.loss import imitation, loss_of
from lvunet.learn.schedule import learning_rate, progress, slope
from lvunet.learn.supervision import DeepSupervision
from lvunet.model import LVUNet, PixelsToProbability, save_checkpoint

LOG_COLUMNS = ("epoch", "train_loss", "val_dice", "slope", "learning_rate", "seconds")


class DeepTraining(pl.LightningModule):
    """Trains on batches of pixels (B, C, H, W), 0..255, and class indices (B, 1, H, W)."""

    def __init__(
        self,
        network: nn.Module,
        card: Card,
        config: TrainConfig,
        batch_size: int,
        teachers: Sequence[PixelsToProbability] = (),
    ) -> None:
        super().__init__()
        self.batch_size = batch_size  # of every step
        self.network = network
        self.model = PixelsToProbability(network, card.mean, card.std)
        self.loss = loss_of(config.loss, card.classes)
        self.card, self.config = card, config
        self.supervision = None
        if config.deep_supervision and isinstance(network, LVUNet):
            self.supervision = DeepSupervision(network, self.loss)
        self._teachers = [*teachers]  # a list hides them from checkpoints

    def training_step(self, batch: Batch) -> Tensor:
        """Return the loss of one batch."""
        pixels, target = channels_last(batch[0]), batch[1]
        logits = self.model.logits(pixels)
        loss: Tensor = self.loss(logits, target)
        if self.supervision:
            loss = loss + self.config.deep_supervision * self.supervision(target)
        if self._teachers:
            with torch.no_grad():
                probability = torch.stack([teacher(pixels) for teacher in self._teachers]).mean(0)
            loss = torch.lerp(loss, imitation(logits, probability), self.config.teaching)
        self.log("train_loss", loss, on_epoch=True, on_step=False, batch_size=len(pixels), sync_dist=True)
        return loss

    def validation_step(self, batch: Batch) -> None:
        """Score each image as the evaluation does, at the size of the network."""
        pixels, target = batch
        probability = self.model(channels_last(pixels)).float()  # (B, K, H, W)
        if not probability.isfinite().all():
            raise TrainingDiverged(
                f"{self.config.folder}: the network gives no numbers any more in epoch {self.current_epoch + 1}. "
                "Give a lower --learning-rate. The epoch that was kept before, if any, is in the folder."
            )
        truth, several = target[:, 0], self.card.classes > 1
        predicted = probability.argmax(1) if several else probability[:, 0] >= self.card.threshold  # (B, H, W)
        found = [(predicted == label, truth == label) for label in range(1, max(2, self.card.classes))]
        counts = [((a & b).sum((1, 2)), a.sum((1, 2)) + b.sum((1, 2))) for a, b in found]
        scores = dice(*(torch.stack(each).cpu().numpy() for each in zip(*counts, strict=True)))  # (classes, B)
        self.log("val_dice", float(scores.mean()), batch_size=len(pixels), prog_bar=True, sync_dist=True)

    def on_train_start(self) -> None:
        """Make ready on the device.

        Kernels are recorded as a graph, if wanted: a GPU runs them faster than a CPU launches them.
        """
        for teacher in self._teachers:
            teacher.to(self.device)
        if self.config.cuda_graphs and self.device.type == "cuda":
            side, channels = self.card.size, self.card.in_channels
            pixels = channels_last(torch.randint(256, (self.batch_size, channels, side, side), device=self.device))
            before = {name: tensor.clone() for name, tensor in self.network.state_dict().items()}
            with torch.autocast("cuda", torch.bfloat16, self.config.precision == "bf16", cache_enabled=False):
                torch.cuda.make_graphed_callables(self.network, ((pixels - self.model.mean) / self.model.std,))
            self.network.load_state_dict(before)  # recording has moved the batch statistics

    def on_train_epoch_start(self) -> None:
        """Set the slope of this epoch; other networks than LV-UNet have none."""
        if isinstance(self.network, LVUNet):
            self.network.set_slope(self.slope)

    def on_validation_epoch_start(self) -> None:
        """Set it again: a moving average of the weights, swapped in for validation, has averaged the slope too."""
        self.on_train_epoch_start()

    @property
    def slope(self) -> float:
        """The slope of the current epoch."""
        return slope(progress(self.current_epoch, self.config.epochs), self.config.deep, self.config.deep_end)

    def configure_optimizers(self) -> Any:
        """Return Adam or AdamW with one learning rate a step."""
        config = self.config
        make = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
        fused = next(self.network.parameters()).is_cuda
        optimizer = make(self.parameters(), lr=config.learning_rate, weight_decay=config.weight_decay, fused=fused)
        steps = int(self.trainer.estimated_stepping_batches)

        def factor(step: int) -> float:
            rate = learning_rate(progress(step, steps), config.learning_rate, config.final_learning_rate, config.warmup)
            return rate / config.learning_rate

        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}}


def channels_last(pixels: Tensor) -> Tensor:
    """Return uint8 pixels as float in the layout in which the network runs twice as fast."""
    return pixels.float().contiguous(memory_format=torch.channels_last)


class KeepBest(pl.Callback):
    """Writes `best.safetensors` whenever the validation Dice rises, but only among networks that can be folded.

    Stands before a weight-averaging callback: what it saves is what was validated. Stops the run after `patience`
    kept-eligible epochs without a rise, or where a file named STOP lies in the folder of the run.
    """

    def __init__(self, run: Path) -> None:
        self.run = run
        self.best, self.best_epoch, self.waited = -1.0, -1, 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Do not go on with a run that has stopped early."""
        patience = pl_module.config.patience if isinstance(pl_module, DeepTraining) else 0
        trainer.should_stop = bool(patience) and self.waited >= patience

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Keep this epoch if it is eligible and the best so far."""
        if trainer.sanity_checking or not isinstance(pl_module, DeepTraining):
            return
        config = pl_module.config
        if trainer.strategy.reduce_boolean_decision((self.run / "STOP").exists(), all=False):
            trainer.should_stop = True
        if config.foldable and pl_module.slope != 1:
            return
        score = float(trainer.callback_metrics["val_dice"])
        self.waited += 1
        if score > self.best:
            self.best, self.best_epoch, self.waited = score, pl_module.current_epoch, 0
            if trainer.is_global_zero:
                chosen = {"epoch": self.best_epoch, "val_dice": round(score, 6)}
                card = replace(pl_module.card, training=pl_module.card.training | chosen)
                save_checkpoint(self.run / BEST, pl_module.network, card)
        if config.patience and self.waited >= config.patience:
            trainer.should_stop = True

    def state_dict(self) -> dict[str, Any]:
        """Return what a resumed run must know."""
        return {"best": self.best, "best_epoch": self.best_epoch, "waited": self.waited}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up where the interrupted run was."""
        self.best, self.best_epoch, self.waited = (state_dict[key] for key in ("best", "best_epoch", "waited"))


class EpochLog(pl.Callback):
    """Writes one row an epoch to `metrics.csv`; the rows live in the checkpoint, so a resumed run has all of them."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.rows: list[dict[str, float]] = []
        self.started = 0.0

    def on_train_epoch_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock of the epoch."""
        self.started = perf_counter()

    def on_train_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Add the row of this epoch and write the file anew."""
        if not isinstance(pl_module, DeepTraining):
            return
        metrics, rate = trainer.callback_metrics, trainer.optimizers[0].param_groups[0]["lr"]
        seconds = perf_counter() - self.started
        validated = (trainer.current_epoch + 1) % pl_module.config.validate_every == 0
        score = metrics["val_dice"] if validated else math.nan
        values = (metrics["train_loss"], score, pl_module.slope, rate, seconds)
        rounded = (round(float(value), 7) for value in values)
        self.rows.append(dict(zip(LOG_COLUMNS, (trainer.current_epoch, *rounded), strict=True)))
        if trainer.is_global_zero:
            lines = [
                LOG_COLUMNS,
                *(("" if math.isnan(value) else value for value in row.values()) for row in self.rows),
            ]
            self.path.write_text("".join(",".join(map(str, line)) + "\n" for line in lines), encoding="utf-8")

    def state_dict(self) -> dict[str, Any]:
        """Return the rows so far."""
        return {"rows": self.rows}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take up the rows of the interrupted run."""
        self.rows = list(state_dict["rows"])
