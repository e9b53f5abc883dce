"""LV-UNet and its peers in one harness: what each costs, how fast it is, and how well it learns by the same recipe.

python results/peers.py latency
python results/peers.py accuracy results/peers.toml --data FOLDER --weights FILE

The first wants a quiet machine. The second trains one network after another, each in a folder of its own, and adds each
to its table: run it again to go on where it was interrupted, on another machine too. What is in the table stays.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from cyclopts import App
from torch import nn

from lvunet.benchmark.forms import count
from lvunet.benchmark.peers import PEERS, constructor, initialised, usable
from lvunet.card import LVUNET, Card
from lvunet.data.selection import choose
from lvunet.errors import ConfigError
from lvunet.evaluate.evidence import Evaluation, write_json
from lvunet.evaluate.intervals import Interval, mean_interval
from lvunet.evaluate.latency import Latency, measure
from lvunet.evaluate.provenance import provenance
from lvunet.evaluate.scoring import score
from lvunet.export.onnx import to_onnx, write_onnx
from lvunet.fold import fold
from lvunet.learn.config import TrainConfig
from lvunet.learn.train import train
from lvunet.model import LVUNet, load_network
from lvunet.runtime.onnx_backend import OnnxSegmenter
from lvunet.runtime.torch_backend import TorchSegmenter

HERE = Path(__file__).parent
CARD, LAST = Card(), torch.channels_last
ONNX, TORCH = "ONNX Runtime", "PyTorch channels-last"
SCORES = "scores.json"
ROW = (
    *("name", "package", "version", "initialised", "parameters", "multiply_adds"),
    *("chosen", "missed", "source_sha256", "commit", "date", "machine"),
)
OWN = ("network", "weights", "out", "data")  # of the configuration, what is not common to all

app = App(help=__doc__)


@app.command
def latency(*names: str, rounds: int = 20, result: Path = HERE / "peers-latency.json") -> None:
    """Time the networks (default: all) in both runtimes: from one uint8 image of 256 x 256 to its probability.

    All in one alternating run, one thread. LV-UNet is folded; the peers are as their packages give them, so that in
    PyTorch their batch norms are layers of their own, while ONNX Runtime folds those of all.
    """
    torch.set_num_threads(1)
    networks = {name: deployed(untrained(name)) for name in in_order(names)}
    image = np.random.default_rng(0).integers(0, 256, (CARD.size, CARD.size, 3), dtype=np.uint8)
    candidates = {}
    for name, network in networks.items():
        candidates[f"{name}, {ONNX}"] = partial(in_onnx_runtime(network), image)
        candidates[f"{name}, {TORCH}"] = partial(TorchSegmenter(network.to(memory_format=LAST), CARD), image)
    measured = {each.name: each for each in measure(candidates, threads=1, rounds=rounds)}
    rows = [
        costs(name, network) | {runtime: timing(measured, name, runtime) for runtime in (ONNX, TORCH)}
        for name, network in networks.items()
    ]
    what = f"batch 1, {CARD.size} x {CARD.size}, 1 thread, uint8 to probability"
    write_json(result, {"workload": what, "networks": rows, **asdict(provenance())})


@app.command
def accuracy(
    recipe: Path,
    /,
    *names: str,
    data: Path,
    weights: str | None = None,
    epochs: int | None = None,
    runs: Path = Path("runs"),
) -> None:
    """Train the networks (default: all) by one recipe on one split, score them, and add them to their table.

    Args:
        recipe: A TOML file as of `lvunet train`.
        weights: "imagenet", where the packages can download, or a file of MobileNetV3-Large, for whom it fits.
        epochs: The budget of each; by default that of the recipe.
        runs: Where the folders of the runs are.
    """
    common = TrainConfig.read(recipe, {"data": data} | ({"epochs": epochs} if epochs else {}))
    split = f"{common.dataset or data.resolve().name}-{common.protocol}-{common.split_seed}"
    folder = runs / f"peers-{split}-{common.recipe}-s{common.seed}-e{common.epochs}"
    file = HERE / f"{folder.name}.json"
    for name in in_order(names):
        if name in known(file, common):
            continue
        own = {"network": name, "weights": usable(name, weights), "out": folder / name}
        config = common.model_copy(update=own)
        if not scored(config):
            train(config, constructor=constructor)
            evaluate(config)
        record = json.loads((config.folder / SCORES).read_text(encoding="utf-8"))
        write_json(file, table(record, known(file, common)))


def in_order(names: Sequence[str]) -> list[str]:
    """Return LV-UNet, and then those asked for, or all."""
    return list(dict.fromkeys((LVUNET, *(names or PEERS))))


def untrained(name: str) -> nn.Module:
    """Return a new network as it would be after training."""
    network = constructor(name)().eval()
    if isinstance(network, LVUNet):
        network.set_slope(1)
    return network


def deployed(network: nn.Module) -> nn.Module:
    """Return a network as it is put to use: LV-UNet folded, a peer as it is."""
    return fold(network) if isinstance(network, LVUNet) else network


def in_onnx_runtime(network: nn.Module) -> OnnxSegmenter:
    """Return the network as an artefact of one thread."""
    with TemporaryDirectory() as folder:
        write_onnx(to_onnx(network, CARD), Path(folder) / "model.onnx")
        return OnnxSegmenter(Path(folder) / "model.onnx", threads=1)


def costs(name: str, network: nn.Module) -> dict[str, Any]:
    """Return where a network comes from, and its size at 256 x 256."""
    package = PEERS[name].package if name in PEERS else "lvunet"
    parameters, multiply_adds = count(network, torch.zeros(1, 3, CARD.size, CARD.size))
    origin = {"name": name, "package": package, "version": version(package)}
    return origin | {"parameters": parameters, "multiply_adds": multiply_adds}


def timing(measured: Mapping[str, Latency], name: str, runtime: str) -> dict[str, float]:
    """Return what a network takes in a runtime, and how many times LV-UNet's median in the same that is."""
    own, ours = measured[f"{name}, {runtime}"], measured[f"{LVUNET}, {runtime}"]
    times = {"median_ms": own.median_ms, "p10_ms": own.p10_ms, "p90_ms": own.p90_ms, "n": own.n}
    return times | {"times_lvunet": own.median_ms / ours.median_ms}


