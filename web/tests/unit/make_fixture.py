"""Writes card.json beside it: what Python's `Card` makes of small probabilities, for the page to agree with."""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np

from lvunet.card import Card

KNOTS = ((0.3, 0.1), (0.8, 0.5), (0.95, 0.9))


def main() -> None:
    """Cases: maps from blank to sure, at three thresholds, with and without knots."""
    rng = np.random.default_rng(0)
    maps = [rng.random((5, 7)), np.zeros((4, 4)), np.ones((3, 2)), rng.random((6, 6)) ** 8, rng.random((8, 3)) ** 0.1]
    cases = []
    for probability in (array.astype(np.float32) for array in maps):
        for threshold in (0.1, 0.5, 0.9):
            for quality in ((), KNOTS):
                card = Card(threshold=threshold, quality=quality, empty_dice=0.25)
                mask = card.mask(probability)
                cases.append(
                    {
                        "card": {key: asdict(card)[key] for key in ("threshold", "quality", "empty_dice")},
                        "probability": probability.ravel().tolist(),
                        "area_px": int(mask.sum()),
                        "soft_dice": card.soft_dice(probability, mask),
                        "expected_dice": card.expected_dice(probability, mask),
                    }
                )
    Path(__file__).with_name("card.json").write_text(json.dumps(cases))


if __name__ == "__main__":
    main()
