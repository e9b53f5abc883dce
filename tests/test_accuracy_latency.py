"""Accuracy against latency: a form has the Dice of its own record, a peer that was not trained has none."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from results import readme, runtimes, runtimes_plot

MADE = {"commit": "abc", "date": "2026-01-02", "machine": {"cpu": "CPU", "cores": 2}}


def interval(mean: float) -> dict[str, Any]:
    return {"mean": mean, "low": mean - 0.01, "high": mean + 0.01, "n": 200, "clusters": 200}


def accuracy(model: str, size: int, dice: float, dataset: str = "kvasir-seg") -> dict[str, Any]:
    means = {name: interval(dice) for name in ("dice", "iou", "hd95_px")}
    run = {"recipe": "ours", "seed": 0, "epochs": 40, "images_seen": size, "source_sha256": f"hash of {model}"}
    where = {"dataset": dataset, "split": "paper-0 test", "model": model, "false_alarms": 0, "images": []}
    training = {"training": {"config": {"dataset": dataset, "size": size}}, "training_provenance": MADE}
    return {**run, **where, **training, "metrics": means, "paper_metric": None, "forms": {}, **MADE}


def speed(workload: str, medians_ms: Mapping[str, float], failures: Mapping[str, str] | None = None) -> dict[str, Any]:
    networks = {name.partition(" in ")[0]: {"parameters": 1, "multiply_adds": 1} for name in medians_ms}
    first = next(iter(medians_ms))
    spread = {"p10_ms": 1.0, "p90_ms": 99.0, "times_as_fast": 1.0, "times_the_floor": 1.5, "baseline": first}
    latencies = [{"name": name, "median_ms": median_ms, **spread} for name, median_ms in medians_ms.items()]
    limit = {"gflops": 100.0, "copy_gbps": 30.0, "threads": 1}
    record = {"workload": workload, "networks": networks, "latencies": latencies, "limit": limit, **MADE}
    return record | ({"failures": dict(failures)} if failures else {})  # older records know of none


def fewer_bits(source_sha256: str, target: str, change: float, *, with_masks: bool) -> dict[str, Any]:
    verdict = {"dice": interval(change), "with_masks": with_masks}
    artefact = {"target": target, "precision": "int8", "verdict": verdict}
    return {"source_sha256": source_sha256, "artefacts": [artefact, artefact | {"precision": "fp16", "verdict": None}]}


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder of two sizes, two models of one of them, three runtimes, and a peer in two."""
    small, large = "batch 1, 256 x 256, 1 thread", "batch 1, 384 x 384, 1 thread"
    records = {
        "accuracy-a": accuracy("good", 256, 0.89),
        "accuracy-b": accuracy("worse", 256, 0.87),
        "accuracy-c": accuracy("wide", 384, 0.9),
        "accuracy-d": accuracy("skin", 256, 0.95, "isic2016"),
        "export-a": fewer_bits("hash of good", "openvino", 0.001, with_masks=True),
        "export-b": fewer_bits("hash of good", "litert", 0.003, with_masks=False),
        "export-c": fewer_bits("hash of worse", "onnx", 0.002, with_masks=True),
        "runtimes-256": speed(
            small,
            {f"lv-unet in {name}": ms for name, ms in (("authors", 9), ("onnx", 4.2), ("openvino-int8", 2.4))}
            | {"lv-unet in litert-int8": 3.7, "lv-unet in onnx-int8": 4.1},
            {"lv-unet in ncnn": "it crashed"},
        ),
        "runtimes-256-b8": speed("batch 8, 256 x 256, 1 thread", {"lv-unet in onnx": 33}),
        "runtimes-384": speed(large, {"lv-unet in onnx": 9.6}),
        "runtimes-peers-256": speed(small, {"lv-unet in onnx": 4.4, "monai-unet in onnx": 18.2}),
        "runtimes-peers-openvino-256": speed(small, {"monai-unet in openvino": 15.1}),
    }
    for name, record in records.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(record), encoding="utf-8")
    return tmp_path


def test_the_best_model_of_a_size_has_its_dice_in_every_float32_runtime_and_less_or_more_with_fewer_bits(
    results: Path,
) -> None:
    table = runtimes_plot.table(runtimes_plot.forms(results))
    assert table.rows == (
        ("good, 256 px, openvino-int8", "0.8910", "+0.0010 (-0.0090 to 0.0110)", "2.40"),
        ("good, 256 px, onnx", "0.8900", "", "4.20"),
        ("wide, 384 px, onnx", "0.9000", "", "9.60"),
    )


def test_a_peer_stands_at_its_latency_in_its_fastest_runtime_and_is_given_no_dice(results: Path) -> None:
    assert runtimes_plot.peers(results) == {"monai-unet": 15.1}
    svg = ElementTree.fromstring(runtimes_plot.picture(results))
    texts = {"".join(each.itertext()) for each in svg.iter("{http://www.w3.org/2000/svg}text")}
    assert {"openvino-int8", "onnx", "float32, 256 px, to onnx", "monai-unet"} <= texts
    assert "trained only briefly: see Peers" in texts


def test_the_picture_of_the_page_is_of_the_results_of_now() -> None:
    shown = (readme.PAGE.parent / "images" / runtimes_plot.PICTURE).read_text(encoding="utf-8")
    assert runtimes_plot.in_words(runtimes_plot.forms(readme.HERE)) in shown, "run `make numbers`"


def test_the_section_shows_the_picture_and_says_what_could_not_be_measured(results: Path) -> None:
    section = runtimes.runtimes(results)
    assert f"![Accuracy against latency](images/{runtimes_plot.PICTURE})" in section.markdown()
    assert "Not measured: ncnn (it crashed)." in section.markdown()
