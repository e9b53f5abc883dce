"""The sidecar of an artefact whose format has no room for a card: what it is, the hashes of its files, and its own.

model.pte, model.pte.json = {"format": 1, "card": {...}, "sha256": {"model.pte": "..."}, "seal": "..."}
"""

import json
from collections.abc import Sequence
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from lvunet.card import Card
from lvunet.errors import ArtefactError, CheckpointError
from lvunet.image import atomic_write

FORMAT = 1


def sidecar(path: Path) -> Path:
    """Return the path of the sidecar of an artefact."""
    return path.with_name(f"{path.name}.json")


def write_sidecar(path: Path, card: Card, companions: Sequence[Path] = ()) -> None:
    """Write the card and the SHA-256 of an artefact, a file or a folder, and of the files that belong to it."""
    stored: dict[str, Any] = {
        "format": FORMAT,
        "card": json.loads(card.to_json()),
        "sha256": {name: _sha256(path.parent / name) for name in _names(path, companions)},
    }
    stored["seal"] = _seal(stored)
    with atomic_write(sidecar(path)) as partial:
        partial.write_text(json.dumps(stored, indent=1) + "\n", encoding="utf-8")


def read_sidecar(path: Path) -> Card:
    """Return the card of an artefact once its files are proven to be those that were exported.

    Raises `ArtefactError` without a sidecar, for one of a newer version, and for files that were changed since.
    """
    beside, again = sidecar(path), "Export it again, or copy it anew with all its files."
    try:
        stored = json.loads(beside.read_text(encoding="utf-8"))
        if stored["format"] > FORMAT:
            raise ArtefactError(f"{beside} is of format {stored['format']}: made by a newer lvunet? Upgrade it.")
        seal = stored.pop("seal")
        hashes = {str(name): digest for name, digest in stored["sha256"].items()}
        card = Card.from_json(json.dumps(stored["card"]))
    except FileNotFoundError as error:
        raise ArtefactError(f"{path} has no {beside.name} beside it, which says what it is. {again}") from error
    except CheckpointError as error:
        raise ArtefactError(f"{beside}: {error}") from error
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise ArtefactError(f"{beside} cannot be read: {error}. {again}") from error
    if seal != _seal(stored):
        raise ArtefactError(f"{beside} is not as it was written: edited or damaged. {again}")
    if path.name not in {name.split("/")[0] for name in hashes}:
        raise ArtefactError(f"{beside} is of {', '.join(hashes) or 'nothing'}, not of {path.name}: renamed? {again}")
    for name, digest in hashes.items():
        found = path.parent / name
        if not found.is_file() or _sha256(found) != digest:
            raise ArtefactError(f"{found} is not the file that was exported: missing, edited or damaged. {again}")
    return card


def _seal(stored: dict[str, Any]) -> str:
    """The SHA-256 of all else that a sidecar says."""
    return sha256(json.dumps(stored, sort_keys=True).encode()).hexdigest()


def _names(path: Path, companions: Sequence[Path]) -> list[str]:
    """The files of an artefact, relative to its folder."""
    inside = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    return [file.relative_to(path.parent).as_posix() for file in (*inside, *companions)]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return file_digest(file, "sha256").hexdigest()
