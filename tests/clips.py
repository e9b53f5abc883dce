"""Small real videos, made with PyAV and by other means than ours."""

from collections.abc import Callable, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.video.stream import VideoStream

from lvunet.data.phantom import phantom
from lvunet.image import UInt8

LOSSLESS = {".mkv": ("ffv1", "bgr0"), ".mov": ("png", "rgb24")}  # of any size, and the same pixels again
H264 = ("libx264", "yuv420p")
MS = Fraction(1, 1000)


def pictures(count: int, height: int = 48, width: int = 64) -> list[UInt8]:
    """A phantom that drifts to the right, one pixel a frame, and no two frames the same."""
    drawn = phantom("polyp", 1, (height, width))[0]
    return [np.roll(drawn, number, axis=1) for number in range(count)]


def write_clip(
    path: Path,
    frames: Sequence[UInt8],
    codec: tuple[str, str] | None = None,
    times_ms: Sequence[int] | None = None,
    prepare: Callable[[VideoStream], object] = lambda stream: None,
) -> Path:
    """Write frames, by default lossless and 25 a second; `prepare` may turn the stream, or give it other pixels."""
    name, pixel_format = codec or LOSSLESS[path.suffix]
    times = times_ms or [40 * number for number in range(len(frames))]
    with av.open(path, "w") as container:
        stream: Any = container.add_stream(name, rate=25)
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt = pixel_format
        stream.codec_context.time_base = MS
        prepare(stream)
        for pixels, time_ms in zip(frames, times, strict=True):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), "rgb24")
            frame.pts, frame.time_base = time_ms, MS
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
    return path


def add_sound(source: Path, target: Path) -> Path:
    """Copy a video, and give it a second of silence."""
    with av.open(source) as of, av.open(target, "w") as container:
        picture = container.add_stream_from_template(of.streams.video[0])
        sound: Any = container.add_stream("pcm_s16le", rate=8000)
        for packet in of.demux(of.streams.video[0]):
            if packet.dts is not None:
                packet.stream = picture
                container.mux(packet)
        silence = av.AudioFrame.from_ndarray(np.zeros((1, 8000), np.int16), "s16", "mono")
        silence.sample_rate = 8000
        container.mux(sound.encode(silence))
        container.mux(sound.encode())
    return target
