"""Writes the tables of the README from the files beside this one: `make numbers`."""

import json
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
README = HERE.parent / "README.md"
BEGIN, END = "<!-- numbers -->\n", "<!-- /numbers -->\n"


def read(name: str) -> dict[str, Any]:
    """Return one result."""
    content: dict[str, Any] = json.loads((HERE / name).read_text(encoding="utf-8"))
    return content


def origin(*records: dict[str, Any]) -> str:
    """Return commit, date and machine of measurements, for the line below a table."""
    first, machine = records[0], records[0]["machine"]
    commits = sorted({record["commit"] for record in records})
    return f"*Commit {', '.join(commits)}, {first['date']}, {machine['cpu']}, {machine['cores']} cores.*"


def accuracy() -> str:
    """Return the table of trained models: one row a form, all scored on the same test images."""
    records = [read(path.name) for path in sorted(HERE.glob("accuracy-*.json"))]
    lines = [
        "| data set, split | form | n | Dice (95 % interval) | IoU | HD95 px | paper's IoU |",
        "|---|---|---|---|---|---|---|",
    ]
    for record in records:
        dice, iou, hd95 = (record["metrics"][key] for key in ("dice", "iou", "hd95_px"))
        lines.append(
            f"| {record['dataset']}, {record['split']} | {record['form']} | {record['n']} "
            f"| {dice['mean']:.4f} ({dice['low']:.3f} to {dice['high']:.3f}) | {iou['mean']:.4f} "
            f"| {hd95['mean']:.1f} | {record['paper_metric']['iou']:.4f} |"
        )
    return "\n".join([*lines, "", origin(*records)])


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
    return "\n\n".join([accuracy(), latency(), speed()]) + "\n"


def renewed(text: str) -> str:
    """Return the README's text with the numbers of now."""
    before, _, rest = text.partition(BEGIN)
    return before + BEGIN + numbers() + END + rest.partition(END)[2]


if __name__ == "__main__":
    README.write_text(renewed(README.read_text(encoding="utf-8")), encoding="utf-8")
