"""A program of torch.export (.pt2): PyTorch alone, without the code of this network."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from lvunet.image import Float32, UInt8
from lvunet.runtime.sidecar import read_sidecar
from lvunet.runtime.square import SquareSegmenter


def load_program(path: Path, threads: int | None = None) -> SquareSegmenter:
    """Return the model of a .pt2 file; `threads`, if given, holds for all of PyTorch."""
    card = read_sidecar(path)
    if threads is not None:
        torch.set_num_threads(threads)
    with _tensors_only():
        network = torch.export.load(path).module()

    def run(image: UInt8) -> Float32:
        with torch.inference_mode():
            answer: Float32 = network(torch.from_numpy(image)).numpy()
        return answer

    return SquareSegmenter(card, run)


@contextmanager
def _tensors_only() -> Iterator[None]:
    """Let torch read nothing but tensors: by itself it falls back to pickles that could run code."""
    name = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"
    before = os.environ.get(name)
    os.environ[name] = "1"
    try:
        yield
    finally:
        os.environ.pop(name)
        if before is not None:
            os.environ[name] = before
