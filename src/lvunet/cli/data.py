"""`lvunet data`: list the public sets, check a folder, split it."""

from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter

from lvunet.screen import say, show

app = App(name="data", help="Know the data: list the public sets, check a folder, split it.")
Output = Annotated[Path, Parameter(name=["--output", "-o"])]


@app.command(name="list")
def list_sets() -> None:
    """List the five public sets of the paper: number of images, terms, where to get them, which splits are here."""
    from lvunet.data.manifest import load_splits
    from lvunet.data.registry import DATASETS

    for known in DATASETS.values():
        facts = {
            "outline of": known.target,
            "images": f"{known.images:,} ({known.sizes})",
            "terms": known.terms,
            "get it from": known.url,
            "cite": known.citation,
            "splits": ", ".join(f"{split.protocol}-{split.seed}" for split in load_splits(known.name)),
            "note": "\n".join(known.notes),
        }
        show(f"{known.name}: {known.title}", ("", ""), list(facts.items()))


@app.command
def check(
    folder: Path,
    /,
    *,
    dataset: str | None = None,
    protocol: str = "paper",
    split_seed: int = 0,
    classes: int = 1,
    json_file: Annotated[Path | None, Parameter(name="--json")] = None,
) -> int:
    """Look for what spoils training and evaluation: unreadable files, wrong sizes, grey masks, duplicates, leaks.

    Args:
        dataset: A known set: also look for leaks between the parts of its committed split.
        json_file: Where to write the findings.
    """
    from lvunet.data.check import check as look
    from lvunet.data.manifest import load_split
    from lvunet.evaluate.evidence import write_json

    split = load_split(dataset, protocol, split_seed) if dataset else None
    findings = look(folder, split, classes)
    for line in findings.lines():
        say(line)
    if json_file:
        write_json(json_file, findings.to_dict())
    return int(findings.unusable > 0)


@app.command
def split(folder: Path, /, *, output: Output, seed: int = 0) -> None:
    """Split a folder into 64 % training, 16 % validation, 20 % test, groups kept together, and write the lists of ids.

    Args:
        folder: Folder with images/ and masks/, or an official archive as it unpacks.
        output: The CSV to write; `lvunet train --dataset FILE.csv` takes it.
    """
    from lvunet.data.manifest import split_samples, write_splits
    from lvunet.data.registry import find_samples

    made = split_samples(find_samples(folder), seed)
    write_splits(output, [made])
    say(f"{len(made.train)} train, {len(made.val)} val, {len(made.test)} test: {output}")
