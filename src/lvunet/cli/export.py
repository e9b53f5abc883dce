"""`lvunet export` and `doctor`: a model to every runtime, with proof, and which of them this machine has."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lvunet.export.targets import TargetName
from lvunet.screen import complain, progress, say, show


def export(
    model: str,
    /,
    *,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    to: Annotated[tuple[TargetName, ...], Parameter(consume_multiple=True)] = ("onnx",),
    verify_on: Path | None = None,
    limit: float = 600,
) -> None:
    """Fold a model and write it for one runtime or many, once each is proven to compute the same.

    Args:
        model: A trained .safetensors, an exported .onnx, or a model of the zoo by name.
        output: Folder for the artefacts with parity.html and parity.json; or, for one target, its file.
        to: The targets: one or several. lvunet doctor shows which are installed.
        verify_on: Images for the proof, best your own: a folder, of which up to 12 are taken. Default: phantoms.
        limit: Seconds that a converter may take.
    """
    from lvunet.data.selection import pictures
    from lvunet.evaluate.evidence import write_json
    from lvunet.evaluate.page import write_page
    from lvunet.evaluate.provenance import provenance
    from lvunet.export.deploy import deploy
    from lvunet.export.proof import page, record, table
    from lvunet.export.restore import initial

    images = pictures(verify_on, initial(model)[1].in_channels)
    with progress("exporting", len(to)) as advance:
        deployment = deploy(model, to, output, images, limit_s=limit, done=advance)
    shown = table(deployment)
    show(shown.title, shown.head, shown.rows, shown.note)
    for artefact in deployment.artefacts:
        unproven = "" if artefact.executed else "; converted, not executed here"
        say(f"{artefact.target}: {artefact.path}, {artefact.size_bytes / 1e6:.2f} MB{unproven}")
    if output.is_dir():
        write_json(output / "parity.json", record(deployment, provenance()))
        write_page(output / "parity.html", page(deployment, provenance()))
        say(f"proof on {deployment.images} images: {output / 'parity.html'}")


def doctor(*, prove: bool = False) -> int:
    """Show which targets this machine can export to and run, and how to get the rest.

    Args:
        prove: Export a model of the zoo to each installed target and run it: up to three minutes.
    """
    from lvunet.data.selection import pictures
    from lvunet.export.health import examine

    found = []
    for health in examine(pictures(None)[:1] if prove else ()):
        found.append((health.target, health.runs_on, health.versions or "-", health.verdict))
        if health.error:
            complain(f"{health.target}: {health.error}")
    show("Targets", ("", "runs on", "installed", ""), found)
    return int(any(verdict == "broken" for *_, verdict in found))
