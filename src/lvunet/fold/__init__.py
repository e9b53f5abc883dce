"""The deployed form of a trained network: `fold`, the way back, and the algebra of `Affine` maps of both."""

from lvunet.fold.affine import Affine
from lvunet.fold.rules import fold
from lvunet.fold.unfold import settle, unfold

__all__ = ["fold", "unfold", "settle", "Affine"]
