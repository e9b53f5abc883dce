"""One model to many targets: each converted and proven in a process of its own; all of them are kept, or none."""

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from lvunet.card import Card
from lvunet.errors import ConfigError, EmptyInput, OutputError
from lvunet.export.parity import TRAINED_TO_FOLDED, Link, compare
from lvunet.export.process import Job, run
from lvunet.export.restore import initial
from lvunet.export.targets import Target, target
from lvunet.fold import fold
from lvunet.image import UInt8
from lvunet.model import LVUNet, state_sha256
from lvunet.runtime.sidecar import sidecar
from lvunet.runtime.torch_backend import TorchSegmenter

LIMIT_S = 600.0  # the slowest converter takes 30 s on a quiet core


@dataclass(frozen=True)
class Artefact:
    """An exported model: where it is, and how it compares with the folded network; not where it cannot run here."""

    target: str
    path: Path
    size_bytes: int  # with its companions
    link: Link | None
    median_ms: float | None  # of one square image, one thread

    @property
    def executed(self) -> bool:
        """Whether the artefact was run here."""
        return self.link is not None


@dataclass(frozen=True)
class Deployment:
    """The chain trained - folded - artefacts of one model, proven on so many images."""

    card: Card
    images: int
    folding: Link
    artefacts: tuple[Artefact, ...]

    @property
    def links(self) -> tuple[Link, ...]:
        """All links of the chain."""
        return (self.folding, *(artefact.link for artefact in self.artefacts if artefact.link))


def deploy(
    source: str | Path,
    names: Sequence[str],
    output: Path,
    images: Sequence[UInt8],
    *,
    limit_s: float = LIMIT_S,
    done: Callable[[], None] = lambda: None,
) -> Deployment:
    """Export a trained model, or one of the zoo, to targets, and prove each on images (H, W, C).

    `output` is a folder, or for one target a file of its suffix. `done` is called after each target. Raises
    `MissingDependency` before anything starts, `ExportError` for a converter that crashes or takes longer than
    `limit_s`, `ParityError` for a link that does not hold, `OutputError`; then no artefact is left.
    """
    targets = [target(name) for name in dict.fromkeys(names)]
    for each in targets:
        each.needed()
    if not images:
        raise EmptyInput("an export needs at least one image to prove it on; real ones prove most.")
    network, card = initial(source)
    card = _described(network, card)
    folding = compare(
        "trained -> folded", TorchSegmenter(network.eval(), card), TorchSegmenter(fold(network), card), images,
        TRAINED_TO_FOLDED,
    )  # fmt: skip
    folding.demand()
    folder, names_of = _places(output, targets, card)
    with _scratch(folder) as scratch:
        np.savez(scratch / "images.npz", *images)
        artefacts = []
        for each in targets:
            artefacts.append(_converted(str(source), each, scratch / names_of[each.name], card, limit_s))
            done()
        kept = tuple(replace(artefact, path=folder / artefact.path.name) for artefact in artefacts)
        for artefact, wanted in zip(artefacts, targets, strict=True):
            _keep(artefact.path, wanted, folder)
    return Deployment(card, len(images), folding, kept)


def _described(network: LVUNet, card: Card) -> Card:
    digest = card.source_sha256 or state_sha256(network)
    return replace(card, classes=network.classes, in_channels=network.in_channels, source_sha256=digest)


def _places(output: Path, targets: Sequence[Target], card: Card) -> tuple[Path, dict[str, str]]:
    """The folder to write to, and the name of each target's file in it."""
    if not targets:
        raise ConfigError("name at least one target: --to onnx openvino ...")
    if output.suffix and not output.is_dir():
        if len(targets) > 1 or output.suffix != targets[0].suffix:
            wanted = ", ".join(each.suffix for each in targets)
            raise OutputError(f"{output}: give a folder, or for one target a file that ends in its suffix ({wanted}).")
        return output.parent, {targets[0].name: output.name}
    return output, {each.name: f"{card.name}{each.suffix}" for each in targets}


@contextmanager
def _scratch(folder: Path) -> Iterator[Path]:
    """Give a folder beside the artefacts to be, which goes whatever happens; a full disk is an `OutputError`."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(prefix=".lvunet-", dir=folder, ignore_cleanup_errors=True) as scratch:
            yield Path(scratch)
    except OSError as error:
        raise OutputError(f"cannot write to {folder}: {error.strerror or error}. Choose another output.") from error


def _converted(source: str, wanted: Target, path: Path, card: Card, limit_s: float) -> Artefact:
    images = path.parent / "images.npz"
    path = path.parent / wanted.name / path.name  # converters leave other files behind
    path.parent.mkdir()
    outcome = run(Job(source, wanted.name, str(path), str(images), card.to_json()), limit_s)
    if outcome.link:
        outcome.link.demand()
    size_bytes = sum(file.stat().st_size for each in _files(path, wanted) for file in (each, *each.rglob("*")))
    return Artefact(wanted.name, path, size_bytes, outcome.link, outcome.median_ms)


def _files(path: Path, wanted: Target) -> list[Path]:
    """The files of an artefact but its sidecar."""
    return [path, *(path.with_suffix(suffix) for suffix in wanted.companions)]


def _keep(path: Path, wanted: Target, folder: Path) -> None:
    beside = [] if wanted.inside else [sidecar(path)]
    for file in (*_files(path, wanted), *beside):
        place = folder / file.name
        if place.is_dir():
            shutil.rmtree(place)
        file.replace(place)
