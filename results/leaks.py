"""Counts the leaks of every committed split into data-leaks.json: `python results/leaks.py ../shared/datasets`."""

import sys
from dataclasses import asdict
from pathlib import Path

from lvunet.data.check import leak_table
from lvunet.evaluate.evidence import write_json
from lvunet.evaluate.provenance import provenance

WHAT = (
    "validation and test images whose like is in an earlier part of the split, by the strongest relation: "
    "exact (equal pixels), near (32 x 32 thumbnails within RMSE 2 of 255), scene (alike in tone and detail), "
    "group (one sequence of frames, or linked through others)"
)

if __name__ == "__main__":
    record = {"what": WHAT, **asdict(provenance()), "splits": leak_table(Path(sys.argv[1]))}
    write_json(Path(__file__).parent / "data-leaks.json", record)
