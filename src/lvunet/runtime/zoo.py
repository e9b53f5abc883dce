"""The models in the package: which there are, what is known of each, and whether its file is still the same."""

import json
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path
from typing import Any

import numpy as np

from lvunet.errors import ArtefactError, ConfigError, did_you_mean
from lvunet.image import UInt8

ZOO = Path(__file__).parents[1] / "zoo"


@dataclass(frozen=True)
class Score:
    """Mean Dice per image on one test part, and the 95 % interval of that mean."""

    dataset: str
    split: str
    n: int
    dice: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.dice:.3f} ({self.low:.3f} to {self.high:.3f}), {self.dataset}, {self.split}, n {self.n}"


@dataclass(frozen=True)
class Bundled:
    """What `results/zoo.py` wrote into <name>.json, beside the artefact <name>.onnx and the card that people read."""

    name: str
    outlines: str
    trained_on: str
    scores: tuple[Score, ...]
    data_terms: tuple[str, ...]
    weights_terms: str
    source_sha256: str  # of the trained weights
    sha256: str  # of the artefact


def bundled(folder: Path = ZOO) -> dict[str, Bundled]:
    """Return the models of the package by name; raises `ArtefactError` where what is known of one cannot be read."""
    return {path.stem: _read(path) for path in sorted(folder.glob("*.json"))}


def model_file(name_or_path: str | Path, folder: Path = ZOO) -> Path:
    """Return the file of a model: a path as it is, or a model of the package; raises `ConfigError` for neither."""
    path = Path(name_or_path)
    if path.is_file() or (path.suffix == ".mlpackage" and path.is_dir()):
        return path
    names = {model.stem: model for model in folder.glob("*.onnx")}
    if str(path) not in names:
        what = "file" if path.suffix or path.parent != Path() else "model"
        nearest = did_you_mean(path.name, names)
        raise ConfigError(f"no {what} {str(path)!r}. Give the path of a model, or the name of one.{nearest}")
    return names[str(path)]


def prove(model: Bundled, image: UInt8, folder: Path = ZOO) -> None:
    """Raise `ArtefactError` unless the artefact is the committed file, says so inside, and segments the image."""
    from lvunet.runtime.onnx_backend import OnnxSegmenter

    path = folder / f"{model.name}.onnx"
    again = "Install the package anew."
    if not path.is_file():
        raise ArtefactError(f"{path} is not there. {again}")
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
    if digest != model.sha256:
        raise ArtefactError(f"{path} has SHA-256 {digest[:12]}..., not {model.sha256[:12]}... {again}")
    segmenter = OnnxSegmenter(path, threads=1)
    inside = segmenter.card.name, segmenter.card.source_sha256
    if inside != (model.name, model.source_sha256):
        raise ArtefactError(f"{path} says inside that it is {inside[0]!r}, of weights {inside[1][:12]}. {again}")
    found = segmenter.segment(image)
    if found.mask.shape != image.shape[:2] or not (np.abs(found.probability - 0.5) <= 0.5).all():
        raise ArtefactError(f"{path} gives no probabilities on this machine: its onnxruntime is at fault. Renew that.")


def _read(path: Path) -> Bundled:
    try:
        values: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        scores = tuple(Score(**score) for score in values.pop("scores"))
        return Bundled(**values | {"data_terms": tuple(values["data_terms"])}, scores=scores)
    except (OSError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise ArtefactError(f"{path} cannot be read ({error}). Install the package anew.") from error
