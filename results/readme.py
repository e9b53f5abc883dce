"""Writes the tables of the README and docs/results.md from the files beside this one: `make numbers`."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from results.page import accuracy, page, sections
from results.runtimes_plot import PICTURE, picture
from results.section import Section, origin

HERE = Path(__file__).parent
README, PAGE = HERE.parent / "README.md", HERE.parent / "docs" / "results.md"
BEGIN, END = "<!-- numbers -->\n", "<!-- /numbers -->\n"


def read(name: str) -> dict[str, Any]:
    """Return one result."""
    content: dict[str, Any] = json.loads((HERE / name).read_text(encoding="utf-8"))
    return content


def scores(made: Sequence[Section]) -> str:
    """Return the tables of accuracy, and where the sections of the page are."""
    trained = accuracy(HERE)
    titles = [section.title.lower() for section in made if section.title != trained.title]
    more = f"More was measured: {', '.join(titles)}. See [docs/results.md](docs/results.md)."
    return f"{trained.body()}\n{origin(*trained.measurements)}\n\n{more}"


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
    page_speed = read("web.json")
    in_browser = [
        f"| `lvunet demo --web` in headless Chromium, {row['threads']} thread{'s' * (row['threads'] > 1)}, 256 x 256; "
        f"takes {page_speed['times_as_slow_as_native'][str(row['threads'])]:.1f} times as long as ONNX Runtime "
        f"| {row['fps']:.1f} | |"
        for row in page_speed["rows"]
        if row["name"] == "Chromium, WebAssembly"
    ]
    lines = [
        "| whole path | images a second | peak memory |",
        "|---|---|---|",
        f"| {segmented} | {segmenting['images_per_second']:.0f} | {segmenting['peak_mb']:.0f} MB |",
        f"| {trained} | {rates['ours']:.1f} | {training['peak_mb']:.0f} MB |",
        *in_browser,
    ]
    return "\n".join([*lines, "", origin(segmenting, training, page_speed)])


def renewed(text: str, made: Sequence[Section]) -> str:
    """Return the README's text with the numbers of now; `made` are the sections of the page."""
    before, _, rest = text.partition(BEGIN)
    numbers = "\n\n".join([scores(made), latency(), speed()]) + "\n"
    return before + BEGIN + numbers + END + rest.partition(END)[2]


if __name__ == "__main__":
    made_now = sections(HERE)
    README.write_text(renewed(README.read_text(encoding="utf-8"), made_now), encoding="utf-8")
    PAGE.write_text(page(made_now), encoding="utf-8")
    (PAGE.parent / "images" / PICTURE).write_text(picture(HERE), encoding="utf-8")
