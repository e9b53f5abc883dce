"""Images a second in training: this program against a plain PyTorch loop, each in processes of its own, in turns.

The allocator is a property of a process, so neither can be measured beside the other. The plain loop is what one writes
first: float32, contiguous, default allocator, one process, each image decoded again in each epoch.

    python -m lvunet.benchmark.training FOLDER RESULT.json
"""

import json
import os
import resource
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import Any, Literal

import torch
from torch.utils.data import DataLoader, Dataset

from lvunet.card import Card
from lvunet.data.dataset import decode
from lvunet.data.manifest import Split, write_splits
from lvunet.data.registry import Sample, find_samples
from lvunet.evaluate.evidence import write_json
from lvunet.evaluate.provenance import provenance
from lvunet.learn.config import LOG, TrainConfig
from lvunet.learn.loss import BCEDice
from lvunet.learn.train import train
from lvunet.model import LVUNet

Loop = Literal["plain", "ours"]
IMAGES, VAL_IMAGES, EPOCHS, BATCH, SIZE = 160, 8, 4, 8, 256


def compare_training(folder: Path, turns: int = 3) -> dict[str, object]:
    """Return images a second of both loops: the median over epochs, the first of each process left out."""
    seconds: dict[Loop, list[float]] = {"plain": [], "ours": []}
    peaks_mb: dict[Loop, float] = {"plain": 0, "ours": 0}
    for _ in range(turns):
        for loop, taken in seconds.items():
            measured = _in_a_process(loop, folder)
            taken += measured["seconds"][1:]
            peaks_mb[loop] = max(peaks_mb[loop], measured["peak_mb"])
    rates = {loop: IMAGES / statistics.median(taken) for loop, taken in seconds.items()}
    return {
        "workload": f"one epoch of {IMAGES} images, batch {BATCH}, {SIZE} x {SIZE}, {torch.get_num_threads()} threads",
        "dataset": folder.name,
        "images_per_second": {loop: round(rate, 2) for loop, rate in rates.items()},
        "peak_mb": peaks_mb["ours"],
        "ratio": round(rates["ours"] / rates["plain"], 3),
        "epochs_measured": {loop: len(taken) for loop, taken in seconds.items()},
        "epoch_seconds": {loop: [round(value, 3) for value in taken] for loop, taken in seconds.items()},
        **asdict(provenance()),
    }


def plain_loop(samples: Sequence[Sample]) -> list[float]:
    """Return the seconds of each epoch of a plain loop."""
    network = LVUNet().train()
    loss, optimizer = BCEDice(classes=1), torch.optim.Adam(network.parameters(), lr=1e-3, weight_decay=1e-4)
    loader: DataLoader[Sample] = DataLoader(_Listed(samples), BATCH, shuffle=True, collate_fn=_decode_batch)
    seconds = []
    for _ in range(EPOCHS):
        start = perf_counter()
        for pixels, target in loader:
            optimizer.zero_grad()
            loss(network(pixels.float() / 255), target).backward()
            optimizer.step()
        seconds.append(perf_counter() - start)
    return seconds


def our_loop(folder: Path, samples: Sequence[Sample], run: Path) -> list[float]:
    """Return the seconds of each epoch of `lvunet train`, whose validation on a few images is part of them."""
    ids = [sample.id for sample in samples]
    table = run / "split.csv"
    write_splits(table, [Split("", "paper", 0, tuple(ids[:IMAGES]), tuple(ids[IMAGES:]), ())])
    config = TrainConfig(data=folder, dataset=str(table), out=run, weights=None, epochs=EPOCHS, batch_size=BATCH)
    train(config, progress_bar=False)
    rows = (run / LOG).read_text(encoding="utf-8").splitlines()
    column = rows[0].split(",").index("seconds")
    return [float(row.split(",")[column]) for row in rows[1:]]


class _Listed(Dataset[Sample]):
    """What a `DataLoader` wants for a list."""

    def __init__(self, samples: Sequence[Sample]) -> None:
        self.samples = samples

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        return self.samples[index]


def _decode_batch(samples: Sequence[Sample]) -> tuple[torch.Tensor, torch.Tensor]:
    pixels, masks = zip(*(decode(sample, Card(size=SIZE)) for sample in samples), strict=True)
    return torch.stack(pixels), torch.stack(masks)


def _in_a_process(loop: Loop, folder: Path) -> Any:
    with TemporaryDirectory() as scratch:
        result = Path(scratch) / "seconds.json"
        command = [sys.executable, "-m", __spec__.name, str(folder), str(result), loop]
        subprocess.run(command, check=True, env=os.environ | {"PYTHONWARNINGS": "ignore"}, capture_output=True)
        return json.loads(result.read_text(encoding="utf-8"))


def _main(folder: Path, result: Path, loop: str = "") -> None:
    if not loop:
        write_json(result, compare_training(folder))
        return
    samples = find_samples(folder)[: IMAGES + VAL_IMAGES]
    seconds = plain_loop(samples[:IMAGES]) if loop == "plain" else our_loop(folder, samples, result.parent)
    peak_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    write_json(result, {"seconds": seconds, "peak_mb": round(peak_kb / 1e3, 1)})


if __name__ == "__main__":
    _main(Path(sys.argv[1]), Path(sys.argv[2]), *sys.argv[3:])
