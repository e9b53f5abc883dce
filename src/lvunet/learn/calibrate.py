"""After training: the chosen network learns, from the validation part, how far its probability can be trusted."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import torch

from lvunet.data.augment import Batch
from lvunet.evaluate.calibration import Calibration, fit
from lvunet.model import Constructor, PixelsToProbability, load_network, only_lvunet, save_checkpoint


@torch.no_grad()
def calibrate(
    best: Path, batches: Iterable[Batch], constructor: Callable[[str], Constructor] = only_lvunet
) -> Calibration:
    """Fit temperature and quality (see `evaluate.calibration`) on validation batches; write them into the checkpoint.

    The tensors of the checkpoint, and so its hash, stay. Raises `CheckpointError` if it cannot be read.
    """
    network, card = load_network(best, constructor)
    pairs = [(pixels.cpu(), masks.cpu()) for pixels, masks in batches]
    model = PixelsToProbability(network, card.mean, card.std)
    logits = [model.logits(pixels.float().contiguous(memory_format=torch.channels_last)).numpy() for pixels, _ in pairs]
    fitted = fit(card, np.concatenate(logits), np.concatenate([masks[:, 0].numpy() for _, masks in pairs]))
    evidence = {key: round(value, 6) for key, value in asdict(fitted).items() if key.startswith(("nll", "ece"))}
    trusted = replace(
        card,
        temperature=fitted.temperature,
        quality=fitted.quality,
        empty_dice=fitted.empty_dice,
        training=card.training | {"calibration": {"images": fitted.images, **evidence}},
    )
    save_checkpoint(best, network, trusted)
    return fitted
