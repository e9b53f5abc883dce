"""Scores trained models on sets they were not trained on, and on spoilt images, into robustness-<recipe>.json.

python results/robustness.py ../shared/datasets paper40 kvasir-seg=RUN/model.onnx cvc-clinicdb=RUN/model.onnx ...

All models of one recipe go in one call. A model trained on polyps is scored on the test part of every polyp set, under
the protocol and seed of its own split, and on all images of each set that it was not trained on. Every model is scored
on the test part of its own set under every corruption.
"""

import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from lvunet.data.manifest import Part
from lvunet.data.registry import Sample
from lvunet.data.selection import UNION, choose, seen_in_training, split_of
from lvunet.errors import ConfigError, MismatchedPair
from lvunet.evaluate.evidence import write_json
from lvunet.evaluate.intervals import score_interval
from lvunet.evaluate.provenance import provenance
from lvunet.evaluate.robustness import under_corruptions
from lvunet.evaluate.scoring import Scores, Segmenter, score
from lvunet.runtime.segmenter import load

HERE = Path(__file__).parent
POLYPS = ("kvasir-seg", "cvc-clinicdb", "cvc-colondb")
WHAT = (
    "Mean Dice of an image, with its interval, drawn by group (sequence or scene) where there are groups. "
    "`matrix`: models of one recipe on the polyp sets. "
    "`corruptions`: each model on the test part of its own set, clean and spoilt. "
    "`seen`: how many of the images were in training or validation; null where the model does not say. "
    "`per_image`: Dice in the order of the ids in src/lvunet/data/splits."
)


def main(data: Path, recipe: str, models: dict[str, Path], folder: Path = HERE) -> Path:
    """Write the matrix and the corruption tables of the models of one recipe; raises any `LVUNetError`."""
    segmenters = {name: load(path) for name, path in models.items()}
    record = {
        "what": WHAT,
        "recipe": recipe,
        **asdict(provenance()),
        "models": {name: _origin(segmenter) for name, segmenter in segmenters.items()},
        "matrix": [cell for name, segmenter in segmenters.items() for cell in transfer(name, segmenter, data)],
        "corruptions": {name: spoilt(segmenter, data) for name, segmenter in segmenters.items()},
    }
    path = folder / f"robustness-{recipe}.json"
    write_json(path, record)
    return path


def transfer(name: str, segmenter: Segmenter, data: Path) -> list[dict[str, Any]]:
    """Return a model's row of the matrix: two cells for a set that it was not trained on, one for its own."""
    own = _sets(segmenter)
    cells = []
    for tested_on in POLYPS if own & set(POLYPS) else ():
        parts: tuple[Part | None, ...] = ("test",) if tested_on in own else ("test", None)
        for part in parts:
            samples, split = _samples(segmenter, data, part, tested_on)
            scores = _complete(score(segmenter, samples))
            training = segmenter.card.training
            cells.append(
                {
                    "model": name,
                    "tested_on": tested_on,
                    "split": split,
                    "dice": asdict(score_interval(scores, "dice")),
                    "missed": sum(image.missed for image in scores.images),
                    "seen": len(seen_in_training(training, samples)) if "seen" in training else None,
                    "per_image": _line(scores),
                }
            )
    return cells


def spoilt(segmenter: Segmenter, data: Path) -> dict[str, Any]:
    """Return the corruption table of a model, on the test part of its own set."""
    own = UNION.join(sorted(_sets(segmenter)))
    samples, split = _samples(segmenter, data, "test", own)
    seen = seen_in_training(segmenter.card.training, samples)
    found = under_corruptions(segmenter, samples, (own, split, len(seen)))
    record = {key: value for key, value in found.record().items() if key not in asdict(found.clean.provenance)}
    record["clean"]["per_image"] = _line(_complete(found.clean.scores))
    for row, condition in zip(record["conditions"], found.conditions, strict=True):
        row["per_image"] = _line(condition.scores)
    return record


def _sets(segmenter: Segmenter) -> set[str]:
    """Return the names of the known sets that a model was trained on."""
    trained_on = segmenter.card.training.get("config", {}).get("dataset")
    if not trained_on or trained_on.endswith(".csv"):
        raise ConfigError(f"{segmenter.card.name} does not name a known data set that it was trained on.")
    return set(trained_on.split(UNION))


def _samples(segmenter: Segmenter, data: Path, part: Part | None, dataset: str) -> tuple[list[Sample], str]:
    """Return samples, their groups with them, under the protocol and seed of the model's own split."""
    config = segmenter.card.training["config"]
    under = (dataset, config["protocol"], config["split_seed"])
    groups = split_of(data, *under).groups
    samples, words = choose(data, part, *under)
    return [replace(sample, group=groups.get(sample.id, "")) for sample in samples], words


def _origin(segmenter: Segmenter) -> dict[str, Any]:
    card = segmenter.card
    training = {key: value for key, value in card.training.items() if key != "seen"}
    return {"name": card.name, "source_sha256": card.source_sha256, "training": training}


def _complete(scores: Scores) -> Scores:
    if scores.unscored:
        raise MismatchedPair(f"{scores.model}: {scores.unscored[0].reason}. Every image must count.")
    return scores


def _line(scores: Scores) -> str:
    return " ".join(f"{dice:.4f}" for dice in scores.values("dice"))


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2], {name: Path(path) for name, path in (arg.split("=") for arg in sys.argv[3:])})
