"""What a training run writes about itself, and the check that a resumed run is the same one."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch

from lvunet.data.manifest import PARTS, Part, Split
from lvunet.data.registry import Sample
from lvunet.data.selection import image_hash
from lvunet.errors import CheckpointError, ConfigError
from lvunet.evaluate.provenance import provenance
from lvunet.learn.config import LAST, MANIFEST, TrainConfig

OTHERS = {"data_sha256": "images or masks", "split": "split"}  # what may differ but the configuration
DAMAGE = (OSError, EOFError, ValueError, LookupError, TypeError, AttributeError, RuntimeError, UnpicklingError)


def run_record(config: TrainConfig, split: Split, used: Mapping[Part, Sequence[Sample]]) -> dict[str, Any]:
    """Return configuration, split, machine, and the SHA-256 over all files that the run reads."""
    digest = hashlib.sha256()
    for samples in used.values():
        for sample in samples:
            digest.update(sample.id.encode())
            for path in (sample.image, *sample.masks):
                digest.update(path.read_bytes())
    return {
        "config": config.model_dump(mode="json"),
        "data_sha256": digest.hexdigest(),
        "split": {part: list(split.part(part)) for part in PARTS},
        "provenance": asdict(provenance()),
    }


def seen_images(used: Mapping[Part, Sequence[Sample]]) -> list[str]:
    """Return the hashes of the images that a run reads, so that an evaluation can tell what the model has seen."""
    return sorted({image_hash(sample.image) for samples in used.values() for sample in samples})


def resumable(folder: Path, record: Mapping[str, Any]) -> tuple[Path | None, int]:
    """Return the checkpoint of an interrupted run to go on from, None where there is none, and the epoch to go on with.

    Raises `ConfigError` if the folder holds a run of other settings or data, `CheckpointError` if it is damaged.
    """
    last = folder / LAST
    if not last.exists():
        return None, 0
    try:
        before, now = json.loads((folder / MANIFEST).read_text(encoding="utf-8")), json.loads(json.dumps(record))
        known = {key: value for key, value in before["config"].items() if key in TrainConfig.model_fields}
        was = TrainConfig.model_validate(known).model_dump(mode="json")  # without keys that are gone, with those since
        changed = [f"{key} ({was[key]}, not {new})" for key, new in now["config"].items() if was[key] != new]
        changed += [what for key, what in OTHERS.items() if before[key] != now[key]]
        epoch = int(torch.load(last, map_location="cpu", weights_only=True)["epoch"]) + 1
    except DAMAGE as error:
        raise CheckpointError(f"{folder}: this run is damaged ({error}). Delete it, or give another --out.") from error
    if changed:
        raise ConfigError(
            f"{folder} holds a run of other settings: {', '.join(changed)}. Give --out and another folder, such as "
            f"--out {folder}-2."
        )
    return last, epoch
