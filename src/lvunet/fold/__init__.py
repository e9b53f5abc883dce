"""The deployed form of a trained network: `fold`, and the algebra of `Affine` maps that it is written in."""

from lvunet.fold.affine import Affine
from lvunet.fold.rules import fold

__all__ = ["fold", "Affine"]
