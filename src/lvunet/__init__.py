"""LV-UNet: medical image segmentation that runs where the patient is.

    import lvunet
    found = lvunet.load("model.onnx").segment("image.png")
    found.mask, found.probability, found.overlay(), found.save("mask.png")

Training needs `pip install 'lvunet[train]'`: `lvunet.model.LVUNet`, `lvunet.fold.fold`, `lvunet.learn.train.train`.
"""

from importlib import import_module
from typing import TYPE_CHECKING

from lvunet import card

if TYPE_CHECKING:
    from lvunet.card import Card
    from lvunet.errors import LVUNetError
    from lvunet.runtime.segmenter import Segmentation, Segmenter, load

__version__ = card.VERSION

_HOME = {
    "load": "lvunet.runtime.segmenter",
    "Segmenter": "lvunet.runtime.segmenter",
    "Segmentation": "lvunet.runtime.segmenter",
    "Card": "lvunet.card",
    "LVUNetError": "lvunet.errors",
}
__all__ = ["Card", "LVUNetError", "Segmentation", "Segmenter", "__version__", "load"]


def __getattr__(name: str) -> object:
    """Import a public name when it is first asked for: `import lvunet` itself costs nothing."""
    if name not in _HOME:
        raise AttributeError(f"module 'lvunet' has no attribute {name!r}; it has {', '.join(__all__)}")
    return getattr(import_module(_HOME[name]), name)
