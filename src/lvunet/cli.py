"""The command line: one command a job; it alone, by way of `screen`, prints and exits.

Exit code 0: all done. 1: done, but some files were left out, and named. 2: not done, and why. 130: interrupted.
"""

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal

from cyclopts import App, CycloptsError, Parameter

from lvunet.card import INTENDED_USE, VERSION
from lvunet.errors import ConfigError, LVUNetError
from lvunet.learn.config import TrainConfig
from lvunet.screen import complain, progress, say, show

app = App(name="lvunet", help=f"LV-UNet. {INTENDED_USE}", version=f"lvunet {VERSION}. {INTENDED_USE}")
data_app = App(name="data", help="Know the data: list the public sets, check a folder, split it.")
app.command(data_app)

DEFAULTS = TrainConfig()
Part = Literal["train", "val", "test", "all"]
Output = Annotated[Path, Parameter(name=["--output", "-o"])]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a command line, by default that of the process, and exit."""
    try:
        code = app(sys.argv[1:] if arguments is None else arguments, exit_on_error=False, result_action="return_value")
    except CycloptsError:
        code = 2  # cyclopts has said what is wrong
    except LVUNetError as error:
        complain(str(error))
        code = 2
    except ModuleNotFoundError as error:
        complain(f"this command needs the package {error.name}: pip install 'lvunet[train]'")
        code = 2
    except OSError as error:
        complain(f"{error.strerror}: {error.filename}" if error.filename else str(error))
        code = 2
    except KeyboardInterrupt:
        complain("interrupted. What was finished is kept; `train` and `demo` go on if run again.")
        code = 130
    sys.exit(code or 0)


@app.command
def segment(
    *inputs: Annotated[str, Parameter(allow_leading_hyphen=True)],
    model: Annotated[str, Parameter(name=["--model", "-m"])],
    output: Annotated[Path, Parameter(name=["--output", "-o"], allow_leading_hyphen=True)],
    overlays: bool = False,
    workers: int | None = None,
) -> int:
    """Outline a structure in images: one mask a file, and a table of areas.

    Args:
        inputs: Images, folders (searched through), globs; a single - reads an image from standard input.
        model: A model of the zoo by name, an exported .onnx, or a trained .safetensors.
        output: Folder for the masks (PNG, at the size of their images) and areas.csv; - writes to standard output.
        overlays: Also write pictures with the outline drawn in.
        workers: Images at a time, one thread each; default: one a core.
    """
    from lvunet.evaluate.provenance import machine
    from lvunet.image import find_images
    from lvunet.runtime.batch import segment_files
    from lvunet.runtime.segmenter import load

    if inputs == ("-",):
        return _segment_stdin(model, output)
    segmenter = load(model, threads=1)
    if output.suffix.lower() == ".png":
        raise ConfigError(f"-o {output}: give a folder; the masks keep the names of their images.")
    done, failed, drawn = 0, 0, output / "overlays" if overlays else None
    with progress("segmenting", len(find_images(inputs))) as advance:
        for result in segment_files(segmenter, inputs, output, drawn, workers or machine().cores):
            advance()
            done, failed = done + 1, failed + bool(result.error)
            if result.error:
                complain(result.error)
    say(f"{done - failed} of {done} images segmented: {output}")
    return int(failed > 0)


@app.command
def train(config: Path | None = None, /, *, overrides: Annotated[TrainConfig, Parameter(name="*")] = DEFAULTS) -> None:
    """Train on a folder of images and masks; run it again to go on with an interrupted run.

    A file named STOP in the folder of the run ends it after the current epoch.

    Args:
        config: A TOML file, such as those in configs/. Every key is also a flag, and the flag wins.
    """
    from lvunet.learn.train import train as run_training

    chosen = overrides.model_dump(include=overrides.model_fields_set)
    run = run_training(TrainConfig.read(config, chosen))
    say(f"best epoch {run.epoch + 1}, validation Dice {run.val_dice:.4f}: {run.best}")


@app.command
def evaluate(
    model: str,
    /,
    *,
    data: Path,
    dataset: str | None = None,
    protocol: str | None = None,
    split_seed: int | None = None,
    part: Part = "test",
    against: str | None = None,
    output: Output | None = None,
) -> int:
    """Score a model image by image: Dice, IoU, precision, recall, HD95, surface Dice, with 95 % intervals.

    Args:
        model: A model of the zoo by name, an exported .onnx, or a trained .safetensors.
        data: Folder with images/ and masks/, or an official archive as it unpacks.
        dataset: A known set (lvunet data list) or a table of splits. Default, as of the next two: as in the training.
        part: Which part of the split is scored; all scores every image of the folder.
        against: A second model: the difference on the same images, with its interval.
        output: Folder for scores.json, scores.md and report.html.
    """
    from lvunet.data.selection import choose, seen_in_training, split_given
    from lvunet.evaluate import report
    from lvunet.evaluate.evidence import Evaluation, publish
    from lvunet.evaluate.provenance import provenance
    from lvunet.evaluate.scoring import score
    from lvunet.runtime.segmenter import load

    segmenter, rival = load(model), load(against) if against else None
    trained = segmenter.card.training
    samples, split = choose(data, None if part == "all" else part, *split_given(trained, dataset, protocol, split_seed))
    if part in ("test", "all") and (seen := seen_in_training(trained, samples)):
        complain(f"{len(seen)} of the {len(samples)} images were seen in training, such as {seen[0]}.")
    with progress("scoring", len(samples) * (2 if rival else 1)) as advance:
        scores = score(segmenter, samples, progress=lambda _: advance())
        others = score(rival, samples, progress=lambda _: advance()) if rival else None
    evaluation = Evaluation(scores, dataset or data.resolve().name, split, provenance())
    tables = report.tables(evaluation, others)
    for table in tables:
        show(table.title, table.head, table.rows, table.note)
    say(f"{len(scores.images)} images of {evaluation.dataset}, {split}; {len(scores.unscored)} could not be scored")
    for case in scores.unscored:
        complain(case.reason if case.id in case.reason else f"{case.id}: {case.reason}")
    if output:
        say(f"report: {publish(output, evaluation, tables, report.pictured(evaluation, segmenter, samples))}")
    return int(bool(scores.unscored))


@app.command
def export(model: Path, /, *, output: Output, to: Literal["onnx"] = "onnx", verify_on: Path | None = None) -> None:
    """Fold a trained checkpoint and write it for a runtime, once it is proven to compute the same.

    Args:
        model: The .safetensors of a training run.
        output: The file to write.
        to: The target.
        verify_on: Images for the proof, best your own: a folder. Default: phantoms.
    """
    from lvunet.data.selection import pictures
    from lvunet.evaluate.report import parity
    from lvunet.export.onnx import export_onnx
    from lvunet.model import load_checkpoint

    network, card = load_checkpoint(model)
    table = parity(export_onnx(network, card, output, pictures(verify_on, card.in_channels)).links)
    show(table.title, table.head, table.rows)
    say(f"{to}: {output}, {output.stat().st_size / 1e6:.2f} MB")


@app.command
def benchmark(
    model: Path | None = None,
    /,
    *,
    threads: int = 1,
    rounds: int = 30,
    json_file: Annotated[Path | None, Parameter(name="--json")] = None,
) -> None:
    """Measure the trained form, the folded form and ONNX against each other, in one alternating run.

    Args:
        model: The .safetensors of a training run; default: a new network, whose speed is the same.
        threads: Threads of each candidate.
        json_file: Where to write the numbers with machine and commit.
    """
    from lvunet.benchmark.forms import measure_forms
    from lvunet.benchmark.latency import record
    from lvunet.evaluate.evidence import write_json
    from lvunet.evaluate.provenance import provenance
    from lvunet.evaluate.report import forms

    costs = measure_forms(model, threads, rounds)
    table = forms(costs.rows(), costs.workload)
    show(table.title, table.head, table.rows, table.note)
    if json_file:
        write_json(json_file, record(costs.latencies, costs.workload, provenance()))


@data_app.command(name="list")
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


@data_app.command
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


@data_app.command
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


@app.command
def demo(
    *, data: Path | None = None, output: Annotated[Path, Parameter(name=["--out", "--output", "-o"])] = Path("demo")
) -> None:
    """Show the whole path on phantoms, or on your own images: train, fold, export, prove, evaluate, segment, report.

    Args:
        data: Folder with images/ and masks/; default: phantoms that the program draws.
        output: Folder for everything.
    """
    from lvunet.demo import demo as run_demo

    report = run_demo(output, data, say)
    say(f"done: open {report}")


def _segment_stdin(model: str, output: Path) -> int:
    from lvunet.runtime.segmenter import load

    found = load(model).segment(sys.stdin.buffer.read())
    if str(output) == "-":
        sys.stdout.buffer.write(found.to_png())
    else:
        found.save(output if output.suffix.lower() == ".png" else output / "stdin.png")
    return 0


if __name__ == "__main__":
    main()
