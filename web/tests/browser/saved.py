"""Compares what the page saved with what Python finds: `python saved.py MODEL IMAGE MASK OVERLAY OPACITY`, percent."""

import json
import sys

import numpy as np
from PIL import Image

from lvunet.cli.web import PAGE
from lvunet.image import overlay, read_image, read_mask
from lvunet.runtime.segmenter import load


def main(model: str, image: str, mask: str, painted: str, opacity: str) -> None:
    """Print what the mask is, in how many pixels it differs from Python's, and the share that is painted otherwise."""
    labels = read_mask(mask)
    with Image.open(mask) as picture:
        mode, levels = picture.mode, sorted({level for _, level in picture.getcolors() or ()})
    differing = int((labels != load(PAGE / "models" / f"{model}.onnx", threads=1).segment(image).mask).sum())
    expected = overlay(read_image(image), labels, int(opacity) / 100).astype(int)
    otherwise = (np.abs(read_image(painted) - expected).max(axis=2) > 2).mean()
    height, width = labels.shape
    size = {"area_px": int(labels.sum()), "height": height, "width": width}
    answer = size | {"mode": mode, "levels": levels, "differing": differing, "painted_otherwise": float(otherwise)}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
