"""Images with their true masks, as the evaluation takes them."""

from dataclasses import dataclass

from lvunet.image import Source


@dataclass(frozen=True)
class Given:
    """A case from arrays or paths."""

    id: str
    image: Source
    masks: tuple[Source, ...]
    group: str = ""
