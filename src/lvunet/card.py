"""What a model says about itself: the one description inside every checkpoint and every exported artefact."""

import json
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
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Card:
    """Facts that change what a model computes, and where it comes from.

    `mean` and `std` are per channel for pixels scaled to 0..1; `size` is the side in pixels that the network sees;
    `threshold` is the probability from which a pixel belongs to the foreground (one class only).
    With one class the network gives a sigmoid probability; with K > 1 a softmax over K classes, 0 = background.
    """

    name: str = "lvunet"
    classes: int = 1
    class_names: tuple[str, ...] = ("foreground",)
    in_channels: int = 3
    size: int = 256
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    threshold: float = 0.5
    licence: str = "Apache-2.0"
    intended_use: str = INTENDED_USE
    version: str = VERSION
    source_sha256: str = ""
    training: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Refuse what no network can have."""
        numbers = (*self.mean, *self.std, self.threshold)
        whole = (self.classes, self.in_channels, self.size)
        if not all(isinstance(n, int | float) for n in numbers) or not all(type(n) is int for n in whole):
            raise ConfigError("a card's mean, std and threshold are numbers; classes, in_channels and size whole ones.")
        if not all(isinstance(name, str) for name in (self.name, *self.class_names)):
            raise ConfigError("a card's names are words.")
        if not len(self.mean) == len(self.std) == self.in_channels:
            raise ConfigError(f"a card of {self.in_channels} channels needs as many values in mean and std.")
        if self.classes < 1 or self.size < 1 or not 0 <= self.threshold <= 1 or min(self.std) <= 0:
            raise ConfigError(
                f"a card with {self.classes} classes, size {self.size}, threshold {self.threshold}, std {self.std}: "
                "classes and size are at least 1, the threshold lies in 0..1, std is positive."
            )

    def mask(self, probability: "NDArray[Any]") -> "NDArray[Any]":
        """Return labels, uint8 (H, W), of a probability: (H, W) for one class, (K, H, W) for K.

        One class: 1 where the probability reaches the threshold, else 0. Several: the most probable, 0 = background.
        """
        labels = probability >= self.threshold if self.classes == 1 else probability.argmax(axis=0)
        return labels.view("uint8") if self.classes == 1 else labels.astype("uint8")

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


def _immutable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value
