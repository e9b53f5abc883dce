"""What a model says about itself: the one description inside every checkpoint and every exported artefact."""

import json
import math
import re
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Self

from lvunet.errors import CheckpointError, ConfigError

if TYPE_CHECKING:  # `import lvunet` loads no library
    from numpy.typing import NDArray

INTENDED_USE = (
    "Outlines structures in images, for research and development. "
    "Not a medical device; not cleared or approved; outputs need review."
)
VERSION = "0.1.0"
LVUNET = "lv-unet"  # its name where it stands among its peers
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Card:
    """Facts that change what a model computes, and where it comes from.

    `mean` and `std` are per channel for pixels scaled to 0..1; `size` is the side in pixels that the network sees;
    `threshold` is the probability from which a pixel belongs to the foreground (one class only).
    With one class the network gives a sigmoid probability; with K > 1 a softmax over K classes, 0 = background.
    Before either, the logits are divided by `temperature`.

    `quality` are (soft Dice, Dice) knots, both rising, and `empty_dice` is the Dice to expect of an empty mask: what
    `expected_dice` is read from. They and the temperature are fitted on validation images (`evaluate.calibration`).
    """

    name: str = "lvunet"
    classes: int = 1
    class_names: tuple[str, ...] = ("foreground",)
    in_channels: int = 3
    size: int = 256
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    threshold: float = 0.5
    temperature: float = 1.0
    quality: tuple[tuple[float, float], ...] = ()
    empty_dice: float = 0.0
    licence: str = "Apache-2.0"
    intended_use: str = INTENDED_USE
    version: str = VERSION
    source_sha256: str = ""
    training: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no network can have."""
        knots = [number for soft, dice in self.quality for number in (soft, dice)]
        numbers = (*self.mean, *self.std, self.threshold, self.temperature, self.empty_dice, *knots)
        whole = (self.classes, self.in_channels, self.size)
        if not all(isinstance(n, int | float) for n in numbers) or not all(type(n) is int for n in whole):
            raise ConfigError("a card's numbers are numbers, and its classes, in_channels and size whole ones.")
        if not all(isinstance(word, str) and word for word in (self.name, self.version, *self.class_names)):
            raise ConfigError("a card's names and version are words.")
        if not all(map(math.isfinite, numbers)):
            raise ConfigError("a card's numbers are finite.")
        if _series(self.version) > _series(VERSION):
            raise ConfigError(f"it is of lvunet {self.version}, newer than this {VERSION}: upgrade it.")
        if not len(self.mean) == len(self.std) == self.in_channels:
            raise ConfigError(f"a card of {self.in_channels} channels needs as many values in mean and std.")
        if self.classes < 1 or self.size < 1 or not 0 <= self.threshold <= 1 or min(self.std) <= 0:
            raise ConfigError(
                f"a card with {self.classes} classes, size {self.size}, threshold {self.threshold}, std {self.std}: "
                "classes and size are at least 1, the threshold lies in 0..1, std is positive."
            )
        rising = all(list(of_knots) == sorted(of_knots) for of_knots in zip(*self.quality, strict=True))
        if not 0 < self.temperature < math.inf or not rising or not all(0 <= n <= 1 for n in (self.empty_dice, *knots)):
            raise ConfigError(
                f"a card with temperature {self.temperature}, quality {self.quality}, empty_dice {self.empty_dice}: "
                "the temperature is positive, every Dice lies in 0..1, the knots of the quality rise."
            )

    @property
    def network(self) -> str:
        """The name of the network that was trained: LV-UNet, or a peer that it is compared with."""
        config = self.training.get("config")
        return str(config.get("network", LVUNET)) if isinstance(config, dict) else LVUNET

    def mask(self, probability: "NDArray[Any]") -> "NDArray[Any]":
        """Return labels, uint8 (H, W), of a probability: (H, W) for one class, (K, H, W) for K.

        One class: 1 where the probability reaches the threshold, else 0. Several: the most probable, 0 = background.
        """
        labels = probability >= self.threshold if self.classes == 1 else probability.argmax(axis=0)
        return labels.view("uint8") if self.classes == 1 else labels.astype("uint8")

    def soft_dice(self, probability: "NDArray[Any]", mask: "NDArray[Any]") -> float | None:
        """Return how sure the probability is of its own mask, (H, W), as a Dice of 0 to 1; None for an empty mask.

        2 sum(p m) / (sum(p^2) + sum(m)), the Dice of V-Net (arXiv 1606.04797) with the mask in place of the truth. With
        sum(p) instead, the faint probability of a wide background outweighs a small structure (docs/lab-notes.md).
        Of K classes the mean over those that the mask has.
        """
        import numpy as np

        planes = [probability] if self.classes == 1 else probability[1:]
        sure = []
        for label, plane in enumerate(planes, start=1):
            inside = mask == label
            if area_px := np.count_nonzero(inside):
                overlap, squares = (np.einsum("ij,ij->", plane, other, dtype=np.float64) for other in (inside, plane))
                sure.append(2 * overlap / (squares + area_px))  # einsum makes no second map of a photograph
        return float(np.mean(sure)) if sure else None

    def expected_dice(self, probability: "NDArray[Any]", mask: "NDArray[Any]") -> float | None:
        """Return the Dice, 0 to 1, that masks of this soft Dice had on validation images; None if that was not fitted.

        Linear between the knots, from (0, 0) to the first, constant from the last; `empty_dice` for an empty mask.
        """
        if not self.quality:
            return None
        import numpy as np

        soft = self.soft_dice(probability, mask)
        softs, dices = zip((0.0, 0.0), *self.quality, strict=True)
        return self.empty_dice if soft is None else float(np.interp(soft, softs, dices))

    def to_json(self) -> str:
        """Return the card as one line of JSON."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read a card; unknown keys, as of a newer version, and wrong types raise `CheckpointError`."""
        try:
            values: dict[str, Any] = json.loads(text)
            if not isinstance(values, dict):
                raise TypeError("it is not a table of keys and values")
            unknown = sorted(set(values) - {f.name for f in fields(cls)})
            if unknown:
                raise CheckpointError(f"model card has unknown keys {unknown}: made by a newer lvunet? Upgrade it.")
            immutable: dict[str, Any] = {key: _immutable(value) for key, value in values.items()}
            return cls(**immutable)
        except (TypeError, ValueError, ConfigError) as error:
            raise CheckpointError(f"model card is not readable: {error}") from error


def _series(version: str) -> tuple[int, ...]:
    """Return major and minor of a version: within them, what a card means does not change."""
    return tuple(int(number) for number in re.findall(r"\d+", version)[:2])


def _immutable(value: Any) -> Any:
    return tuple(map(_immutable, value)) if isinstance(value, list) else value
