"""The network in its trained form, and its checkpoints."""

from lvunet.model.checkpoint import (
    import_original,
    load_card,
    load_checkpoint,
    load_network,
    save_checkpoint,
    state_sha256,
)
from lvunet.model.lvunet import Constructor, LVUNet, PixelsToProbability, only_lvunet

__all__ = [
    "Constructor",
    "LVUNet",
    "PixelsToProbability",
    "import_original",
    "load_card",
    "load_checkpoint",
    "load_network",
    "only_lvunet",
    "save_checkpoint",
    "state_sha256",
]
