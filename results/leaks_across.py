"""Counts what one polyp set shows of another into data-leaks-across.json: `python results/leaks_across.py DATASETS`.

A network trained on several sets, or on one and tested on another, is only as honest as they are apart.
"""

import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from itertools import product
from pathlib import Path

from lvunet.data.check import count_leaks, find_leaks
from lvunet.data.duplicates import NEAR_RMSE, SCENE_DETAIL, SCENE_RMSE, Pair, find_pairs, fingerprint
from lvunet.data.manifest import SEEDS
from lvunet.data.selection import UNION, samples_of, task
from lvunet.evaluate.evidence import write_json
from lvunet.evaluate.provenance import provenance
from lvunet.image import read_image

SETS = UNION.join(("cvc-clinicdb", "cvc-colondb", "kvasir-seg"))
LOOSE_RMSE, LOOSE_DETAIL = 30.0, 0.0  # to find the nearest two, which show the margin that the count rests on
WHAT = (
    f"pairs of images of two sets that show the same: exact (equal pixels), near (32 x 32 thumbnails within RMSE "
    f"{NEAR_RMSE:g} of 255), scene (within {SCENE_RMSE:g}, detail correlated above {SCENE_DETAIL:g}); and, for each "
    "split of the union, validation and test images whose like is in an earlier part of another set. The nearest two "
    "images of two sets are given, by thumbnail."
)


def across(pairs: Iterable[Pair]) -> list[Pair]:
    """Return the pairs whose images are of two sets."""
    return [pair for pair in pairs if pair.first.partition("/")[0] != pair.second.partition("/")[0]]


def main(root: Path) -> None:
    """Read the images of all three sets and write the counts."""
    samples = samples_of(root, SETS)
    with ThreadPoolExecutor() as pool:
        found = pool.map(lambda sample: fingerprint(read_image(sample.image)), samples)
        prints = dict(zip((sample.id for sample in samples), found, strict=True))
    pairs = across(find_pairs(prints))
    nearest = min(across(find_pairs(prints, LOOSE_RMSE, LOOSE_DETAIL)), key=lambda pair: pair.rmse)
    splits = [task(root, SETS, protocol, seed)[1] for protocol, seed in product(("paper", "grouped"), SEEDS)]
    record = {
        "what": WHAT,
        **asdict(provenance()),
        "images": len(samples),
        "pairs": [asdict(pair) for pair in pairs],
        "nearest": asdict(nearest),
        "splits": [count_leaks(split, find_leaks(replace(split, groups={}), pairs)) for split in splits],
    }
    write_json(Path(__file__).parent / "data-leaks-across.json", record)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
