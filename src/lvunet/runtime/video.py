"""Video files, streams and cameras, frame by frame: bounded memory, the next frames already being worked on."""

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import chain
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from lvunet.errors import InputError, MissingDependency, OutputError
from lvunet.image import UInt8, atomic_write
from lvunet.runtime.batch import cores
from lvunet.runtime.segmenter import Segmentation, Segmenter

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

DEVICES = ("v4l2", "avfoundation", "dshow", "gdigrab", "x11grab", "lavfi")  # FFmpeg's names of cameras and screens
STREAMS = ("rtsp://", "rtmp://", "rtp://", "srt://", "udp://")
CAMERA = "/dev/video"  # of Video4Linux, with a number
LIVE = (CAMERA, *(f"{device}:" for device in DEVICES), *STREAMS)
SILENCE_S = 10.0  # after which a live source is over
MISSING_S = 0.5  # a video may end by so much before its file says: the last frame may be shown for longer
HD_ROWS = 720  # from here on a video that does not name its colours has those of BT.709, as players take it
FORMATS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska"}
TICKS_PER_S = 60_000  # whole for 24, 25, 30, 50, 60 and 30000/1001 frames a second; MPEG-4 allows 65,535
# 1080p at "veryfast": 36 ms of CPU a frame instead of 22, and 0.6 of the bytes; 2026-11-23, AMD EPYC.
QUALITY = {"libx264": {"preset": "superfast", "crf": "20"}, "mpeg4": {"qmin": "3", "qmax": "3"}}
BT709, COLOURS_UNTOLD = 1, 2  # in ITU-T H.273; the first also of primaries and transfer


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a video: its number from 0, its time after the first, its pixels, upright RGB (H, W, 3)."""

    number: int
    time_s: float
    image: UInt8


@dataclass(frozen=True, eq=False)
class SegmentedFrame:
    """What a model found in one frame; `number` and `time_s` are those of the `Frame`."""

    number: int
    time_s: float
    found: Segmentation


@dataclass(frozen=True)
class _Turn:
    """How frames become upright: rows and columns exchanged, then each from the end (-1) or as they are (1)."""

    quarter: bool
    rows: int
    columns: int


class Video:
    """An opened video file, stream or camera; iterating gives its frames, in order and once. Its sound is left out.

    `source` is a path; a URL; a camera, /dev/video0; or DEVICE:NAME of a device of FFmpeg's, as avfoundation:0 or
    dshow:video=NAME. Streams and cameras are `live`: who is slower gets the newest frame, and those in between are
    dropped, as their numbers tell. Of a file none is dropped.

    Frames are turned and mirrored as the video says; `pixel_aspect` is width over height of one pixel. `expected` is
    about how many frames there are, 0 if unknown. Frames that are damaged are left out, and `damage`, otherwise empty,
    says so after the last one.

    Raises `InputError` for what is not a video, and `MissingDependency` without PyAV.
    """

    def __init__(self, source: str | Path) -> None:
        self.name, self.damage = str(source), ""
        self.live, container, stream = _open(self.name)
        self.has_sound = bool(container.streams.audio)
        self.rate = Fraction(stream.average_rate or stream.guessed_rate or 25).limit_denominator(1001)
        own_s = float((stream.duration or 0) * (stream.time_base or 0))
        length_s = own_s or (container.duration or 0) / 1e6  # the latter with its sound, which may be longer
        self.expected = 0 if self.live else stream.frames or round(length_s * self.rate)
        self._promised_s = own_s if self.has_sound else length_s
        decoded, lost = _decoded(container, stream), 0
        for first in decoded:
            if first:
                break
            lost += 1
        else:
            raise InputError(f"{self.name} cannot be read as a video: none of its frames can be decoded.")
        self._turn = _turn_of(first)  # of no other: whose `side_data` is read stays in memory until Python tidies up
        self.height, self.width = _upright(first, self._turn).shape[:2]
        aspect = stream.sample_aspect_ratio or Fraction(1)
        self.pixel_aspect = 1 / aspect if self._turn.quarter else aspect
        self._decoded = chain([None] * lost, [first], decoded)

    def __iter__(self) -> Iterator[Frame]:
        return _newest(self._frames()) if self.live else self._frames()

    def _frames(self) -> Iterator[Frame]:
        first_s, end_s, number, lost = None, 0.0, 0, 0
        for frame in self._decoded:
            if frame is None:
                lost += 1
                continue
            at_s = number / self.rate if frame.time is None else frame.time
            first_s = at_s if first_s is None else first_s
            time_s = float(at_s - first_s)
            yield Frame(number, time_s, _upright(frame, self._turn))
            number, end_s = number + 1, time_s + float(frame.duration * (frame.time_base or 0))
        missing_s = self._promised_s - end_s
        if not self.live and (lost or missing_s > MISSING_S):
            early = f", {missing_s:.1f} s before it should" if missing_s > MISSING_S else ""
            lost_too = f", and {lost} damaged frames are left out" if lost else ""
            self.damage = f"{self.name} is damaged or cut off: it ends at {end_s:.1f} s{early}{lost_too}."


def segment_frames(
    segmenter: Segmenter, video: Video, workers: int | None = None
) -> Generator[SegmentedFrame, None, None]:
    """Segment a video; yield its frames in order, each as soon as it is asked for and done.

    Of a file the next frame is decoded, and `workers` frames (default: one a core) are segmented, while the caller
    works on the last one; no more are ever held. A segmenter of one thread makes best use of them. Of a live source
    each frame is the newest when it is asked for, and a segmenter of all cores has the shortest delay.

    Raises `InputError` where the model cannot take RGB frames.
    """

    def segmented(frame: Frame) -> SegmentedFrame:
        return SegmentedFrame(frame.number, frame.time_s, segmenter.segment(frame.image))

    if video.live:
        yield from map(segmented, video)
        return
    workers, frames = workers or cores(), iter(video)
    pending: deque[Future[SegmentedFrame]] = deque()
    with ThreadPoolExecutor(workers) as pool, ThreadPoolExecutor(1) as reader:
        upcoming = reader.submit(next, frames, None)
        while frame := upcoming.result():
            upcoming = reader.submit(next, frames, None)
            pending.append(pool.submit(segmented, frame))
            if len(pending) > workers:
                yield pending.popleft().result()
        for future in pending:
            yield future.result()


@contextmanager
def write_video(path: str | Path, video: Video, codec: str | None = None) -> Iterator[Callable[[UInt8, float], None]]:
    """Give a function that adds a picture, RGB (H, W, 3), and its time in seconds to a new video like `video`.

    The file, .mp4, .mov or .mkv, appears, whole, if the block ends well, and otherwise not at all. It is H.264, or
    MPEG-4 where FFmpeg was built without x264; sides become even, by a repeated row or column; times are kept to
    1/60000 s, and colours are those of BT.709, and say so. There is no sound.

    Raises `OutputError`.
    """
    import av
    from av.video.reformatter import ColorRange

    container_format = FORMATS.get(Path(path).suffix.lower())
    if container_format is None:
        raise OutputError(f"cannot write {path}: a video is written as {', '.join(FORMATS)}.")
    codec = codec or next(name for name in QUALITY if name in av.codecs_available)
    last = -1
    try:
        with atomic_write(path) as partial, av.open(f"file:{partial}", "w", format=container_format) as container:
            stream = cast("VideoStream", container.add_stream(codec, rate=video.rate, options=QUALITY[codec]))
            stream.width, stream.height = video.width + video.width % 2, video.height + video.height % 2
            stream.pix_fmt = "yuv420p"
            context = stream.codec_context
            context.time_base, context.sample_aspect_ratio = Fraction(1, TICKS_PER_S), video.pixel_aspect
            context.colorspace = context.color_primaries = context.color_trc = BT709
            context.color_range = ColorRange.MPEG

            def add(picture: UInt8, time_s: float) -> None:
                nonlocal last
                even = np.pad(picture, [(0, picture.shape[0] % 2), (0, picture.shape[1] % 2), (0, 0)], "edge")
                frame = av.VideoFrame.from_ndarray(even, "rgb24").reformat(
                    stream.width, stream.height, "yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG", threads=1
                )
                last = max(last + 1, round(time_s * TICKS_PER_S))
                frame.pts, frame.time_base = last, context.time_base
                container.mux(stream.encode(frame))

            yield add
            container.mux(stream.encode())
    except av.FFmpegError as error:
        raise OutputError(f"cannot write {path}, {video.width} x {video.height}: {error.strerror}.") from error


def _open(source: str) -> "tuple[bool, InputContainer, VideoStream]":
    """Return whether a source is live, what was opened, and its first stream of moving pictures."""
    try:
        import av
    except ModuleNotFoundError as error:
        raise MissingDependency("video needs PyAV: pip install 'lvunet[video]'") from error
    from av.codec.context import ThreadType
    from av.stream import Disposition

    device, _, name = ("v4l2", "", source) if source.startswith(CAMERA) else source.partition(":")
    live = source.startswith(LIVE)
    try:
        if device in DEVICES:
            container = av.open(name, format=device, timeout=SILENCE_S)
        else:
            url = f"file:{source}" if Path(source).exists() else source
            container = av.open(url, timeout=SILENCE_S if live else None)
    except av.FFmpegError as error:
        raise InputError(f"{source} cannot be read as a video: {error.strerror}.") from error
    streams = [stream for stream in container.streams.video if not stream.disposition & Disposition.attached_pic]
    if not streams or container.format.name == "tty":  # FFmpeg would draw the letters of a text
        raise InputError(f"{source} cannot be read as a video: it has no moving pictures.")
    streams[0].thread_type = ThreadType.AUTO
    return live, container, streams[0]


def _decoded(container: "InputContainer", stream: "VideoStream") -> "Iterator[VideoFrame | None]":
    """Yield the frames, None for one that is damaged, until the end or until nothing can be read any more."""
    import av

    packets = container.demux(stream)
    while True:
        try:
            packet = next(packets)
            if packet.is_corrupt:  # decoded in several threads, it would take good frames with it
                yield None
                continue
            for frame in packet.decode():
                yield None if frame.is_corrupt else frame
        except av.InvalidDataError:
            yield None
        except (av.FFmpegError, StopIteration):
            return


def _turn_of(frame: "VideoFrame") -> _Turn:
    """Read the display matrix, by which a player maps (x, y) to (ax + cy, bx + dy); avutil/display.h."""
    side: Any = frame.side_data.get("DISPLAYMATRIX")
    a, b, _, c, d = np.frombuffer(bytes(side), np.int32)[:5].tolist() if side else (1, 0, 0, 0, 1)
    quarter = abs(b) > abs(a)
    return _Turn(quarter, rows=-1 if (b if quarter else d) < 0 else 1, columns=-1 if (c if quarter else a) < 0 else 1)


def _upright(frame: "VideoFrame", turn: _Turn) -> UInt8:
    """Return the pixels as RGB (H, W, 3), turned and mirrored."""
    untold_hd = frame.colorspace == COLOURS_UNTOLD and frame.height >= HD_ROWS
    pixels = frame.to_ndarray(format="rgb24", src_colorspace="ITU709" if untold_hd else None, threads=1)
    pixels = pixels.swapaxes(0, 1) if turn.quarter else pixels
    return np.ascontiguousarray(pixels[:: turn.rows, :: turn.columns])


def _newest(frames: Iterable[Frame]) -> Iterator[Frame]:
    """Yield the newest frame whenever one is asked for, timed from the first; those that came between are dropped."""
    newest: deque[Frame] = deque(maxlen=1)
    news, stopped, first_s = Event(), Event(), None

    def watch() -> None:
        for frame in frames:
            newest.append(frame)
            news.set()
            if stopped.is_set():
                return

    with ThreadPoolExecutor(1) as watcher:
        watching = watcher.submit(watch)
        watching.add_done_callback(lambda _: news.set())
        try:
            while newest or not watching.done():
                news.wait()
                news.clear()
                if newest:
                    frame = newest.pop()
                    first_s = frame.time_s if first_s is None else first_s
                    yield replace(frame, time_s=frame.time_s - first_s)
            watching.result()
        finally:
            stopped.set()
