"""What the machine could do at best: measured, not looked up."""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter

import torch

from lvunet.evaluate.latency import torch_threads

SIDE = 1024  # of the square matrices: their product stays in a core's caches, and takes 20 ms
COPIED = 2**26  # bytes: past every cache
TRIALS = 30


@dataclass(frozen=True)
class Roofline:
    """Floating-point operations and bytes a second, in billions, at so many threads: the best of many trials."""

    gflops: float
    copy_gbps: float  # read and written
    threads: int

    def floor_ms(self, multiply_adds: int) -> float:
        """Return the time of so many multiply-adds at the peak of the matrix product.

        Fewer bits can take less, and so can 3x3 convolutions by Winograd's way, which multiplies less.
        """
        return 2 * multiply_adds / self.gflops / 1e6


def roofline(threads: int = 1) -> Roofline:
    """Measure the product of two float32 matrices and the copy of a large array."""
    with torch_threads(threads):
        one, other, product = torch.rand(SIDE, SIDE), torch.rand(SIDE, SIDE), torch.empty(SIDE, SIDE)
        source = torch.ones(COPIED, dtype=torch.uint8)
        copied = torch.empty_like(source)
        multiplying_s = min(_seconds(lambda: torch.mm(one, other, out=product)) for _ in range(TRIALS))
        copying_s = min(_seconds(lambda: copied.copy_(source)) for _ in range(TRIALS))
    return Roofline(2 * SIDE**3 / multiplying_s / 1e9, 2 * COPIED / copying_s / 1e9, threads)


def _seconds(call: Callable[[], object]) -> float:
    start = perf_counter()
    call()
    return perf_counter() - start
