"""One network in every runtime that is installed, or many networks in one: their latency in one alternating run."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import cast

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray
from torch import nn

from lvunet.benchmark.converting import Call, call, converted
from lvunet.benchmark.forms import as_trained, count
from lvunet.benchmark.peers import PEERS, build
from lvunet.benchmark.roofline import roofline
from lvunet.benchmark.speeds import Speeds, Workload, candidate
from lvunet.card import LVUNET, Card
from lvunet.errors import ConfigError, ExportError, MissingDependency, did_you_mean
from lvunet.evaluate.latency import keep_freed_memory, measure, torch_threads
from lvunet.export.deployed import Deployed, graph
from lvunet.export.parity import FOLDED_TO_ARTEFACT
from lvunet.export.quantize import REDUCED
from lvunet.export.targets import TARGETS, Precision, Target, absent
from lvunet.fold import fold
from lvunet.model import LVUNet
from lvunet.runtime.talk import muted

ALL = "all"
CPP_EXTENSION = "torch.utils.cpp_extension"  # a logger
AUTHORS = "authors"  # their deployed form, in PyTorch
EAGER, CHANNELS_LAST, COMPILED = "pytorch", "channels-last", "compile"
FLOAT = tuple(name for name, target in TARGETS.items() if target.executed)
FEWER_BITS = tuple(f"{target}-{precision}" for target, precision in REDUCED)
RUNTIMES = (AUTHORS, EAGER, CHANNELS_LAST, COMPILED, *FLOAT, *FEWER_BITS)


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

    Every candidate gets uint8 and gives a probability, in float32 that of PyTorch. The first network in the first
    runtime is the baseline. What a runtime cannot do is left out, and the reason kept.
    Raises `MissingDependency` for a runtime that is not installed, `ConfigError` for an unknown one, and `ExportError`
    if none can do this.
    """
    workload.demand(rounds)
    _demand(runtimes)
    keep_freed_memory()
    card = replace(card, size=workload.side)
    candidates: dict[str, Call] = {}
    failures: dict[str, str] = {}
    with TemporaryDirectory() as folder, torch_threads(workload.threads):
        for place, (name, network) in enumerate(networks.items()):
            for runtime in runtimes:
                if runtime == AUTHORS and name != LVUNET:
                    continue
                key = candidate(name, runtime)
                try:
                    candidates[key] = _candidate(network, runtime, card, workload, Path(folder) / f"{place}")
                except Exception as error:  # every converter and runtime has errors of its own
                    failures[key] = _reason(error)
                progress()
        if not candidates:
            reasons = "; ".join(f"{key}, {why}" for key, why in failures.items())
            raise ExportError(f"none can do this: {reasons or f'{AUTHORS} is a form of {LVUNET} only'}.")
        latencies = measure(candidates, threads=workload.threads, rounds=rounds, calls=max(2, 8 // workload.batch))
        pixels = torch.zeros(1, card.in_channels, card.size, card.size)
        costs = {name: count(network, pixels) for name, network in networks.items()}
        return Speeds(workload, tuple(latencies), costs, roofline(workload.threads), failures, card)


def installed(names: Iterable[str]) -> tuple[str, ...]:
    """Return the runtimes, each once, or for `all` those whose packages are there."""
    absent_here = [name for name in (*FLOAT, *FEWER_BITS) if _lacking(name)]
    there = tuple(name for name in RUNTIMES if name not in absent_here)
    return there if ALL in (chosen := tuple(dict.fromkeys(names))) else chosen


def ready(names: Iterable[str], model: str | Path | None = None) -> tuple[dict[str, nn.Module], Card]:
    """Return networks by name, ready to deploy, and what they take: LV-UNet folded, the peers as they are; or all.

    They are new, since trained ones are as fast, but for the LV-UNet of a `model`, as `lvunet.export.restore` takes it.
    """
    torch.manual_seed(0)
    chosen = tuple(names)
    every = (LVUNET, *PEERS) if ALL in chosen else chosen
    ours, card = as_trained(model)
    task = (card.classes, card.in_channels)
    return {name: fold(ours) if name == LVUNET else build(name, *task).eval() for name in every}, card


def authors_form(card: Card) -> nn.Module:
    """Return a new LV-UNet as its authors deploy it: the fusible modules folded, the backbone's batch norms left."""
    trained, _ = as_trained(None, card)
    network = cast(LVUNet, fold(trained))
    network.stem, network.groups = deepcopy(trained.stem), deepcopy(trained.groups)
    return network


def _demand(runtimes: Sequence[str]) -> None:
    for name in runtimes:
        if name not in RUNTIMES:
            raise ConfigError(f"no runtime {name!r}.{did_you_mean(name, (ALL, *RUNTIMES))}")
        if name in (*FLOAT, *FEWER_BITS) and (lacking := _lacking(name)):
            raise MissingDependency(f"{name} needs {', '.join(lacking)}: {_target(name)[0].install}.")


def _lacking(runtime: str) -> list[str]:
    target, precision = _target(runtime)
    return absent(target.needed(precision))


def _candidate(network: nn.Module, runtime: str, card: Card, workload: Workload, folder: Path) -> Call:
    """Return the call of a network in a runtime, which has been called, and found to answer as PyTorch does."""
    deployed = Deployed(network, card, workload.batch)
    expected = cast(NDArray[np.float32], _eager(deployed, workload)())  # (B, K, side, side)
    with muted(CPP_EXTENSION):  # compiling for the CPU, PyTorch finds CUDA installed and no device for it
        made = _prepared(deployed, network, runtime, workload, folder)
        apart = float(np.abs(np.reshape(cast(ArrayLike, made()), expected.shape) - expected).max())
    if runtime not in (AUTHORS, *FEWER_BITS) and not apart <= FOLDED_TO_ARTEFACT:  # NaN is not within
        raise ExportError(f"its probability is {apart:.2g} from that of PyTorch, more than {FOLDED_TO_ARTEFACT:g}")
    return made


def _prepared(deployed: Deployed, network: nn.Module, runtime: str, workload: Workload, folder: Path) -> Call:
    card, images = deployed.card, workload.images
    if runtime == AUTHORS:
        return _eager(Deployed(authors_form(card), card, workload.batch), workload)
    if runtime == EAGER:
        return _eager(deployed, workload)
    if runtime == CHANNELS_LAST:
        return _eager(deployed.to(memory_format=torch.channels_last), workload)
    if runtime == COMPILED:
        # By way of a graph: of code that networks share, PyTorch compiles eight forms, and is then eager in silence.
        return _eager(torch.compile(graph(deployed, deployed.image).module(), fullgraph=True), workload)
    target, precision = _target(runtime)
    path = converted(network, card, target, images, folder / runtime, precision=precision)
    return call(path, target, images, workload.threads)


def _target(runtime: str) -> tuple[Target, Precision]:
    name, _, precision = runtime.partition("-")
    return TARGETS[name], cast(Precision, precision or "fp32")


def _eager(network: Callable[[torch.Tensor], torch.Tensor], workload: Workload) -> Call:
    batch = torch.from_numpy(workload.images)

    def answer() -> object:
        with torch.inference_mode():
            return network(batch).numpy()

    return answer


def _reason(error: Exception) -> str:
    """Return the last words of an error, which of a converter that crashed are those of its exception."""
    return (str(error).strip().splitlines() or [type(error).__name__])[-1][:200]