def scored(config: TrainConfig) -> bool:
    """Whether this very run is done."""
    path = config.folder / SCORES
    return path.is_file() and json.loads(path.read_text(encoding="utf-8"))["config"] == config.model_dump(mode="json")


def evaluate(config: TrainConfig) -> None:
    """Score the chosen epoch of a run on the test part, beside its checkpoint."""
    model, card = load_network(config.folder / "best.safetensors", constructor)
    network = deployed(model)
    samples, split = choose(config.data, "test", config.dataset, config.protocol, config.split_seed)
    dataset, scores = config.dataset or config.data.resolve().name, score(TorchSegmenter(network, card), samples)
    record = costs(config.network, network) | Evaluation(scores, dataset, split, provenance()).record()
    facts = {
        "config": config.model_dump(mode="json"),
        "initialised": initialised(config.network, config.weights),
        "chosen": {key: card.training[key] for key in ("epoch", "val_dice")},
        "source_sha256": card.source_sha256,
    }
    write_json(config.folder / SCORES, record | facts)


def known(file: Path, common: TrainConfig) -> dict[str, dict[str, Any]]:
    """Return the rows of a table by name; raises `ConfigError` for a table of another recipe."""
    if not file.is_file():
        return {}
    record = json.loads(file.read_text(encoding="utf-8"))
    if TrainConfig.model_validate(record["recipe"] | {key: getattr(common, key) for key in OWN}) != common:
        raise ConfigError(f"{file} is of another recipe, as its `recipe` says: move it, and run this again.")
    return {row["name"]: row for row in record["networks"]}


def table(record: Mapping[str, Any], rows: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the table with one network more, held against LV-UNet on the same images."""
    own = {key: record[key] for key in ROW} | {"dice": record["metrics"]["dice"]}
    own["dice_by_image"] = {image["id"]: round(image["dice"], 6) for image in record["images"]}
    rows = {**rows, own["name"]: own}
    own["minus_lvunet"] = asdict(difference(record, own["dice_by_image"], rows[LVUNET]["dice_by_image"]))
    return {key: record[key] for key in ("dataset", "split", "n", "intervals")} | {
        "recipe": {key: value for key, value in record["config"].items() if key not in OWN},
        "networks": [rows[name] for name in in_order(()) if name in rows],
    }


def difference(record: Mapping[str, Any], own: Mapping[str, float], reference: Mapping[str, float]) -> Interval:
    """Return the mean of a network's Dice minus LV-UNet's over the images, drawn by group where there are groups."""
    groups = {image["id"]: image["group"] or image["id"] for image in record["images"]}
    return mean_interval([own[key] - reference[key] for key in groups], [*groups.values()])


if __name__ == "__main__":
    app()
