"""`lvunet train` and `lvunet evaluate`."""

from pathlib import Path
from typing import Annotated, Literal

from cyclopts import Parameter

from lvunet.learn.config import TrainConfig
from lvunet.screen import complain, progress, say, show

DEFAULTS = TrainConfig()
Part = Literal["train", "val", "test", "all"]
Output = Annotated[Path, Parameter(name=["--output", "-o"])]


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
