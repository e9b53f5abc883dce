"""One network in many runtimes: what is compared computes the same, and is held against the machine's peak."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from lvunet.benchmark.roofline import Roofline, roofline
from lvunet.benchmark.runtimes import AUTHORS, RUNTIMES, authors_form, compare, installed, ready
from lvunet.benchmark.speeds import Speeds, Workload
from lvunet.card import Card
from lvunet.errors import ConfigError
from lvunet.evaluate.latency import Latency
from lvunet.evaluate.provenance import provenance
from lvunet.export.targets import TARGETS, absent

SMALL = Workload(batch=2, side=128)


def latency(name: str, median_ms: float) -> Latency:
    return Latency(name, median_ms, median_ms, median_ms, 10, 1, "lv-unet in onnx", 1.0)


def test_every_network_is_measured_in_every_runtime_and_the_first_is_the_baseline() -> None:
    speeds = compare(
        ready(["lv-unet", "monai-unet"]), ["authors", "pytorch", "channels-last", "onnx"], Card(), SMALL, rounds=1
    )
    assert [each.name for each in speeds.latencies] == [
        "lv-unet in authors",
        "lv-unet in pytorch",
        "lv-unet in channels-last",
        "lv-unet in onnx",
        "monai-unet in pytorch",
        "monai-unet in channels-last",
        "monai-unet in onnx",
    ]
    assert speeds.latencies[0].times_as_fast == 1
    excitation = 2 * (72 * 24 + 2 * 120 * 32)  # does not grow with the image
    assert speeds.costs["lv-unet"] == (510_953, (157_070_080 - excitation) // 4 + excitation)  # at 128 x 128
    record = json.loads(json.dumps(speeds.record(provenance())))
    assert record["workload"] == "batch 2, 128 x 128, 1 thread"
    assert len(record["latencies"]) == len(speeds.table().rows) == 7


def test_the_authors_form_has_their_parameters_and_batch_norms() -> None:
    network = authors_form()
    moved = 32  # two biases that `fold` moves into the 1x1 behind them, and the authors leave
    assert sum(parameter.numel() for parameter in network.parameters()) == 513_585 - moved
    assert sum(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules()) == 27


def test_the_floor_is_the_multiply_adds_at_the_peak() -> None:
    limit = Roofline(gflops=100, copy_gbps=30, threads=1)
    speeds = Speeds(Workload(batch=4), (latency("net in onnx", 40.0),), {"net": (1, 250_000_000)}, limit)
    assert limit.floor_ms(250_000_000) == pytest.approx(5)  # 0.5 G operations at 100 G a second
    assert speeds.times_the_floor(speeds.latencies[0]) == pytest.approx(2)  # 40 ms for four images
    assert speeds.table().rows[0][-1] == "2.00"


def test_the_table_has_the_fastest_first() -> None:
    slow, fast = latency("a in onnx", 2.0), latency("b in onnx", 1.0)
    costs = {"a": (1, 1_000), "b": (1, 1_000)}
    rows = Speeds(Workload(), (slow, fast), costs, Roofline(1, 1, 1)).table().rows
    assert [row[0] for row in rows] == ["b in onnx", "a in onnx"]


def test_the_measured_peak_is_one_that_a_computer_has() -> None:
    limit = roofline()
    assert 0.5 < limit.gflops < 5_000
    assert 0.1 < limit.copy_gbps < 5_000


def test_all_means_what_is_installed() -> None:
    there = installed(["all"])
    assert {AUTHORS, "pytorch", "onnx"} <= set(there) <= set(RUNTIMES)
    assert all(not absent(TARGETS[name].modules) for name in there if name in TARGETS)
    assert installed(["onnx"]) == ("onnx",)


@pytest.mark.parametrize(("runtimes", "answer"), [(["onxx"], "Did you mean 'onnx'"), (["coreml"], "no runtime")])
def test_an_unknown_runtime_is_refused(runtimes: list[str], answer: str) -> None:
    with pytest.raises(ConfigError, match=answer):
        compare(ready(["lv-unet"]), runtimes, Card(), SMALL)


def test_a_trained_network_is_measured_as_it_is(checkpoint: Path) -> None:
    image = torch.from_numpy(np.zeros((1, 3, 128, 128), np.float32))
    new, trained = ready(["lv-unet"])["lv-unet"], ready(["lv-unet"], checkpoint)["lv-unet"]
    with torch.inference_mode():
        assert not torch.equal(new(image), trained(image))
