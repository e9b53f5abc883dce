"""One model to many targets: each converted and proven in a process of its own; all of them are kept, or none."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from lvunet.card import Card
from lvunet.errors import ConfigError, EmptyInput, OutputError
from lvunet.evaluate.scoring import Case
from lvunet.export.parity import FOLDED_TO_ARTEFACT, TRAINED_TO_FOLDED, Link, compare
from lvunet.export.process import Job, run
from lvunet.export.proof import Artefact, Deployment, write_proof
from lvunet.export.restore import initial
from lvunet.export.targets import TARGETS, Precision, Target, wanted
from lvunet.fold import fold
from lvunet.image import UInt8, demand_writable
from lvunet.model import LVUNet, state_sha256
from lvunet.runtime.segmenter import load
from lvunet.runtime.sidecar import sidecar
from lvunet.runtime.torch_backend import TorchSegmenter

CALIBRATION = "calibration.npz"
SUFFIXES = (".safetensors", *(suffix for target in TARGETS.values() for suffix in (target.suffix, *target.companions)))
LIMIT_S = 600.0  # the slowest converter takes 30 s on a quiet core


@dataclass(frozen=True)
class FewerBits:
    """Another precision than fp32, images (H, W, C) to calibrate it on, and cases, files with masks, to judge it by.

    int8 needs images to calibrate on; without cases, each with its masks, the masks of the float form are the truth.
    `force` keeps what is not worth having.
    """

    precision: Precision
    calibration: Sequence[UInt8] = ()
    cases: Sequence[Case] = ()
    force: bool = False

    def __post_init__(self) -> None:
        """Refuse int8 without calibration."""
        if self.precision == "int8" and not self.calibration:
            raise ConfigError("int8 is calibrated on images like those that it will see: --calibrate-on FOLDER.")


def deploy(
    source: str | Path,
    names: Sequence[str],
    output: Path,
    images: Sequence[UInt8],
    *,
    fewer: FewerBits | None = None,
    limit_s: float = LIMIT_S,
    done: Callable[[], None] = lambda: None,
) -> Deployment:
    """Export a trained model, or one of the zoo, to targets, and prove each on images (H, W, C).

    `output` is a folder, which gets the proof too, or for one target a file of its suffix. `fewer` is for another
    precision than fp32. `done` is called after each target. Raises `MissingDependency` before anything starts,
    `ExportError` for a converter that crashes or takes longer than `limit_s`, `ParityError` for a link that does not
    hold, `QuantizationRefused` for bits that are not worth it, `OutputError`; then nothing is written.
    """
    targets = wanted(names, fewer.precision if fewer else "fp32")
    if not images:
        raise EmptyInput("an export needs at least one image to prove it on; real ones prove most.")
    network, card = initial(source)
    card = _described(network, card)
    places = _places(output, targets, f"{card.name}-{fewer.precision}" if fewer else card.name)
    folder = places[targets[0].name].parent
    folding = _folding(source, TorchSegmenter(fold(network), card), images)
    folding.demand()
    with _scratch(folder) as scratch:
        np.savez(scratch / "images.npz", *images)
        if fewer and fewer.calibration:
            np.savez(scratch / CALIBRATION, *fewer.calibration)
        artefacts, files = [], []
        for target in targets:
            path = scratch / target.name / places[target.name].name  # alone: converters leave other files behind
            path.parent.mkdir()
            made = _files(path, target)
            artefacts.append(_converted(_job(str(source), target, path, card, fewer), target, fewer, limit_s))
            files += made if target.inside else [*made, sidecar(path)]
            done()
        kept = tuple(replace(artefact, path=places[artefact.target]) for artefact in artefacts)
        deployment = Deployment(card, len(images), folding, kept)
        if folder == output:
            files += write_proof(scratch, deployment)
        _keep(files, folder, scratch)
    return deployment


def _folding(source: str | Path, folded: TorchSegmenter, images: Sequence[UInt8]) -> Link:
    """Hold the folded network against the model as it was given: as it was trained, or exported before."""
    given = load(source, threads=1)
    if isinstance(given, TorchSegmenter):
        return compare("trained -> folded", given, folded, images, TRAINED_TO_FOLDED)
    return compare("given .onnx -> folded", given, folded, images, FOLDED_TO_ARTEFACT)


def _described(network: LVUNet, card: Card) -> Card:
    digest = card.source_sha256 or state_sha256(network)
    return replace(card, classes=network.classes, in_channels=network.in_channels, source_sha256=digest)


def _places(output: Path, targets: Sequence[Target], name: str) -> Mapping[str, Path]:
    """Return where each target's artefact goes; raises `OutputError` for a place that it cannot have."""
    first, folder = targets[0], output.is_dir() and output.suffix != ".mlpackage"  # which is a folder, and one artefact
    if len(targets) == 1 and output.name.endswith(first.suffix) and not folder:
        places: dict[str, Path] = {first.name: output}
    elif not folder and any(output.name.endswith(suffix) for suffix in SUFFIXES):
        suffixes = ", ".join(target.suffix for target in targets)
        raise OutputError(f"{output}: give a folder, or for one target a file that ends in its suffix ({suffixes}).")
    else:
        places = {target.name: output / f"{name.replace('/', '-')}{target.suffix}" for target in targets}
    for place in places.values():
        if place.is_dir() and place.suffix != ".mlpackage":
            raise OutputError(f"{place} is a folder. Remove it, or choose another output.")
        demand_writable(place)
    return places


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Give a folder on the disk of `folder`, which goes whatever happens; a full disk is an `OutputError`."""
    try:
        there = next(place for place in (folder.absolute(), *folder.absolute().parents) if place.exists())
        with TemporaryDirectory(prefix=".lvunet-", dir=there, ignore_cleanup_errors=True) as scratch:
            yield Path(scratch)
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror or error}. Choose another output.") from error


def _job(source: str, target: Target, path: Path, card: Card, fewer: FewerBits | None) -> Job:
    scratch = path.parent.parent
    job = Job(source, target.name, str(path), str(scratch / "images.npz"), card.to_json())
    if not fewer:
        return job
    calibration = scratch / CALIBRATION
    cases = tuple((case.id, str(case.image), tuple(map(str, case.masks)), case.group) for case in fewer.cases)
    given = str(calibration) if calibration.exists() else ""
    return replace(job, precision=fewer.precision, calibration=given, cases=cases)


def _converted(job: Job, target: Target, fewer: FewerBits | None, limit_s: float) -> Artefact:
    outcome, path = run(job, limit_s), Path(job.path)
    if outcome.link:
        outcome.link.demand()
    if outcome.verdict and not (fewer and fewer.force):
        outcome.verdict.demand(f"--to {target.name} in {job.precision}")
    files = [file for each in _files(path, target) for file in (each, *each.rglob("*")) if file.is_file()]
    size_bytes = sum(file.stat().st_size for file in files)
    return Artefact(
        target.name, path, size_bytes, outcome.link, outcome.median_ms, job.precision, outcome.verdict, outcome.whole
    )


def _files(path: Path, target: Target) -> list[Path]:
    """The files of an artefact but its sidecar."""
    return [path, *(path.with_suffix(suffix) for suffix in target.companions)]


def _keep(files: Sequence[Path], folder: Path, scratch: Path) -> None:
    """Move the files to their folder, all or none; what they replace is kept until then."""
    folder.mkdir(parents=True, exist_ok=True)
    before = scratch / "before"
    before.mkdir()
    with ExitStack() as undo:
        for file in files:
            place = folder / file.name
            if place.exists():
                place.replace(before / file.name)
                undo.callback((before / file.name).replace, place)
            file.replace(place)
            undo.callback(place.replace, file)
        undo.pop_all()
