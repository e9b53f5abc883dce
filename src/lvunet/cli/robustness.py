"""`lvunet robustness`: a model on pictures that get worse."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lvunet.cli.evaluation import Part, chosen
from lvunet.screen import complain, progress, say, show


def robustness(
    model: str,
    /,
    *,
    data: Path,
    dataset: str | None = None,
    protocol: str | None = None,
    split_seed: int | None = None,
    part: Part = "test",
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
) -> int:
    """Score a model on blurred, noisy, dark, tinted, ... images: Dice, and its drop against the clean ones.

    Args:
        model: A model of the zoo by name, an exported .onnx, or a trained .safetensors.
        data: Folder with images/ and masks/, or an official archive as it unpacks.
        dataset: A known set (lvunet data list) or a table of splits. Default, as of the next two: as in the training.
        part: Which part of the split is scored; all scores every image of the folder.
        output: Folder for robustness.json and report.html.
    """
    from lvunet.evaluate.evidence import write_json
    from lvunet.evaluate.page import write_page
    from lvunet.evaluate.robustness import CONDITIONS, page, table, under_corruptions
    from lvunet.image import demand_writable
    from lvunet.runtime.segmenter import load

    if output:
        demand_writable(output / "report.html")
    segmenter = load(model)
    samples, split, seen = chosen(segmenter, data, part, (dataset, protocol, split_seed))
    with progress("scoring", len(samples) * (1 + len(CONDITIONS))) as advance:
        name = dataset or data.resolve().name
        found = under_corruptions(segmenter, samples, (name, split, seen), progress=lambda _: advance())
    shown, scores = table(found), found.clean.scores
    show(shown.title, shown.head, shown.rows, shown.note)
    say(f"{len(scores.images)} images of {name}, {split}; {len(scores.unscored)} could not be scored")
    for case in scores.unscored:
        complain(case.reason if case.id in case.reason else f"{case.id}: {case.reason}")
    if output:
        write_json(output / "robustness.json", found.record())
        write_page(output / "report.html", page(found, segmenter, samples))
        say(f"report: {output / 'report.html'}")
    return int(bool(scores.unscored))
