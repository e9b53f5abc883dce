"""Recipes: named sets of choices for a training run, as data.

"paper" is the protocol of arXiv 2408.16886, section V-A, and the default of every key. "ours" is what is usual for long
trainings, and what configs/ adds to it a set; it was tried in trainings of up to 60 epochs, not of 300.
"tuned" is ours from a model of the zoo instead of ImageNet weights alone: its decoder has been trained before.
"""

from collections.abc import Mapping
from typing import Any

OURS: Mapping[str, Any] = {
    "augment": "strong",
    "optimizer": "adamw",
    "weight_decay": 0.05,
    "warmup": 0.05,
    "deep_end": 0.6,
    "ema": 0.99,
}
RECIPES: Mapping[str, Mapping[str, Any]] = {
    "paper": {},
    "ours": OURS,
    "tuned": {**OURS, "init": "kvasir-seg", "deep": "done", "learning_rate": 5e-4},
}
