"""Images a second of `lvunet segment` as a user runs it: process start, decoding and writing of masks included.

python -m lvunet.benchmark.segmenting MODEL.onnx FOLDER RESULT.json
"""

import resource
import statistics
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from lvunet.evaluate.evidence import write_json
from lvunet.evaluate.provenance import provenance
from lvunet.image import find_images

IMAGES, TURNS = 100, 7


def measure_segmenting(model: Path, folder: Path) -> dict[str, object]:
    """Return images a second over the first 100 images of a folder, median of seven runs, and the peak of memory."""
    files = find_images([folder])[:IMAGES]
    seconds = []
    for _ in range(TURNS):
        with TemporaryDirectory() as scratch:
            command = [sys.executable, "-m", "lvunet.cli", "segment", *map(str, files), "-m", str(model), "-o", scratch]
            start = perf_counter()
            subprocess.run(command, check=True, capture_output=True)
            seconds.append(perf_counter() - start)
    return {
        "workload": "lvunet segment: process start, decoding, network, masks written",
        "dataset": folder.parent.name,
        "images": len(files),
        "images_per_second": round(len(files) / statistics.median(seconds), 2),
        "seconds": [round(value, 3) for value in seconds],
        "peak_mb": round(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1e3, 1),
        **asdict(provenance()),
    }


if __name__ == "__main__":
    write_json(Path(sys.argv[3]), measure_segmenting(Path(sys.argv[1]), Path(sys.argv[2])))
