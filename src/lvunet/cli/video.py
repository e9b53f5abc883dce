"""`lvunet segment` of a video or a camera: the outline drawn into every frame, and a table of areas."""

import csv
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from time import perf_counter

from lvunet.errors import InputError, OutputError
from lvunet.screen import complain, progress, say

SUFFIXES = (".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".ts", ".webm", ".wmv")
COLUMNS = ("frame", "time_s", "area_px", "area_fraction", "expected_dice")
WINDOW = 10  # frames over which a rate is taken


def is_video(inputs: Sequence[str], output: Path) -> bool:
    """Whether a command line of `segment` is about a video: by the name of an input, or of the output."""
    from lvunet.runtime.video import LIVE

    return any(name.lower().endswith(SUFFIXES) or name.startswith(LIVE) for name in (*inputs, str(output)))


def segment_video(inputs: Sequence[str], model: str, output: Path, overlays: bool, workers: int | None) -> int:
    """Write the video with the outline drawn in, and <output>.areas.csv; return the exit code.

    Where `output` is no video by its name, it becomes a folder: the mask of each frame, <number>.png, areas.csv, and
    with `overlays` the video, overlays.mp4. A camera is recorded until Ctrl-C, or its end.
    Raises `InputError`, `OutputError` and `MissingDependency`; no half-written video or table stays.
    """
    from lvunet.image import atomic_write
    from lvunet.runtime.batch import AREAS, cells
    from lvunet.runtime.segmenter import load
    from lvunet.runtime.video import Video, segment_frames, write_video

    source = _only(inputs, output)
    masks = None if output.suffix.lower() in SUFFIXES else output
    film = masks / "overlays.mp4" if masks else output
    areas = masks / AREAS if masks else output.with_suffix(f".{AREAS}")
    video = Video(source)
    segmenter, seconds = load(model, threads=None if video.live else 1), [perf_counter()]
    with ExitStack() as opened:
        partial = opened.enter_context(atomic_write(areas))
        table = csv.writer(opened.enter_context(partial.open("w", newline="", encoding="utf-8")))
        table.writerow(COLUMNS)
        add = opened.enter_context(write_video(film, video)) if overlays or not masks else None
        advance = opened.enter_context(progress("segmenting", video.expected))
        try:
            for frame in segment_frames(segmenter, video, workers):
                found = frame.found
                if masks:
                    found.save(masks / f"{frame.number:06}.png")
                if add:
                    add(found.overlay(), frame.time_s)
                area = cells(found.area_px, found.area_fraction, found.expected_dice)
                table.writerow((frame.number, f"{frame.time_s:.6f}", *area))
                seconds.append(perf_counter())
                advance()
        except KeyboardInterrupt:
            if not video.live or len(seconds) == 1:
                raise
    sound = " The sound is left out." if video.has_sound and add else ""
    say(f"{len(seconds) - 1} frames segmented, {rates(seconds)}: {output}.{sound}")
    if video.damage:
        complain(video.damage)
    return int(bool(video.damage))


def rates(seconds: list[float]) -> str:
    """Return the steady rate at which frames were done: the median, and the slow tenth, of the rates of each window.

    `seconds` are when it began and when each frame was done; the first window, in which all begins, counts only where
    it is the only one.
    """
    import numpy as np

    marks = np.array(seconds[::WINDOW] if len(seconds) > WINDOW else (seconds[0], seconds[-1]))
    frames = WINDOW if len(seconds) > WINDOW else len(seconds) - 1
    a_second = frames / np.diff(marks)
    steady = a_second[1:] if len(a_second) > 1 else a_second
    return f"{np.median(steady):.1f} frames/s (slow tenth: {np.percentile(steady, 10):.1f})"


def _only(inputs: Sequence[str], output: Path) -> str:
    """Return the one input, which the output must not overwrite."""
    if len(inputs) != 1:
        raise InputError(f"give one video or camera at a time, not {len(inputs)} inputs.")
    if output.exists() and Path(inputs[0]).exists() and output.samefile(inputs[0]):
        raise OutputError(f"writing to {output} would overwrite it, an input. Choose another name.")
    return inputs[0]
