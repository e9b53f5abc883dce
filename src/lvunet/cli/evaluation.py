"""`lvunet evaluate`: one model image by image, or every training run of a folder in one table."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import Parameter

from lvunet.errors import ConfigError, LVUNetError
from lvunet.screen import complain, progress, say, show

if TYPE_CHECKING:  # the help loads no library
    from lvunet.data.registry import Sample
    from lvunet.runtime.segmenter import Segmenter

Part = Literal["train", "val", "test", "all"]


def evaluate(
    model: str | None = None,
    /,
    *,
    data: Path,
    dataset: str | None = None,
    protocol: str | None = None,
    split_seed: int | None = None,
    part: Part = "test",
    against: str | None = None,
    output: Annotated[Path | None, Parameter(name=["--output", "-o"])] = None,
    runs: Annotated[Path | None, Parameter(name="--all")] = None,
) -> int:
    """Score a model image by image: Dice, IoU, precision, recall, HD95, surface Dice, with 95 % intervals.

    Args:
        model: A model of the zoo by name, an exported .onnx, or a trained .safetensors.
        data: Folder with images/ and masks/, or an official archive as it unpacks; with --all also a folder of several.
        dataset: A known set (lvunet data list) or a table of splits. Default, as of the next two: as in the training.
        part: Which part of the split is scored; all scores every image of the folder.
        against: A second model: the difference on the same images, with its interval.
        output: Folder for scores.json, scores.md and report.html; with --all for the records of all runs.
        runs: Instead of a model, a folder: score each training run in it that has no record yet, show all records.
    """
    flags = {"--dataset": dataset, "--protocol": protocol, "--split-seed": split_seed, "--against": against}
    given = [flag for flag, value in flags.items() if value is not None] + ["--part"] * (part != "test")
    if runs:
        if model or given:
            raise ConfigError(f"--all takes no {model or given[0]}: a run is scored on the test part of its split.")
        if not output:
            raise ConfigError("--all needs -o, the folder of the records, such as -o results/.")
        return _evaluate_all(runs, data, output)
    if not model:
        raise ConfigError("give a model to score, or --all and the folder of the training runs.")

    from lvunet.image import demand_writable
    from lvunet.runtime.segmenter import load

    if output:
        demand_writable(output / "report.html")
    segmenter, rival = load(model), load(against) if against else None
    samples, split, seen = chosen(segmenter, data, part, (dataset, protocol, split_seed))
    return _evaluate_one(segmenter, rival, samples, (dataset or data.resolve().name, split, seen), output)


def chosen(
    segmenter: "Segmenter", data: Path, part: Part, given: tuple[str | None, str | None, int | None]
) -> "tuple[list[Sample], str, int]":
    """Return the samples to score, the words for them, and how many were seen in training; tell of these.

    `given` are data set, protocol and split seed, each by default as in the training. See `selection.unseen`.
    """
    from lvunet.data.selection import choose, seen_in_training, split_given, unseen

    trained = segmenter.card.training
    samples, split = choose(data, None if part == "all" else part, *split_given(trained, *given))
    if part == "test":
        samples, left_out = unseen(trained, samples)
        if left_out:
            complain(f"left out, as seen in training too: {', '.join(left_out)}")
        return samples, split, 0
    seen = seen_in_training(trained, samples)
    if seen:
        complain(f"{len(seen)} of the {len(samples)} images were seen in training, such as {seen[0]}.")
    return samples, split, len(seen)


def _evaluate_one(
    segmenter: "Segmenter",
    rival: "Segmenter | None",
    samples: "list[Sample]",
    facts: tuple[str, str, int],
    output: Path | None,
) -> int:
    """Score on samples; `facts` are data set, split and how many of them the model has seen in training."""
    from lvunet.evaluate import report
    from lvunet.evaluate.evidence import Evaluation, publish
    from lvunet.evaluate.provenance import provenance
    from lvunet.evaluate.scoring import score

    with progress("scoring", len(samples) * (2 if rival else 1)) as advance:
        scores = score(segmenter, samples, progress=lambda _: advance())
        others = score(rival, samples, progress=lambda _: advance()) if rival else None
    dataset, split, seen = facts
    evaluation = Evaluation(scores, dataset, split, provenance(), seen)
    tables = report.tables(evaluation, others)
    for table in tables:
        show(table.title, table.head, table.rows, table.note)
    say(f"{len(scores.images)} images of {dataset}, {split}; {len(scores.unscored)} could not be scored")
    for case in scores.unscored:
        complain(case.reason if case.id in case.reason else f"{case.id}: {case.reason}")
    if output:
        page = report.pictured(evaluation, segmenter, samples, others)
        say(f"report: {publish(output, evaluation, tables, page)}")
    return int(bool(scores.unscored))


def _evaluate_all(runs: Path, data: Path, output: Path) -> int:
    """Publish each run that is not yet, and show what is published; a run that cannot be scored holds up no other."""
    from lvunet.benchmark.accuracy import TrainedRun, find_runs, publish_run
    from lvunet.benchmark.standings import comparisons, read_records, standings

    found, left_out = find_runs(runs), 0
    with progress("scoring runs", len(found)) as advance:
        for run in found:
            try:
                trained = TrainedRun.read(run)
                if trained.is_published(output):
                    say(f"{run}: has its records already")
                elif trained.finished:
                    say(f"{run}: {', '.join(map(str, publish_run(run, data, output)))}")
                else:
                    raise ConfigError(
                        f"only {trained.epochs} of {trained.config['epochs']} epochs are trained; let it end."
                    )
            except LVUNetError as error:
                complain(f"{run}: {error}")
                left_out += 1
            advance()
    records = read_records(output).values()
    for table in (standings(records), comparisons(records)):
        if table.rows:
            show(table.title, table.head, table.rows, table.note)
    return int(bool(left_out))
