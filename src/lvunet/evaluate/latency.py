"""How long calls take, measured so that they can be compared: all candidates in one run, in alternating blocks.

A machine that is shared, or that changes its clock, is fast in one minute and slow in the next. Each round therefore
gives every candidate a block of calls, starting with another candidate each time; the first calls of a block, which
find cold caches, are not counted.
"""

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from ctypes import CDLL
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any

import numpy as np

from lvunet.errors import ConfigError, did_you_mean
from lvunet.evaluate.provenance import Provenance

DROPPED = 2
TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


@dataclass(frozen=True)
class Latency:
    """What one candidate took over `n` counted calls; `times_as_fast` is the baseline's median by this median."""

    name: str
    median_ms: float
    p10_ms: float
    p90_ms: float
    n: int
    threads: int
    baseline: str
    times_as_fast: float


def measure(
    candidates: Mapping[str, Callable[[], object]],
    *,
    threads: int,
    baseline: str = "",
    rounds: int = 20,
    calls: int = 10,
    clock: Callable[[], float] = perf_counter,
) -> list[Latency]:
    """Time each candidate in `rounds` blocks of `calls` counted calls; the results are in the order given.

    `threads` states what the candidates were set up to use. `baseline` names one of them, by default the first.
    `clock` gives seconds. Raises `ConfigError` for no candidate, an unknown baseline, or nothing to count.
    """
    keep_freed_memory()
    names = list(candidates)
    baseline = baseline or next(iter(names), "")
    if baseline not in candidates:
        raise ConfigError(f"the baseline {baseline!r} is not among what is measured.{did_you_mean(baseline, names)}")
    if rounds < 1 or calls < 1:
        raise ConfigError(f"rounds = {rounds}, calls = {calls}: both must be at least 1")
    taken: dict[str, list[float]] = {name: [] for name in names}
    for number in range(rounds):
        first = number % len(names)
        for name in names[first:] + names[:first]:
            taken[name] += _block(candidates[name], calls, clock)
    reference_ms = float(np.median(taken[baseline]))
    return [_latency(name, times_ms, threads, baseline, reference_ms) for name, times_ms in taken.items()]


def record(latencies: Sequence[Latency], workload: str, where: Provenance) -> dict[str, Any]:
    """Return a measurement as plain values for JSON; `workload` says what one call did, such as its batch and size."""
    return {"workload": workload, "latencies": [asdict(latency) for latency in latencies], **asdict(where)}


@contextmanager
def torch_threads(threads: int) -> Iterator[None]:
    """Let PyTorch use so many threads while the block runs; raises `ConfigError` for none."""
    import torch

    if threads < 1:
        raise ConfigError(f"threads = {threads}: give at least 1.")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def keep_freed_memory() -> None:
    """Let the C library keep what PyTorch frees, as it does by itself in a process without other runtimes.

    With OpenVINO, ExecuTorch or LiteRT beside it an eager LV-UNet had 4,500 page faults a call instead of 25, and took
    twice as long (2026-11-23).
    """
    if os.name == "posix" and hasattr(library := CDLL(None), "mallopt"):  # of glibc
        library.mallopt(TRIM_THRESHOLD, 2**30)
        library.mallopt(MMAP_THRESHOLD, 2**25)  # its upper limit


def _block(call: Callable[[], object], calls: int, clock: Callable[[], float]) -> list[float]:
    for _ in range(DROPPED):
        call()
    times_ms = []
    for _ in range(calls):
        start = clock()
        call()
        times_ms.append((clock() - start) * 1e3)
    return times_ms


def _latency(name: str, times_ms: Sequence[float], threads: int, baseline: str, reference_ms: float) -> Latency:
    p10, median, p90 = (float(value) for value in np.percentile(times_ms, (10, 50, 90)))
    return Latency(name, median, p10, p90, len(times_ms), threads, baseline, reference_ms / median)
