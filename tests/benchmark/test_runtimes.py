"""One network in many runtimes: what is compared computes the same, and is held against the machine's peak."""

import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
import torch
from torch import nn

from lvunet.benchmark.plot import write_plot
from lvunet.benchmark.roofline import Roofline, roofline
from lvunet.benchmark.runtimes import AUTHORS, RUNTIMES, authors_form, compare, installed, ready
from lvunet.benchmark.speeds import Speeds, Workload
from lvunet.card import Card
from lvunet.errors import ConfigError, ExportError, MissingDependency
from lvunet.evaluate.latency import Latency
from lvunet.evaluate.provenance import machine, provenance
from lvunet.export.targets import TARGETS, absent
from lvunet.model import LVUNet, save_checkpoint
from lvunet.runtime.zoo import bundled

Lvunet = Callable[..., tuple[int, str, str]]
SMALL = Workload(batch=2, side=128)


class Branching(nn.Module):
    """Eager PyTorch can branch on what it sees; no graph can."""

    def __init__(self) -> None:
        super().__init__()
        self.head = nn.Conv2d(3, 1, 1)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(image)
        return logits if logits.mean() > 0 else -logits


def latency(name: str, median_ms: float, spread_ms: float = 0) -> Latency:
    ends = median_ms - spread_ms, median_ms + spread_ms
    return Latency(name, median_ms, *ends, 10, 1, "lv-unet in onnx", 1.0)


def speeds(*latencies: Latency, failures: Mapping[str, str] | None = None) -> Speeds:
    """Latencies of networks of 250 M multiply-adds, 5 ms at the peak of 100 G operations a second."""
    costs = {each.name.split(" in ")[0]: (1, 250_000_000) for each in latencies}
    return Speeds(Workload(), latencies, costs, Roofline(gflops=100, copy_gbps=30, threads=1), failures or {})


def test_every_network_is_measured_in_every_runtime_and_the_first_is_the_baseline() -> None:
    found = compare(
        ready(["lv-unet", "monai-unet"])[0], ["authors", "pytorch", "channels-last"], Card(), SMALL, rounds=1
    )
    assert [each.name for each in found.latencies] == [
        "lv-unet in authors",
        "lv-unet in pytorch",
        "lv-unet in channels-last",
        "monai-unet in pytorch",
        "monai-unet in channels-last",
    ]
    assert found.latencies[0].times_as_fast == 1
    excitation = 2 * (72 * 24 + 2 * 120 * 32)  # does not grow with the image
    assert found.costs["lv-unet"] == (510_953, (157_070_080 - excitation) // 4 + excitation)  # at 128 x 128
    record = json.loads(json.dumps(found.record(provenance())))
    assert record["workload"] == "batch 2, 128 x 128, 1 thread"
    assert len(record["latencies"]) == len(found.table().rows) == 5


def test_the_authors_form_has_their_parameters_and_batch_norms() -> None:
    network = authors_form(Card())
    moved = 32  # two biases that `fold` moves into the 1x1 behind them, and the authors leave
    assert sum(parameter.numel() for parameter in network.parameters()) == 513_585 - moved
    assert sum(isinstance(module, torch.nn.BatchNorm2d) for module in network.modules()) == 27


def test_the_floor_is_the_multiply_adds_at_the_peak() -> None:
    of_four = replace(speeds(latency("net in onnx", 40.0)), workload=Workload(batch=4))
    assert of_four.limit.floor_ms(250_000_000) == pytest.approx(5)  # 0.5 G operations at 100 G a second
    assert of_four.times_the_floor(of_four.latencies[0]) == pytest.approx(2)  # 40 ms for four images
    assert of_four.table().rows[0][-1] == "2.00"


def test_the_table_has_the_fastest_first() -> None:
    rows = speeds(latency("a in onnx", 2.0), latency("b in onnx", 1.0)).table().rows
    assert [row[0] for row in rows] == ["b in onnx", "a in onnx"]


def test_the_measured_peak_is_one_that_a_computer_has() -> None:
    limit = roofline()
    assert 0.5 < limit.gflops < 5_000
    assert 0.1 < limit.copy_gbps < 5_000


def test_all_means_what_is_installed() -> None:
    there = installed(["all"])
    assert {AUTHORS, "pytorch", "onnx"} <= set(there) <= set(RUNTIMES)
    assert all(not absent(TARGETS[name].modules) for name in there if name in TARGETS)
    assert installed(["onnx", "all"]) == there
    assert installed(["onnx", "onnx"]) == ("onnx",)


@pytest.mark.parametrize(("runtimes", "answer"), [(["onxx"], "Did you mean 'onnx'"), (["coreml"], "no runtime")])
def test_an_unknown_runtime_is_refused(runtimes: list[str], answer: str) -> None:
    with pytest.raises(ConfigError, match=answer):
        compare(ready(["lv-unet"])[0], runtimes, Card(), SMALL)


@pytest.mark.parametrize("runtime", sorted(set(RUNTIMES) - set(installed(["all"]))))
def test_a_runtime_that_is_not_installed_is_answered_with_the_command_that_installs_it(runtime: str) -> None:
    extra = TARGETS[runtime.partition("-")[0]].extra
    with pytest.raises(MissingDependency, match=rf"^{runtime} needs .*: pip install 'lvunet\[{extra}\]'.$"):
        compare(ready(["lv-unet"])[0], [runtime], Card(), SMALL)


def test_int8_without_the_packages_of_its_own_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)  # so that it is not found
    assert "openvino-int8" not in installed(["all"])
    with pytest.raises(MissingDependency, match=r"^openvino-int8 needs .*nncf: pip install 'lvunet\[openvino\]'\.$"):
        compare({}, ["openvino-int8"], Card(), SMALL)


