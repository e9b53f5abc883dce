"""Makes what the page loads: for each model its ONNX with weights of 16 bits, its card, and a drawn example."""

import hashlib
import json
import re
import subprocess
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

from PIL import Image

from lvunet.data.phantom import Kind, phantom
from lvunet.data.registry import DATASETS
from lvunet.errors import ArtefactError
from lvunet.runtime.onnx_backend import OnnxSegmenter
from lvunet.runtime.zoo import model_file

MODELS: dict[str, tuple[Kind, int]] = {  # and the phantom, kind and seed, to try it on
    "skin": ("dermoscopy", 22),
    "polyp": ("polyp", 15),
    "breast-ultrasound": ("ultrasound", 26),
}
OUTPUT = Path(__file__).parent / "public" / "models"
SIZE = (480, 640)  # height and width of an example
RESULTS = Path(__file__).parents[1] / "results"
TERMS = ("outlines", "trained_on", "data_terms", "weights_terms")


def main() -> None:
    """Write NAME.onnx, NAME.json and NAME.jpg to `public/models/`; a model that is there is not exported again."""
    OUTPUT.mkdir(parents=True, exist_ok=True)
    for name, (kind, seed) in MODELS.items():
        Image.fromarray(phantom(kind, seed, SIZE)[0]).save(OUTPUT / f"{name}.jpg", quality=85)
        origin = hashlib.sha256(model_file(name).read_bytes()).hexdigest()
        described, artefact = OUTPUT / f"{name}.json", OUTPUT / f"{name}.onnx"
        if not (is_there(artefact) and json.loads(described.read_text())["zoo_sha256"] == origin):
            described.unlink(missing_ok=True)
            artefact.write_bytes(exported(name))
        described.write_text(json.dumps({"zoo_sha256": origin} | description(artefact), indent=1))


def is_there(artefact: Path) -> bool:
    """Whether a model was made and described before, by an lvunet that writes them as this one does."""
    try:
        OnnxSegmenter(artefact)
    except ArtefactError:
        return False
    return artefact.with_suffix(".json").exists()


def exported(name: str) -> bytes:
    """Return a model of the zoo with its weights in 16 bits, proven by the command that makes it."""
    with tempfile.TemporaryDirectory() as folder:
        command = ["export", name, "--to", "onnx", "--precision", "fp16", "--output", folder]
        subprocess.run([sys.executable, "-m", "lvunet.cli", *command], check=True)
        return (Path(folder) / f"{name}-fp16.onnx").read_bytes()


def description(artefact: Path) -> dict[str, object]:
    """Return what the page tells of a model, and needs to check and to use it."""
    card = asdict(OnnxSegmenter(artefact).card)
    del card["training"]  # 20 KB, and inside the ONNX
    data = artefact.read_bytes()
    facts = json.loads(model_file(artefact.stem).with_suffix(".json").read_text())
    identity = {"name": artefact.stem, "sha256": hashlib.sha256(data).hexdigest(), "bytes": len(data)}
    tested = {"scores": scores(facts), "limits": limits(artefact.stem)}
    return identity | {key: facts[key] for key in TERMS} | tested | {"card": card}


def scores(facts: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the scores of a model, each with what its record says of the images that have nothing to outline."""
    records = [json.loads(path.read_text()) for path in RESULTS.glob("accuracy-*.json")]
    mine = {
        (each["dataset"], each["split"]): each for each in records if each["source_sha256"] == facts["source_sha256"]
    }
    if missing := [each["dataset"] for each in facts["scores"] if (each["dataset"], each["split"]) not in mine]:
        raise ArtefactError(
            f"results/ has no accuracy of this {facts['name']} on {', '.join(missing)}. Evaluate it first."
        )
    return [score | seen(score["dataset"], mine[score["dataset"], score["split"]]) for score in facts["scores"]]


def seen(dataset: str, record: dict[str, Any]) -> dict[str, Any]:
    """Return the title of a test set, and in how many of its images with nothing to outline something was."""
    normals = record.get("normals")
    alarms = {"n": normals["n"], "false_alarms": record["false_alarms"]} if normals else None
    return {"title": DATASETS[dataset].title, "normals": alarms}


def limits(name: str) -> list[str]:
    """Return the known failures of a model, as its card tells them."""
    card = model_file(name).with_suffix(".md").read_text(encoding="utf-8")
    told = re.search(r"## Known failures\n\n((?:- .+\n)+)", card)
    if not told:
        raise ArtefactError(f"the card of {name} tells no known failures. Write it anew: results/zoo.py.")
    return re.findall(r"- (.+)", told[1])


if __name__ == "__main__":
    main()
