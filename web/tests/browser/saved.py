"""Compares what the page saved with what Python draws: `python saved.py IMAGE MASK OVERLAY OPACITY`, percent."""

import json
import sys

import numpy as np

from lvunet.image import overlay, read_image, read_mask


def main(image: str, mask: str, painted: str, opacity: str) -> None:
    """Print the area and size of the mask, and the share of pixels that Python paints in another colour."""
    labels = read_mask(mask)
    expected = overlay(read_image(image), labels, int(opacity) / 100).astype(int)
    otherwise = (np.abs(read_image(painted) - expected).max(axis=2) > 2).mean()
    height, width = labels.shape
    answer = {"area_px": int(labels.sum()), "height": height, "width": width, "painted_otherwise": float(otherwise)}
    sys.stdout.write(json.dumps(answer))


if __name__ == "__main__":
    main(*sys.argv[1:])
