"""The start of `lvunet segment`: `python results/startup.py MODEL IMAGE`; writes startup.json.

Wall-clock time from the start of the process to its end, the mask of one image written; files are in the disk cache.
"""

import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from resource import RUSAGE_CHILDREN, getrusage
from tempfile import TemporaryDirectory
from time import perf_counter

import numpy as np

from lvunet.evaluate.evidence import write_json
from lvunet.evaluate.provenance import provenance
from lvunet.image import image_size

STARTS = 21


def main(model: str, image: Path) -> None:
    """Write the median, p10 and p90 of the starts after the first, and the CPU time of one."""
    seconds, before = [], 0.0
    with TemporaryDirectory() as scratch:
        command = [sys.executable, "-m", "lvunet.cli", "segment", str(image), "-m", model, "-o", scratch]
        for start in range(1 + STARTS):
            began = perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            if start == 0:  # which fills the disk cache
                before = _cpu_s()
            else:
                seconds.append(perf_counter() - began)
    p10, median, p90 = np.percentile(seconds, [10, 50, 90]).round(4).tolist()
    record = {
        "workload": "lvunet segment of one image: process start to process end, mask and table written",
        "dataset": image.parents[1].name,
        "image": image.stem,
        "image_size": image_size(image),
        "model": model,
        "starts": STARTS,
        "median_s": median,
        "p10_s": p10,
        "p90_s": p90,
        "cpu_s": round((_cpu_s() - before) / STARTS, 4),
        "seconds": [round(value, 4) for value in seconds],
        **asdict(provenance()),
    }
    write_json(Path(__file__).parent / "startup.json", record)


def _cpu_s() -> float:
    used = getrusage(RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