@pytest.mark.parametrize(
    ("workload", "rounds", "answer"),
    [
        (Workload(batch=0), 1, "^batch = 0: give at least 1.$"),
        (Workload(side=-5), 1, "^size = -5: give at least 1.$"),
        (Workload(threads=0), 1, "^threads = 0: give at least 1.$"),
        (Workload(threads=1_000), 1, f"^threads = 1000: this process may use {machine().cores} cores; give no more.$"),
        (Workload(), 0, "^rounds = 0: give at least 1.$"),
    ],
)
def test_a_workload_that_is_none_is_refused(workload: Workload, rounds: int, answer: str) -> None:
    with pytest.raises(ConfigError, match=answer):
        compare({}, ["pytorch"], Card(), workload, rounds=rounds)


def test_a_runtime_that_cannot_do_it_is_said_with_the_reason_and_the_others_go_on() -> None:
    network = {"branching": Branching().eval()}
    found = compare(network, ["compile", "pytorch"], Card(), Workload(side=16), rounds=1)
    assert [each.name for each in found.latencies] == ["branching in pytorch"]
    assert [*found.failures] == ["branching in compile"]
    *_, last = found.table().rows
    assert last == ("branching in compile", "", "", "not measured", "", "", "")
    assert f"Not measured: branching in compile ({found.failures['branching in compile']})." in found.table().note
    assert found.record(provenance())["failures"] == found.failures
    with pytest.raises(ExportError, match="none can do this: branching in compile, "):
        compare(network, ["compile"], Card(), Workload(side=16))


def test_nothing_is_said_of_cuda_where_there_is_no_gpu(tmp_path: Path) -> None:
    code = (
        "from torch import nn; from lvunet.benchmark.runtimes import Card, Workload, compare; "
        "compare({'net': nn.Conv2d(3, 1, 1).eval()}, ['compile'], Card(), Workload(side=16), rounds=1)"
    )
    without = {**os.environ, "CUDA_HOME": str(tmp_path), "CUDA_VISIBLE_DEVICES": ""}
    ended = subprocess.run([sys.executable, "-c", code], env=without, capture_output=True, check=True)
    assert b"CUDA" not in ended.stderr


def test_the_authors_form_of_another_network_is_no_candidate() -> None:
    with pytest.raises(ExportError, match=r"none can do this: authors is a form of lv-unet only\.$"):
        compare(ready(["monai-unet"])[0], [AUTHORS], Card(), SMALL, rounds=1)


def test_a_converter_that_fails_is_said_in_its_own_last_words() -> None:
    """This network's class is in no module that the converter's process could find."""
    networks = {"branching": Branching().eval(), **ready(["lv-unet"])[0]}
    found = compare(networks, ["onnx"], Card(), SMALL, rounds=1)
    assert [each.name for each in found.latencies] == ["lv-unet in onnx"]
    assert "Error: " in found.failures["branching in onnx"]


def test_what_computes_something_else_than_pytorch_is_not_measured() -> None:
    network = {"random": nn.Sequential(nn.Conv2d(3, 1, 1), nn.FractionalMaxPool2d(1, output_size=16))}
    with pytest.raises(ExportError, match=r"random in pytorch, its probability is 0\.\d+ from that of PyTorch"):
        compare(network, ["pytorch"], Card(), Workload(side=16))


ALLOCATING = """
from ctypes import CDLL
from resource import RUSAGE_SELF, getrusage
import torch
from lvunet.benchmark.runtimes import compare
from lvunet.benchmark.speeds import Workload
from lvunet.card import Card

def faults():
    before = getrusage(RUSAGE_SELF).ru_minflt
    for _ in range(20):
        torch.ones(2**20)
    return getrusage(RUSAGE_SELF).ru_minflt - before

CDLL(None).mallopt(-3, 2**17)  # M_MMAP_THRESHOLD: set once by anyone, and glibc adapts it no more
print(faults())
compare({"net": torch.nn.Conv2d(3, 1, 1)}, ["pytorch"], Card(), Workload(side=16), rounds=1)
torch.ones(2**20)
print(faults())
"""  # each tensor has 1,024 pages


