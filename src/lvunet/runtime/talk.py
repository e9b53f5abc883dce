"""What libraries say unasked as they start: it is kept back, and all else that they say is not."""

import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from tempfile import TemporaryFile
from threading import Lock
from typing import BinaryIO

ALONE = Lock()  # standard error is the process's


@contextmanager
def muted(logger: str) -> Iterator[None]:
    """Keep back warnings of one logger; errors are said."""
    talk = logging.getLogger(logger)
    level = talk.level
    talk.setLevel(logging.ERROR)
    try:
        yield
    finally:
        talk.setLevel(level)


@contextmanager
def without_lines(*starts: bytes) -> Iterator[None]:
    """Keep back the lines on standard error, also of native code, that start so; the others come after the block."""
    with ALONE, ExitStack() as undo:
        with suppress(OSError):  # no room for them, or nobody listens
            said, own = undo.enter_context(TemporaryFile()), os.dup(2)
            os.dup2(said.fileno(), 2)
            undo.callback(_say, said, own, starts)
        yield


def _say(said: BinaryIO, own: int, kept_back: Sequence[bytes]) -> None:
    os.dup2(own, 2)
    os.close(own)
    said.seek(0)
    with suppress(OSError):  # nobody listens any more
        os.write(2, b"".join(line for line in said if not line.startswith(tuple(kept_back))))
