"""The speed of the page: `make web && python -m results.web_speed`; writes web.json.

Headless Chromium and ONNX Runtime take turns on the same artefact and the same image, with one thread and with two.
"""

import json
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread
from time import perf_counter
from typing import Any

import numpy as np

from lvunet.cli.web import PAGE, server
from lvunet.data.phantom import phantom
from lvunet.evaluate.evidence import write_json
from lvunet.evaluate.provenance import provenance
from lvunet.image import UInt8, write_image
from lvunet.runtime.onnx_backend import OnnxSegmenter

HERE = Path(__file__).parent
SPEED = HERE.parent / "web" / "tests" / "browser" / "speed.mjs"
MODEL, SIDE = "polyp", 256
THREADS, ROUNDS, CALLS, DROPPED = (1, 2), 10, 10, 2  # the first calls of a block find cold caches
Times = Callable[[int, int], list[float]]  # of threads and calls: milliseconds of each call


def native(image: UInt8) -> Times:
    """Return the times of ONNX Runtime in this process."""
    models = {threads: OnnxSegmenter(PAGE / "models" / f"{MODEL}.onnx", threads) for threads in THREADS}

    def times(threads: int, calls: int) -> list[float]:
        taken = []
        for _ in range(calls):
            start = perf_counter()
            models[threads](image)
            taken.append((perf_counter() - start) * 1e3)
        return taken

    return times


@contextmanager
def page(image: Path) -> Iterator[Times]:
    """Give the times that the page reports of its own runs, in a browser that lives as long as the block."""
    with server(0) as listening:
        Thread(target=listening.serve_forever, daemon=True).start()
        command = ["node", str(SPEED), f"http://127.0.0.1:{listening.server_port}/", str(image)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as browser:
            ask, answer = browser.stdin, browser.stdout
            assert ask
            assert answer

            def times(threads: int, calls: int) -> list[float]:
                ask.write(f"{threads} {calls}\n")
                ask.flush()
                return [each["run"] for each in json.loads(answer.readline())]

            yield times
            ask.close()
        listening.shutdown()


def summary(name: str, threads: int, times_ms: list[float]) -> dict[str, Any]:
    """Return what is published of one candidate."""
    p10, median, p90 = np.percentile(times_ms, [10, 50, 90]).round(3).tolist()
    fps = round(1e3 / median, 1)
    return {"name": name, "threads": threads, "fps": fps, "median_ms": median, "p10_ms": p10, "p90_ms": p90}


def main() -> None:
    """Measure, and write the record."""
    pixels, _ = phantom("polyp", 0, (SIDE, SIDE))
    with TemporaryDirectory() as scratch:
        write_image(image := Path(scratch) / "image.png", pixels)
        with page(image) as in_chromium:
            candidates = {"Chromium, WebAssembly": in_chromium, "ONNX Runtime": native(pixels)}
            taken: dict[tuple[str, int], list[float]] = {}
            for _ in range(ROUNDS):
                for threads in THREADS:
                    for name, times in candidates.items():
                        taken.setdefault((name, threads), []).extend(times(threads, DROPPED + CALLS)[DROPPED:])
    rows = [summary(name, threads, times_ms) for (name, threads), times_ms in taken.items()]
    by = {(row["name"], row["threads"]): row["median_ms"] for row in rows}
    slower = {
        threads: round(by["Chromium, WebAssembly", threads] / by["ONNX Runtime", threads], 2) for threads in THREADS
    }
    record = {
        "workload": f"one image of {SIDE} x {SIDE}, {MODEL}, the artefact of the page; calls alternate",
        "calls": ROUNDS * CALLS,
        "browser": subprocess.run(["chromium", "--version"], capture_output=True, text=True, check=True).stdout.strip(),
        "rows": rows,
        "times_as_slow_as_native": slower,
        **asdict(provenance()),
    }
    write_json(HERE / "web.json", record)


if __name__ == "__main__":
    main()
