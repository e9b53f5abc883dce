"""Writes the tables of the README and docs/results.md from the files beside this one: `make numbers`."""

import json
from pathlib import Path
from typing import Any

from results.page import accuracy, page
from results.section import blocks, origin

HERE = Path(__file__).parent
README, PAGE = HERE.parent / "README.md", HERE.parent / "docs" / "results.md"
MORE = (
    "[docs/results.md](docs/results.md) has the rest: the search for the recipe, other data sets and spoilt images, when "
    "not to trust a mask, peers, leaks."
)
BEGIN, END = "<!-- numbers -->\n", "<!-- /numbers -->\n"


def read(name: str) -> dict[str, Any]:
    """Return one result."""
    content: dict[str, Any] = json.loads((HERE / name).read_text(encoding="utf-8"))
    return content


def latency() -> str:
    """Return the table of the forms of one network."""
    record = read("latency-forms.json")
    lines = [
        "| form | median ms | p10 to p90 | times as fast as the trained form |",
        "|---|---|---|---|",
        *(
            f"| {each['name']} | {each['median_ms']:.2f} | {each['p10_ms']:.2f} to {each['p90_ms']:.2f} "
            f"| {each['times_as_fast']:.2f} |"
            for each in record["latencies"]
        ),
    ]
    return "\n".join([f"**Latency**, {record['workload']}, one alternating run:", "", *lines, "", origin(record)])


def speed() -> str:
    """Return what is measured in images a second."""
    segmenting, training = read("segment-speed.json"), read("training-speed.json")
    rates, ratio = training["images_per_second"], training["ratio"]
    segmented = f"`lvunet segment`, {segmenting['images']} {segmenting['dataset']} images, files to masks"
    trained = f"training, batch 8, 256 x 256; {ratio:.2f} times a plain PyTorch loop"
    lines = [
        "| whole path | images a second | peak memory |",
        "|---|---|---|",
        f"| {segmented} | {segmenting['images_per_second']:.0f} | {segmenting['peak_mb']:.0f} MB |",
        f"| {trained} | {rates['ours']:.1f} | {training['peak_mb']:.0f} MB |",
    ]
    return "\n".join([*lines, "", origin(segmenting, training)])


def numbers() -> str:
    """Return everything between the two marks of the README."""
    trained = accuracy(HERE)
    scores = f"{blocks(trained.tables)}\n{origin(*trained.measurements)}\n\n{MORE}"
    return "\n\n".join([scores, latency(), speed()]) + "\n"


def renewed(text: str) -> str:
    """Return the README's text with the numbers of now."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + numbers() + END + rest.partition(END)[2]


if __name__ == "__main__":
    README.write_text(renewed(README.read_text(encoding="utf-8")), encoding="utf-8")
    PAGE.write_text(page(HERE), encoding="utf-8")
