"""Every error that LV-UNet raises on purpose; each message says what is wrong, where, and the cure.

LVUNetError
├── InputError              something the user handed in cannot be used
│   ├── UnreadableImage     not an image, truncated, empty, or of an unsupported kind
│   ├── ImageTooLarge       more pixels than the limit: a decompression bomb, or a slide
│   ├── MismatchedPair      an image without its mask, a mask without its image, or of another size
│   └── EmptyInput          no file where at least one is needed
├── ConfigError             an unknown key, data set, split, model or value
├── TrainingDiverged        a training whose network gives no numbers any more
├── CheckpointError         a checkpoint that is corrupt, foreign or unsafe
├── ArtefactError           an exported model that is corrupt, foreign or edited
├── NotFoldable             a module whose re-parametrisation would not be exact
├── ExportError             a converter that crashed, hung, or cannot do this network
├── QuantizationRefused     a model of fewer bits that costs more than it saves
├── ParityError             two forms of one model that compute different things
├── MissingPrediction       an image to be scored that no mask was given for
├── MissingDependency       an optional package that the asked-for job needs
└── OutputError             a result that cannot be written
"""

from collections.abc import Iterable
from difflib import get_close_matches


class LVUNetError(Exception):
    """Root of every error raised on purpose."""


class InputError(LVUNetError):
    """Something the user handed in cannot be used."""


class UnreadableImage(InputError):
    """Not an image, truncated, empty, or of an unsupported kind."""


class ImageTooLarge(InputError):
    """More pixels than the limit."""


class MismatchedPair(InputError):
    """An image without its mask, a mask without its image, or a mask of another size."""


class EmptyInput(InputError):
    """No file where at least one is needed."""


class ConfigError(LVUNetError):
    """An unknown key, data set, split, model or value."""


class TrainingDiverged(LVUNetError):
    """A training whose network gives no numbers any more."""


class CheckpointError(LVUNetError):
    """A checkpoint that is corrupt, foreign or unsafe."""


class ArtefactError(LVUNetError):
    """An exported model that is corrupt, foreign or edited."""


class NotFoldable(LVUNetError):
    """A module whose re-parametrisation would not be exact."""


class ExportError(LVUNetError):
    """A converter that crashed, hung, or cannot do this network."""


class QuantizationRefused(LVUNetError):
    """A model of fewer bits that costs more than it saves."""


class ParityError(LVUNetError):
    """Two forms of one model that compute different things."""


class MissingPrediction(LVUNetError):
    """An image to be scored that no mask was given for."""


class MissingDependency(LVUNetError):
    """An optional package that the asked-for job needs."""


class OutputError(LVUNetError):
    """A result that cannot be written."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return `` Did you mean 'x'?`` for the nearest known word, else the list of what there is."""
    options = sorted(known)
    nearest = get_close_matches(word, options, n=1)
    return f" Did you mean {nearest[0]!r}?" if nearest else f" There is: {', '.join(options)}."
