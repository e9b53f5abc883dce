"""Times ONNX Runtime for speed.test.ts: each line, "THREADS CALLS", is answered by times in ms: `native.py IMAGE`."""

import json
import sys

from results.web_speed import native

from lvunet.image import read_image


def main(image: str) -> None:
    """Answer until the input ends."""
    times = native(read_image(image))
    for line in sys.stdin:
        threads, calls = map(int, line.split())
        sys.stdout.write(json.dumps(times(threads, calls)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
