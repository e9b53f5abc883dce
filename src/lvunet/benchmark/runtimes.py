"""One network in every runtime that is installed, or many networks in one: their latency in one alternating run."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import torch
from torch import nn

from lvunet.benchmark.forms import count
from lvunet.benchmark.peers import LVUNET, PEERS, build
from lvunet.benchmark.roofline import roofline
from lvunet.benchmark.speeds import Speeds, Workload, candidate
from lvunet.card import Card
from lvunet.errors import ConfigError, did_you_mean
from lvunet.evaluate.latency import measure, torch_threads
from lvunet.export.convert import convert
from lvunet.export.deployed import Deployed
from lvunet.export.quantize import REDUCED
from lvunet.export.targets import TARGETS, Precision, Target, absent, wanted
from lvunet.fold import fold
from lvunet.image import UInt8
from lvunet.model import LVUNet, load_checkpoint
from lvunet.runtime.segmenter import load
from lvunet.runtime.square import SquareSegmenter

ALL = "all"
AUTHORS = "authors"  # their deployed form, in PyTorch
EAGER, CHANNELS_LAST, COMPILED = "pytorch", "channels-last", "compile"
FLOAT = tuple(name for name, target in TARGETS.items() if target.executed)
FEWER_BITS = tuple(f"{target}-{precision}" for target, precision in REDUCED)
RUNTIMES = (AUTHORS, EAGER, CHANNELS_LAST, COMPILED, *FLOAT, *FEWER_BITS)

Call = Callable[[], object]


def compare(
    networks: Mapping[str, nn.Module],
    runtimes: Sequence[str],
    card: Card,
    workload: Workload,
    *,
    rounds: int = 20,
    progress: Callable[[], None] = lambda: None,
) -> Speeds:
    """Measure networks of normalised pixels to logits, ready to deploy, in runtimes of `RUNTIMES`.

    Every candidate gets uint8 and gives a probability. The first network in the first runtime is the baseline.
    Raises `MissingDependency` for a runtime that is not installed, and `ConfigError` for an unknown one.
    """
    card = replace(card, size=workload.side)
    for name in runtimes:
        if name not in RUNTIMES:
            raise ConfigError(f"no runtime {name!r}.{did_you_mean(name, (ALL, *RUNTIMES))}")
        if name in (*FLOAT, *FEWER_BITS):
            wanted([_target(name)[0].name])  # raises where it is not installed
    with TemporaryDirectory() as folder, torch_threads(workload.threads):
        candidates: dict[str, Call] = {}
        for place, (name, network) in enumerate(networks.items()):
            for runtime in runtimes:
                if runtime == AUTHORS and name != LVUNET:
                    continue
                where = Path(folder) / f"{place}"
                candidates[candidate(name, runtime)] = _candidate(network, runtime, card, workload, where)
                progress()
        latencies = measure(candidates, threads=workload.threads, rounds=rounds, calls=max(2, 8 // workload.batch))
        pixels = torch.zeros(1, card.in_channels, card.size, card.size)
        costs = {name: count(network, pixels) for name, network in networks.items()}
        return Speeds(workload, tuple(latencies), costs, roofline(workload.threads))


def installed(names: Iterable[str]) -> tuple[str, ...]:
    """Return the runtimes as they are, or for `all` those whose packages are there."""
    absent_here = [name for name in (*FLOAT, *FEWER_BITS) if absent(_target(name)[0].modules)]
    there = tuple(name for name in RUNTIMES if name not in absent_here)
    return there if list(names) == [ALL] else tuple(names)


def ready(names: Iterable[str], checkpoint: Path | None = None) -> dict[str, nn.Module]:
    """Return networks by name, ready to deploy: LV-UNet folded, the peers as they are; or for `all`, all of them.

    They are new, since trained ones are as fast, but for an LV-UNet out of a `checkpoint`.
    """
    torch.manual_seed(0)
    chosen = (LVUNET, *PEERS) if list(names) == [ALL] else names
    return {name: fold(_trained(checkpoint)) if name == LVUNET else build(name).eval() for name in chosen}


def authors_form() -> nn.Module:
    """Return a new LV-UNet as its authors deploy it: the fusible modules folded, the backbone's batch norms left."""
    trained = _trained(None)
    network = cast(LVUNet, fold(trained))
    network.stem, network.groups = deepcopy(trained.stem), deepcopy(trained.groups)
    return network


def _trained(checkpoint: Path | None) -> LVUNet:
    if checkpoint:
        return load_checkpoint(checkpoint)[0]
    network = LVUNet().eval()
    network.set_slope(1)
    return network


def _candidate(network: nn.Module, runtime: str, card: Card, workload: Workload, folder: Path) -> Call:
    images, deployed = workload.images, Deployed(network, card, workload.batch)
    if runtime == AUTHORS:
        return _eager(Deployed(authors_form(), card, workload.batch), images)
    if runtime == EAGER:
        return _eager(deployed, images)
    if runtime == CHANNELS_LAST:
        return _eager(deployed.to(memory_format=torch.channels_last), images)
    if runtime == COMPILED:
        return _eager(torch.compile(deployed), images)
    target, precision = _target(runtime)
    path = folder / runtime / f"model{target.suffix}"
    path.parent.mkdir(parents=True)
    convert(target, network, card, path, batch=workload.batch, precision=precision, calibration=[*images[:1]])
    segmenter = load(path, workload.threads)
    if isinstance(segmenter, SquareSegmenter) and target.name != "ncnn":
        run = segmenter.run
        return lambda: run(images)
    return lambda: [segmenter(image) for image in images]  # these take one image a call


def _target(runtime: str) -> tuple[Target, Precision]:
    name, _, precision = runtime.partition("-")
    return TARGETS[name], cast(Precision, precision or "fp32")


def _eager(network: Callable[[torch.Tensor], torch.Tensor], images: UInt8) -> Call:
    batch = torch.from_numpy(images)

    def call() -> object:
        with torch.inference_mode():
            return network(batch).numpy()

    return call
