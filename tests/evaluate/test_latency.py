"""Latencies, measured with a clock that the candidates themselves move."""

import json
from collections.abc import Callable, Iterator
from itertools import chain, cycle, repeat

import pytest

from lvunet.errors import ConfigError
from lvunet.evaluate.latency import DROPPED, Latency, measure, record
from lvunet.evaluate.provenance import provenance


class World:
    """Time that passes only while a candidate runs, and the order in which they ran."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.ran: list[str] = []

    def clock(self) -> float:
        return self.now_s

    def candidate(self, name: str, durations_ms: Iterator[float]) -> Callable[[], object]:
        def call() -> None:
            self.ran.append(name)
            self.now_s += next(durations_ms) / 1e3

        return call


def test_median_percentiles_and_ratio_are_those_of_the_counted_calls() -> None:
    world = World()
    uncounted = repeat(900.0, DROPPED)
    slow = world.candidate("slow", chain(uncounted, (10.0, 20.0, 30.0, 40.0, 50.0)))
    fast = world.candidate("fast", repeat(12.0))
    slow_row, fast_row = measure({"slow": slow, "fast": fast}, threads=2, rounds=1, calls=5, clock=world.clock)
    # of 5 sorted values the 10th percentile is at index 0.4, the 90th at index 3.6
    assert (slow_row.p10_ms, slow_row.median_ms, slow_row.p90_ms) == pytest.approx((14.0, 30.0, 46.0))
    assert (fast_row.p10_ms, fast_row.median_ms, fast_row.p90_ms) == pytest.approx((12.0, 12.0, 12.0))
    assert (slow_row.times_as_fast, fast_row.times_as_fast) == pytest.approx((1.0, 2.5))
    assert {(row.n, row.threads, row.baseline) for row in (slow_row, fast_row)} == {(5, 2, "slow")}


def test_the_first_calls_of_every_block_are_dropped() -> None:
    world = World()
    cold_then_warm = cycle([500.0] * DROPPED + [3.0] * 4)
    (row,) = measure({"one": world.candidate("one", cold_then_warm)}, threads=1, rounds=6, calls=4, clock=world.clock)
    assert (row.p10_ms, row.p90_ms, row.n) == pytest.approx((3.0, 3.0, 24))


def test_blocks_alternate_and_each_candidate_starts_a_round_in_turn() -> None:
    world = World()
    candidates = {name: world.candidate(name, repeat(1.0)) for name in "abc"}
    measure(candidates, threads=1, rounds=3, calls=1, clock=world.clock)
    assert "".join(world.ran[:: DROPPED + 1]) == "abc" + "bca" + "cab"


def test_a_slow_spell_of_the_machine_slows_all_alike() -> None:
    world = World()
    spell = [1.0] * 5 + [3.0] * 5
    per_block = [factor for factor in spell for _ in range(DROPPED + 2)]
    candidates = {
        name: world.candidate(name, iter([base * factor for factor in per_block]))
        for name, base in (("trained", 20.0), ("folded", 10.0))
    }
    _, folded = measure(candidates, threads=1, rounds=10, calls=2, clock=world.clock)
    assert folded.times_as_fast == pytest.approx(2.0)


def test_the_baseline_can_be_named() -> None:
    world = World()
    candidates = {name: world.candidate(name, repeat(ms)) for name, ms in (("a", 8.0), ("b", 2.0))}
    first, second = measure(candidates, threads=1, baseline="b", rounds=1, calls=1, clock=world.clock)
    assert (first.times_as_fast, second.times_as_fast) == pytest.approx((0.25, 1.0))


def test_an_unknown_baseline_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="Did you mean 'folded'"):
        measure({"trained": list, "folded": list}, threads=1, baseline="foldet")


@pytest.mark.parametrize(("candidates", "rounds"), [({}, 1), ({"a": list}, 0)])
def test_nothing_to_measure_is_refused(candidates: dict[str, Callable[[], object]], rounds: int) -> None:
    with pytest.raises(ConfigError):
        measure(candidates, threads=1, rounds=rounds)


def test_the_real_clock_is_the_default_and_the_record_is_json() -> None:
    rows = measure({"sum": lambda: sum(range(2000))}, threads=1, rounds=2, calls=3)
    assert rows[0].median_ms > 0
    written = json.loads(json.dumps(record(rows, "one sum", provenance())))
    assert written["workload"] == "one sum"
    assert Latency(**written["latencies"][0]) == rows[0]
    assert written["machine"]["cores"] >= 1
