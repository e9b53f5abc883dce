"""`lvunet data`: list the public sets, check a folder, split it, pack folders for another machine."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

from cyclopts import App, Parameter
from cyclopts.validators import Number

from lvunet.errors import ConfigError
from lvunet.screen import progress, say, show

app = App(name="data", help="Know the data: list the public sets, check a folder, split it, pack it.")
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
        folder: Folder with images/ and masks/, an official archive as it unpacks, or a folder of several by name.
        dataset: A known set, or several joined by +: also look for leaks between the parts of its committed split.
        json_file: Where to write the findings.
    """
    from lvunet.data.check import check as look
    from lvunet.data.selection import task
    from lvunet.evaluate.evidence import write_json

    samples, split = task(folder, dataset, protocol, split_seed) if dataset else (folder, None)
    findings = look(samples, split, classes)
    for line in findings.lines():
        say(line)
    if json_file:
        write_json(json_file, findings.to_dict())
    return int(findings.unusable > 0)


@app.command
def split(folder: Path, /, *, output: Output, groups: Path | None = None, seed: int = 0) -> None:
    """Split a folder into 64 % training, 16 % validation, 20 % test, groups kept together, and write the lists of ids.

    Args:
        folder: Folder with images/ and masks/, or an official archive as it unpacks.
        output: The CSV to write; `lvunet train --dataset FILE.csv` takes it.
        groups: A CSV with the columns id and group, such as the patient. Images that show one scene are found anyway.
    """
    from lvunet.data.manifest import read_splits, split_samples, with_groups, write_splits
    from lvunet.data.registry import find_samples

    samples = find_samples(folder)
    made = split_samples(with_groups(samples, groups) if groups else samples, seed)
    if output.exists() and read_splits(output) != [replace(made, dataset=output.stem)]:
        raise ConfigError(f"{output} holds another split: give another -o, or delete it.")
    write_splits(output, [made])
    say(f"{len(made.train)} train, {len(made.val)} val, {len(made.test)} test: {output}")


@app.command
def pack(
    *folders: Path,
    output: Output,
    size: Annotated[int, Parameter(validator=Number(gte=32))] = 256,
    quality: Annotated[int, Parameter(validator=Number(gte=1, lte=95))] = 90,
    limit_mb: float = 60,
) -> None:
    """Copy folders of images and masks at the size of the network: small enough to travel, and ready to train on.

    Args:
        folders: Folders with images/ and masks/, or official archives as they unpack; each is named as its set.
        output: The folder to make, with a folder for each set; every command takes it with --dataset SET.
        size: Side in pixels of the square images.
        quality: Quality of the JPEGs, up to 95.
        limit_mb: Make nothing if it would be larger.
    """
    from lvunet.data import pack as packed
    from lvunet.data.registry import find_samples

    with progress("packing", sum(len(find_samples(folder)) for folder in folders)) as advance:
        made = packed.pack(folders, output, packed.Packing(size, quality, limit_mb), lambda *_: advance())
    for name, images in made.images.items():
        say(f"{name}: {images:,} images")
    say(f"{sum(made.images.values()):,} images, {made.total_bytes / packed.MB:.1f} MB: {output}")
