"""What folding and exporting are worth: one network as it was trained, as it is deployed, and in ONNX Runtime."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from lvunet.card import Card
from lvunet.data.selection import pictures
from lvunet.evaluate.latency import Latency, measure, torch_threads
from lvunet.evaluate.report import Form
from lvunet.export.onnx import export_onnx
from lvunet.export.restore import initial
from lvunet.fold import fold
from lvunet.model import LVUNet, PixelsToProbability
from lvunet.runtime.onnx_backend import OnnxSegmenter

TRAINED, FOLDED = "trained form, PyTorch", "folded, PyTorch"
CHANNELS_LAST, ONNX = "folded, PyTorch channels-last", "folded, ONNX Runtime"


@dataclass(frozen=True)
class FormCosts:
    """The forms of one network, batch 1: latency in one alternating run, relative to the trained form in PyTorch."""

    latencies: tuple[Latency, ...]
    side: int
    parameters: dict[str, int]
    multiply_adds: dict[str, int]

    @property
    def workload(self) -> str:
        """What one call did, in words."""
        threads = self.latencies[0].threads
        return f"batch 1, {self.side} x {self.side}, {threads} thread{'s' if threads > 1 else ''}"

    def rows(self) -> tuple[Form, ...]:
        """Return the rows of a report's table."""
        return tuple(
            Form(
                name=each.name,
                parameters=self.parameters[each.name],
                multiply_adds=self.multiply_adds[each.name],
                median_ms=each.median_ms,
                p90_ms=each.p90_ms,
                times_as_fast=each.times_as_fast,
            )
            for each in self.latencies
        )


def compare_forms(model: LVUNet, card: Card, artefact: Path, threads: int = 1, rounds: int = 20) -> FormCosts:
    """Measure a trained network, its folded forms, and its ONNX artefact at the card's size.

    PyTorch gets float pixels; the artefact gets uint8, and its time includes resizing and normalising. `threads` holds
    for each. The networks are eager: `torch.compile` is another runtime.
    """
    colours = 3 if card.in_channels == 1 else card.in_channels
    image = np.random.default_rng(0).integers(0, 256, (card.size, card.size, colours), dtype=np.uint8)
    pixels = torch.from_numpy(image).permute(2, 0, 1)[None, : card.in_channels].float().contiguous()
    folded = fold(model)
    last = torch.channels_last
    networks = {
        TRAINED: (model.to(memory_format=torch.contiguous_format), pixels),
        FOLDED: (folded.to(memory_format=torch.contiguous_format), pixels),
        CHANNELS_LAST: (fold(model).to(memory_format=last), pixels.contiguous(memory_format=last)),
    }
    candidates: dict[str, Callable[[], object]] = {
        name: _call(PixelsToProbability(network, card.mean, card.std).eval(), batch)
        for name, (network, batch) in networks.items()
    }
    exported = OnnxSegmenter(artefact, threads)
    candidates[ONNX] = lambda: exported(image)
    with torch_threads(threads):
        latencies = measure(candidates, threads=threads, baseline=TRAINED, rounds=rounds)
    trained_costs, folded_costs = count(model, pixels), count(folded, pixels)
    costs = {name: trained_costs if name == TRAINED else folded_costs for name in candidates}
    return FormCosts(
        latencies=tuple(latencies),
        side=card.size,
        parameters={name: parameters for name, (parameters, _) in costs.items()},
        multiply_adds={name: multiply_adds for name, (_, multiply_adds) in costs.items()},
    )


def count(network: nn.Module, pixels: torch.Tensor) -> tuple[int, int]:
    """Return the parameters of a network, and its multiply-adds on these pixels (B, C, H, W)."""
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        network(pixels)
    return sum(parameter.numel() for parameter in network.parameters()), counter.get_total_flops() // 2


def _call(network: nn.Module, batch: torch.Tensor) -> Callable[[], object]:
    def call() -> object:
        with torch.inference_mode():
            return network(batch)

    return call


def as_trained(model: str | Path | None, card: Card | None = None) -> tuple[LVUNet, Card]:
    """Return the network of a model, as `lvunet.export.restore` takes it, and its card; or a new one for `card`."""
    if model:
        return initial(model)
    card = card or Card()
    network = LVUNet(card.classes, card.in_channels).eval()
    network.set_slope(1)
    return network, card


def measure_forms(model: str | Path | None, threads: int = 1, rounds: int = 30) -> FormCosts:
    """Compare the forms of a model, or of a new network, exported for the purpose to a temporary file."""
    network, card = as_trained(model)
    with TemporaryDirectory() as folder:
        artefact = Path(folder) / "model.onnx"
        export_onnx(network, card, artefact, pictures(None, card.in_channels))
        return compare_forms(network, card, artefact, threads, rounds)
