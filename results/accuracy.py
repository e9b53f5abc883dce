"""Scores the three forms of a checkpoint on the test part of its split: `python results/accuracy.py RUN DATA SET`.

The trained form, the folded form and the ONNX artefact must agree within 0.0005 in mean Dice.
"""

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path

from lvunet.data.selection import choose, pictures
from lvunet.evaluate.evidence import Evaluation, write_json
from lvunet.evaluate.intervals import paired_difference
from lvunet.evaluate.provenance import provenance
from lvunet.evaluate.scoring import score
from lvunet.export.onnx import export_onnx
from lvunet.fold import fold
from lvunet.learn.record import MANIFEST
from lvunet.model import load_checkpoint
from lvunet.runtime.segmenter import load
from lvunet.runtime.torch_backend import TorchSegmenter

HERE = Path(__file__).parent
TOLERANCE = 0.0005


def main(run: Path, data: Path, dataset: str) -> None:
    """Write results/accuracy-<set>-<form>.json for each form, and refuse to if they differ."""
    model, card = load_checkpoint(run / "best.safetensors")
    card, config = replace(card, name=run.name), card.training["config"]
    samples, split = choose(data, "test", dataset, config["protocol"], config["split_seed"])
    artefact = run / "model.onnx"
    proof = export_onnx(model, card, artefact, pictures(data / "images"))
    forms = {
        "trained": TorchSegmenter(model, card),
        "folded": TorchSegmenter(fold(model), card),
        "onnx": load(artefact),
    }
    scores = {form: score(segmenter, samples) for form, segmenter in forms.items()}
    for form, each in scores.items():
        difference = paired_difference(each, scores["trained"], "dice")
        if abs(difference.mean) > TOLERANCE:
            raise SystemExit(f"{form}: Dice differs from the trained form by {difference.mean}")
        record = Evaluation(each, dataset, split, provenance()).record()
        facts = {
            "form": form,
            "dice_minus_trained": difference.mean,
            "training": {key: value for key, value in card.training.items() if key != "seen"},
            "training_commit": json.loads((run / MANIFEST).read_text(encoding="utf-8"))["provenance"]["commit"],
            "source_sha256": card.source_sha256,
            "parity": [asdict(link) for link in proof.links],
        }
        write_json(HERE / f"accuracy-{dataset}-{('trained', 'folded', 'onnx').index(form)}-{form}.json", facts | record)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
