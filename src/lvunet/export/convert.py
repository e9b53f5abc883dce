"""A folded network to a file of any target in any precision, with its sidecar."""

from collections.abc import Sequence
from pathlib import Path

from torch import nn

from lvunet.card import Card
from lvunet.export.converters import CONVERTERS
from lvunet.export.deployed import Deployed
from lvunet.export.quantize import REDUCED
from lvunet.export.targets import Precision, Target
from lvunet.image import UInt8
from lvunet.runtime.sidecar import write_sidecar


def convert(
    target: Target,
    folded: nn.Module,
    card: Card,
    path: Path,
    *,
    batch: int = 1,
    precision: Precision = "fp32",
    calibration: Sequence[UInt8] = (),
) -> None:
    """Write a folded network for a target, with its sidecar; `calibration` is for int8."""
    deployed = Deployed(folded, card, batch)
    if precision == "fp32":
        CONVERTERS[target.name](folded, deployed, path)
    else:
        REDUCED[target.name, precision](folded, deployed, calibration, path)
    if not target.inside:
        write_sidecar(path, card, [path.with_suffix(suffix) for suffix in target.companions])
