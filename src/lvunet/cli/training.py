"""`lvunet train`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lvunet.learn.config import MANIFEST, TrainConfig
from lvunet.screen import say

DEFAULTS = TrainConfig()


def train(
    config: Path | None = None,
    *,
    overrides: Annotated[TrainConfig, Parameter(name="*")] = DEFAULTS,
    results: Path | None = None,
) -> None:
    """Train on a folder of images and masks, calibrate on the validation part, and export what was chosen.

    Run it again to go on with an interrupted run. A file named STOP in the folder of the run ends it after the epoch.

    Args:
        config: A TOML file, such as those in configs/. Every key is also a flag, and the flag wins.
        results: Also score the test part, and write the record into this folder.
    """
    from lvunet.data.selection import samples_of
    from lvunet.image import demand_writable
    from lvunet.runtime.talk import muted
    from lvunet.runtime.zoo import model_file

    chosen = TrainConfig.read(config, overrides.model_dump(include=overrides.model_fields_set))
    samples_of(chosen.data, chosen.dataset)  # what is wrong with it is told before PyTorch is loaded
    if chosen.init:
        model_file(chosen.init)
    demand_writable(chosen.folder / MANIFEST)

    with muted("torch.utils._pytree"):  # torchao, if Lightning finds it, calls what will be an error of a later PyTorch
        from lvunet.benchmark.accuracy import publish_run
        from lvunet.benchmark.peers import constructor
        from lvunet.learn.train import export
        from lvunet.learn.train import train as run_training

    run = run_training(chosen, constructor=constructor, tell=say)
    say(f"best epoch {run.epoch + 1}, validation Dice {run.val_dice:.4f}: {run.best}")
    if chosen.foldable:
        say(f"folded, proven equal and exported: {export(run, chosen)}")
    if results:
        for record in publish_run(run.folder, chosen.data, results):
            say(f"scored on the test part: {record}")
