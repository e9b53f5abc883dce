"""`lvunet export` and `doctor`: a model to every runtime, with proof, and which of them this machine has."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lvunet.errors import ConfigError
from lvunet.export.targets import TARGETS, Precision, TargetName, wanted
from lvunet.screen import complain, progress, say, show

EXPORTED = Path("exported")
LONGEST_S = 86_400  # of a conversion: a day
FULL, MANY = 12, 128  # images: a difference in fp32 is everywhere, an outline that flips is rare


def export(
    model: str,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])] = EXPORTED,
    to: Annotated[tuple[TargetName, ...], Parameter(consume_multiple=True)] = ("onnx",),
    precision: Precision = "fp32",
    verify_on: Path | None = None,
    calibrate_on: Path | None = None,
    force: bool = False,
    limit: float = 600,
) -> None:
    """Fold a model and write it for one runtime or many, once each is proven to compute the same.

    Args:
        model: A trained .safetensors, an exported .onnx, or a model of the zoo by name.
        output: Folder for the artefacts with parity.html and parity.json, of one target parity-TARGET.html; or, for
            one target, its file.
        to: The targets: one or several. lvunet doctor shows which are installed.
        precision: fp16 is smaller; bf16 and int8 are for speed, and refused if they cost more than half a point of
            Dice or are hardly faster than the same target in fp32.
        verify_on: Images for the proof, best your own: a folder, of which up to 12 are taken (128 for
            fewer bits than fp32). Default: phantoms. Where
            it has images/ and masks/, bf16 and int8 are judged on all that the model was not trained on.
        calibrate_on: Images like those that int8 will see, of which up to 128 are taken. Default: as verify_on.
        force: Keep what is not worth having. fp16 and bf16 whose masks agree with those of fp32 to a mean Dice below
            0.998 are refused all the same.
        limit: Seconds that a converter may take.
    """
    wanted(to, precision)  # before any import, since it says what to install
    if not 1 <= limit <= LONGEST_S:
        raise ConfigError(f"--limit {limit:g}: give 1 to {LONGEST_S} seconds.")

    from lvunet.data.selection import held_out, pictures
    from lvunet.export.deploy import FewerBits, deploy
    from lvunet.export.proof import table, verdicts, whole_path
    from lvunet.export.restore import initial

    card = initial(model)[1]
    images = pictures(verify_on, card.in_channels, FULL if precision == "fp32" else MANY)
    fewer = None
    if precision != "fp32":
        like = calibrate_on or verify_on
        calibration = pictures(like, card.in_channels, MANY) if like else []
        fewer = FewerBits(precision, calibration, held_out(verify_on, card.training) if verify_on else [], force)
    with progress("exporting", len(to)) as advance:
        deployment = deploy(model, to, output, images, fewer=fewer, limit_s=limit, done=advance)
    for shown in (table(deployment), *whole_path(deployment), *verdicts(deployment)):
        show(shown.title, shown.head, shown.rows, shown.note)
    for artefact in deployment.artefacts:
        say(f"{artefact.target}: {artefact.path}, {artefact.size}")
    if deployment.artefacts[0].path != output:
        say(f"proof on {deployment.images} images: {output / deployment.page}")


def doctor(*, prove: bool = False) -> int:
    """Show which targets this machine can export to and run, and how to get the rest.

    Args:
        prove: Export a model of the zoo to each installed target and run it: up to three minutes.
    """
    from lvunet.data.selection import pictures
    from lvunet.export.health import examine

    found = []
    with progress("examining", len(TARGETS)) as advance:
        for health in examine(pictures(None)[:1] if prove else ()):
            found.append(health)
            advance()
    head = ("", "runs on", "installed", "state")
    rows = [(health.target, health.runs_on, health.versions or "-", health.verdict) for health in found]
    show("Targets of lvunet export", head, rows, "All of them: pip install 'lvunet[targets]'.", words=len(head))
    for health in found:
        if health.int8:
            say(f"{health.target} in int8 {health.int8}.")
    broken = [health for health in found if health.error]
    for health in broken:
        complain(f"{health.target}: {health.error}")
    return int(bool(broken))