def test_a_runtime_that_tunes_the_allocator_does_not_slow_pytorch_down() -> None:
    ended = subprocess.run([sys.executable, "-c", ALLOCATING], check=True, capture_output=True, text=True)
    mapped, kept = map(int, ended.stdout.split())
    assert mapped > 10 * kept


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:.* is deprecated. Use files:DeprecationWarning")  # by ExecuTorch
@pytest.mark.filterwarnings("ignore:This API is experimental")
@pytest.mark.parametrize(
    "workload", [Workload(batch=2, side=100), Workload(side=128, threads=machine().cores)], ids=str
)
def test_every_runtime_that_is_installed_does_every_workload(workload: Workload) -> None:
    every = installed(["all"])
    found = compare(ready(["lv-unet"])[0], every, Card(), workload, rounds=1)
    assert found.failures == {}
    assert len(found.latencies) == len(every)


def test_a_plot_shows_every_candidate_its_median_and_its_floor(tmp_path: Path) -> None:
    path = tmp_path / "speed.svg"
    write_plot(path, speeds(latency("net in onnx", 7.3, 1), latency("net in ncnn", 9.1, 2)), provenance())
    svg = ElementTree.parse(path).getroot()
    texts = {"".join(each.itertext()) for each in svg.iter("{http://www.w3.org/2000/svg}text")}
    assert {"onnx", "ncnn", "7.3", "9.1", "ms a call, batch 1, 256 x 256, 1 thread"} <= texts
    drawn = path.read_text(encoding="utf-8")
    assert "prefers-color-scheme: dark" in drawn
    assert "--ink:" in drawn
    page = tmp_path / "speed.html"
    several = speeds(latency("a in onnx", 7.3), latency("b in onnx", 91), failures={"c in onnx": "it <crashed>"})
    write_plot(page, several, provenance())
    html = page.read_text(encoding="utf-8")
    assert "c in onnx (it &lt;crashed&gt;)" in html
    assert "a in onnx" in html.partition("</svg>")[0]


def test_the_command_writes_table_plot_and_record(lvunet: Lvunet, tmp_path: Path) -> None:
    plot, numbers = tmp_path / "speed.svg", tmp_path / "speed.json"
    run = ("--runtimes", "pytorch", "channels-last", "--size", 128, "--rounds", 1, "--plot", plot, "--json", numbers)
    code, said, _ = lvunet("benchmark", "polyp", *run)
    assert code == 0
    assert "lv-unet in channels-last" in said
    assert plot.is_file()
    record = json.loads(numbers.read_text(encoding="utf-8"))
    assert len(record["latencies"]) == 2
    assert (record["model"], record["source_sha256"]) == ("polyp", bundled()["polyp"].source_sha256)


@pytest.mark.parametrize(
    ("arguments", "answer"),
    [
        (["--batch", 8], "--networks, --batch, --size and --plot compare runtimes: name some"),
        (["--runtimes", "pytorch", "--plot", "speed.png"], "speed.png: end the name of a plot in .svg or .html"),
        (["--runtimes", "onxx"], "no runtime 'onxx'. Did you mean 'onnx'?"),
        (["--runtimes", "onnx", "--networks", "lv-unit"], "no network 'lv-unit'. Did you mean 'lv-unet'?"),
        (["--runtimes", "onnx", "--threads", 1_000], "threads = 1000: this process may use"),
        (["--threads", 1_000], "threads = 1000: this process may use"),
        (["--runtimes", "pytorch", "--json", f"{__file__}/speed.json"], "the output needs a folder there"),
        (["--runtimes", "pytorch", "--plot", f"{__file__}/speed.svg"], "the output needs a folder there"),
        (["--runtimes", "pytorch", "--json", "."], ". is a folder, and the output is a file."),
        (["--json", "/"], "/ is a folder, and the output is a file."),
        (["--runtimes", "onnx", "--size", 31], "--size 31: lv-unet takes 32 pixels or more."),
        (["--runtimes", "onnx", "--networks", "all", "--size", 7], "--size 7: lv-unet takes 32 pixels or more."),
    ],
)
def test_a_mistake_is_answered_before_anything_is_measured(
    lvunet: Lvunet, arguments: list[object], answer: str
) -> None:
    code, _, complaint = lvunet("benchmark", *arguments)
    assert code == 2
    assert answer in " ".join(complaint.split())


def test_a_model_is_measured_at_its_size_and_with_its_channels(lvunet: Lvunet, tmp_path: Path) -> None:
    network = LVUNet(in_channels=1).eval()
    network.set_slope(1)
    save_checkpoint(tmp_path / "grey.safetensors", network, Card(in_channels=1, mean=(0.5,), std=(0.25,), size=128))
    numbers = tmp_path / "numbers.json"
    flags = ("--runtimes", "pytorch", "authors", "--rounds", 1, "--json", numbers)
    assert lvunet("benchmark", tmp_path / "grey.safetensors", *flags)[0] == 0
    record = json.loads(numbers.read_text(encoding="utf-8"))
    assert record["workload"] == "batch 1, 128 x 128, 1 thread"
    assert record["failures"] == {}


def test_a_trained_network_is_measured_as_it_is(checkpoint: Path) -> None:
    image = torch.from_numpy(np.zeros((1, 3, 128, 128), np.float32))
    answers = []
    for model in (None, checkpoint, "polyp"):
        with torch.inference_mode():
            answers.append(float(ready(["lv-unet"], model)[0]["lv-unet"](image).mean()))
    assert len(set(answers)) == len(answers)
