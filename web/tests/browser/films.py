"""Films for Chromium's pretended camera: `python films.py FOLDER` writes camera.y4m, a polyp that wanders about."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

from lvunet.data.phantom import phantom

WIDTH, HEIGHT, FRAMES, STEP = 640, 480, 24, 4  # pixels, frames (Chromium begins anew at the end), pixels a frame


def planes(frame: Image.Image) -> bytes:
    """Return a frame as the planes of 4:2:0."""
    luma, *chroma = frame.convert("YCbCr").split()
    return b"".join(plane.tobytes() for plane in (luma, *(each.resize((WIDTH // 2, HEIGHT // 2)) for each in chroma)))


def main(folder: Path) -> None:
    """Write the film."""
    whole = Image.fromarray(phantom("polyp", 2, (HEIGHT, WIDTH + STEP * FRAMES))[0])
    there_and_back = np.abs(np.arange(FRAMES) - FRAMES // 2) * STEP
    frames = [whole.crop((left, 0, left + WIDTH, HEIGHT)) for left in there_and_back.tolist()]
    head = f"YUV4MPEG2 W{WIDTH} H{HEIGHT} F30:1 Ip A1:1 C420jpeg\n".encode()
    (folder / "camera.y4m").write_bytes(head + b"".join(b"FRAME\n" + planes(frame) for frame in frames))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
