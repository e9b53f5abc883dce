"""What a comparison of speeds found: as a table, and as a record."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from lvunet.benchmark.roofline import Roofline
from lvunet.card import Card
from lvunet.data.phantom import KINDS, phantom
from lvunet.errors import ConfigError
from lvunet.evaluate.latency import Latency
from lvunet.evaluate.page import Table
from lvunet.evaluate.provenance import Provenance, machine
from lvunet.image import UInt8

IN = " in "


@dataclass(frozen=True)
class Workload:
    """What one call does: so many squares of uint8 to their probability, at so many threads."""

    batch: int = 1
    side: int = 256
    threads: int = 1

    def __str__(self) -> str:
        threads = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"batch {self.batch}, {self.side} x {self.side}, {threads}"

    def demand(self, rounds: int) -> None:
        """Raise `ConfigError` unless this machine can do it in so many rounds."""
        wanted = {"batch": self.batch, "size": self.side, "threads": self.threads, "rounds": rounds}
        if lacking := next((name for name, number in wanted.items() if number < 1), None):
            raise ConfigError(f"{lacking} = {wanted[lacking]}: give at least 1.")
        if self.threads > (cores := machine().cores):
            raise ConfigError(f"threads = {self.threads}: this process may use {cores} cores; give no more.")

    @cached_property
    def images(self) -> UInt8:
        """The images, (B, side, side, 3): drawn, on which no network takes another time than on a photograph."""
        return drawn(self.batch, self.side)


@dataclass(frozen=True)
class Speeds:
    """The latencies of one run, the cost of each network, what the machine could do at best, and what failed, why."""

    workload: Workload
    latencies: tuple[Latency, ...]
    costs: Mapping[str, tuple[int, int]]  # parameters and multiply-adds, of each network, for one image
    limit: Roofline
    failures: Mapping[str, str] = field(default_factory=dict)
    card: Card = field(default_factory=Card)  # of the LV-UNet, or of a new one

    @property
    def by_speed(self) -> list[Latency]:
        """The latencies, the shortest first."""
        return sorted(self.latencies, key=lambda latency: latency.median_ms)

    def floor_ms(self, latency: Latency) -> float:
        """Return the time that the multiply-adds of a candidate take at the machine's peak."""
        _, multiply_adds = self.costs[network_of(latency)]
        return self.workload.batch * self.limit.floor_ms(multiply_adds)

    def times_the_floor(self, latency: Latency) -> float:
        """Return how many times as long as the multiply-adds at the machine's peak a candidate takes."""
        return latency.median_ms / self.floor_ms(latency)

    def table(self) -> Table:
        """Return a row for each candidate, the fastest first, and those that failed."""
        rows = tuple(
            (
                each.name,
                f"{self.costs[network_of(each)][0] / 1e6:.2f} M",
                f"{self.costs[network_of(each)][1] / 1e6:.0f} M",
                f"{each.median_ms:.2f} ms",
                f"{each.p10_ms:.2f} - {each.p90_ms:.2f}",
                f"{each.times_as_fast:.2f}",
                f"{self.times_the_floor(each):.2f}",
            )
            for each in self.by_speed
        )
        head = ("", "parameters", "multiply-adds", "median", "p10 - p90", "times as fast", "times the floor")
        note = (
            f"{self.workload}, in one alternating run; times as fast as {self.latencies[0].baseline}. The floor: the "
            f"multiply-adds at the measured peak of a float32 matrix product, {self.limit.gflops:.0f} GFLOP/s."
        )
        lost = tuple((name, "", "", "not measured", "", "", "") for name in self.failures)
        whys = "".join(f" Not measured: {name} ({why})." for name, why in self.failures.items())
        return Table("Speed", head, rows + lost, note + whys)

    def record(self, where: Provenance) -> dict[str, Any]:
        """Return the measurement as plain values for JSON."""
        times = {each.name: self.times_the_floor(each) for each in self.latencies}
        return {
            "workload": str(self.workload),
            "model": self.card.name,
            "source_sha256": self.card.source_sha256,
            "limit": asdict(self.limit),
            "networks": {name: {"parameters": p, "multiply_adds": m} for name, (p, m) in self.costs.items()},
            "latencies": [asdict(each) | {"times_the_floor": times[each.name]} for each in self.latencies],
            "failures": dict(self.failures),
            **asdict(where),
        }


def drawn(count: int, side: int) -> UInt8:
    """Return so many phantoms, (count, side, side, 3)."""
    return np.stack([phantom(KINDS[k % len(KINDS)], k, (side, side))[0] for k in range(count)])


def candidate(network: str, runtime: str) -> str:
    """Return the name of a network in a runtime."""
    return f"{network}{IN}{runtime}"


def network_of(latency: Latency) -> str:
    """Return the network of a candidate."""
    return latency.name.split(IN)[0]
