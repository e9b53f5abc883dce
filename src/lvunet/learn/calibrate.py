"""The last step of training: temperature and quality, fitted on the validation part, for the card of the checkpoint."""

from dataclasses import asdict, replace

import torch

from lvunet.card import Card
from lvunet.data.dataset import SegmentationData
from lvunet.errors import ConfigError
from lvunet.evaluate.calibration import Calibration, fit
from lvunet.model import LVUNet, PixelsToProbability

MOST_IMAGES = 400  # evenly spread over the data; their logits at 352 px take 200 MB
BATCH = 8


def calibrate(model: LVUNet, card: Card, data: SegmentationData) -> tuple[Card, Calibration]:
    """Return the card with temperature and quality of this model, and how well they fit; `data` is the validation part.

    The evidence also goes to `card.training["calibration"]`. What was fitted before does not matter. Raises
    `ConfigError` for a model in training mode, `EmptyInput` without data.
    """
    if model.training:
        raise ConfigError(f"{card.name} is in training mode; call its .eval() first.")
    network, device = PixelsToProbability(model, card.mean, card.std), next(model.parameters()).device
    chosen = torch.linspace(0, len(data) - 1, min(len(data), MOST_IMAGES)).long().to(data.pixels.device)
    with torch.inference_mode():
        batches = data.pixels[chosen].split(BATCH)
        logits = torch.cat([network.logits(batch.to(device).float()).cpu() for batch in batches])
    found = fit(card, logits.numpy(), data.masks[chosen, 0].cpu().numpy())
    fields = asdict(found)
    calibrated = replace(card, **{name: fields.pop(name) for name in ("temperature", "quality", "empty_dice")})
    return replace(calibrated, training=card.training | {"calibration": fields}), found
