"""The network in its trained form, and its checkpoints."""

from lvunet.model.checkpoint import import_original, load_checkpoint, save_checkpoint, state_sha256
from lvunet.model.lvunet import LVUNet, PixelsToProbability

__all__ = ["LVUNet", "PixelsToProbability", "import_original", "load_checkpoint", "save_checkpoint", "state_sha256"]
