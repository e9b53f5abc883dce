"""Video: every frame, upright, at its time, in bounded memory; cameras drop frames; damage is said."""

import subprocess
import sys
import threading
import time
from fractions import Fraction
from pathlib import Path
from resource import getpagesize

import av
import numpy as np
import pytest
from av.video.stream import VideoStream

import lvunet
from clips import H264, add_sound, pictures, write_clip
from lvunet.errors import InputError, OutputError
from lvunet.image import UInt8
from lvunet.runtime import Segmenter
from lvunet.runtime.video import SegmentedFrame, Video, segment_frames, write_video

TICK_S = 1 / 60_000  # to which a written video keeps its times
CAMERA = "lavfi:testsrc=size=64x48:rate=100,realtime"  # FFmpeg's test picture, as slow as the clock
LEVELS = 6  # of 255: 4:2:0 in limited range, coded at CRF 20, of flat colours
MORE_MB = 25  # the frames below are 0.9 MB each, 140 MB from the first look to the last; measured: 3


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return lvunet.load("polyp", threads=1)


def images(video: Video) -> list[UInt8]:
    return [frame.image for frame in video]


def test_a_video_gives_every_frame_in_order_with_its_number_time_and_pixels(tmp_path: Path) -> None:
    drawn = pictures(30)
    video = Video(write_clip(tmp_path / "a.mkv", drawn))
    assert (video.expected, video.rate, video.live, video.has_sound) == (30, Fraction(25), False, False)
    assert (video.height, video.width) == (48, 64)
    frames = list(video)
    assert [frame.number for frame in frames] == list(range(30))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(30) / 25, atol=1e-9)
    np.testing.assert_array_equal([frame.image for frame in frames], drawn)
    assert video.damage == ""


def test_uneven_times_are_kept_through_reading_and_writing(tmp_path: Path) -> None:
    times_ms = [500, 540, 700, 701, 1500, 1533]  # the first is the zero of ours
    clip = write_clip(tmp_path / "a.mkv", pictures(6), times_ms=times_ms)
    video = Video(clip)
    with write_video(tmp_path / "b.mp4", video) as add:
        for frame in video:
            add(frame.image, frame.time_s)
    expected = (np.array(times_ms) - 500) / 1000
    for path, tolerance in ((clip, 1e-9), (tmp_path / "b.mp4", TICK_S)):
        np.testing.assert_allclose([frame.time_s for frame in Video(path)], expected, atol=tolerance)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("degrees", [0, 90, 180, -90])
def test_frames_of_a_turned_phone_are_upright(tmp_path: Path, degrees: int, mirrored: bool) -> None:
    def turn(stream: VideoStream) -> None:
        stream.set_display_rotation(degrees, hflip=mirrored)

    drawn = pictures(3)
    video = Video(write_clip(tmp_path / "a.mov", drawn, prepare=turn))
    expected = [np.rot90(picture, degrees // 90) for picture in drawn]  # both count counter-clockwise
    expected = [np.fliplr(picture) for picture in expected] if mirrored else expected
    assert (video.height, video.width) == expected[0].shape[:2]
    np.testing.assert_array_equal(images(video), expected)


def test_wide_pixels_stay_wide_and_turn_with_the_frame(tmp_path: Path) -> None:
    def wide(stream: VideoStream) -> None:
        stream.codec_context.sample_aspect_ratio = Fraction(16, 15)

    def wide_and_turned(stream: VideoStream) -> None:
        wide(stream)
        stream.set_display_rotation(90)

    for prepare, aspect in ((wide, Fraction(16, 15)), (wide_and_turned, Fraction(15, 16))):
        video = Video(write_clip(tmp_path / "a.mov", pictures(2), H264, prepare=prepare))
        assert video.pixel_aspect == aspect
        with write_video(tmp_path / "b.mp4", video) as add:
            add(next(iter(video)).image, 0)
        assert Video(tmp_path / "b.mp4").pixel_aspect == aspect


def test_odd_sizes_are_read_as_they_are_and_written_one_larger(tmp_path: Path) -> None:
    drawn = pictures(3, 47, 61)
    video = Video(write_clip(tmp_path / "a.mkv", drawn))
    with write_video(tmp_path / "b.mp4", video) as add:
        for frame in video:
            assert frame.image.shape == (47, 61, 3)
            add(frame.image, frame.time_s)
    assert (Video(tmp_path / "b.mp4").height, Video(tmp_path / "b.mp4").width) == (48, 62)


@pytest.mark.parametrize("codec", ["libx264", "mpeg4"])
def test_written_colours_are_those_of_the_pictures_and_named(tmp_path: Path, codec: str) -> None:
    colours = np.array([[200, 60, 40], [60, 180, 90], [30, 60, 200], [128, 128, 128], [250, 250, 250]], np.uint8)
    picture = np.tile(colours.repeat(32, axis=0), (96, 1, 1))
    video = Video(write_clip(tmp_path / "a.mkv", [picture] * 3))
    with write_video(tmp_path / "b.mp4", video, codec) as add:
        for frame in video:
            add(frame.image, frame.time_s)
    with av.open(tmp_path / "b.mp4") as container:
        stored = next(container.decode(video=0))
        assert (stored.colorspace, stored.color_range) == (1, 1)  # ITU-T H.273: BT.709, 16 to 235
    found = next(iter(Video(tmp_path / "b.mp4"))).image[48, 16::32]
    np.testing.assert_allclose(found.astype(float), colours, atol=LEVELS)


def test_a_cut_off_video_keeps_what_is_there_and_says_what_is_missing(tmp_path: Path) -> None:
    drawn = pictures(100)
    whole = write_clip(tmp_path / "a.mkv", drawn).read_bytes()
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(whole[: len(whole) // 2])
    video = Video(cut)
    found = images(video)
    assert 40 < len(found) < 55
    np.testing.assert_array_equal(found, drawn[: len(found)])
    early = 4 - len(found) / 25
    assert f"it ends at {len(found) / 25:.1f} s, {early:.1f} s before it should" in video.damage


def test_a_frame_of_damaged_bytes_is_left_out_and_the_others_stay(tmp_path: Path) -> None:
    drawn = pictures(20)
    stored = bytearray(write_clip(tmp_path / "a.mov", drawn).read_bytes())
    starts = [place for place in range(len(stored)) if stored.startswith(b"\x89PNG", place)]
    stored[starts[7] : starts[7] + 40] = bytes(40)
    (tmp_path / "b.mov").write_bytes(stored)
    video = Video(tmp_path / "b.mov")
    np.testing.assert_array_equal(images(video), drawn[:7] + drawn[8:])
    assert "1 damaged frames are left out" in video.damage


def test_what_is_no_video_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("no video\n" * 500)
    (tmp_path / "text.txt").write_text("no video\n" * 500)
    cut = write_clip(tmp_path / "whole.mp4", pictures(20), H264).read_bytes()
    (tmp_path / "cut.mp4").write_bytes(cut[: len(cut) // 2])  # an MP4 has its index at the end
    silence = add_sound(write_clip(tmp_path / "a.mkv", pictures(2)), tmp_path / "b.mkv")
    with av.open(silence) as source, av.open(tmp_path / "sound.wav", "w") as sound:
        track = sound.add_stream_from_template(source.streams.audio[0])
        for packet in source.demux(source.streams.audio[0]):
            packet.stream = track
            sound.mux(packet)
    for name in ("empty.mp4", "text.mp4", "text.txt", "cut.mp4", "sound.wav", "missing.mp4", ".", "nowhere:x"):
        with pytest.raises(InputError, match=r"cannot be read as a video: \w") as caught:
            Video(f"{tmp_path}/{name}" if name != "nowhere:x" else name)
        assert str(caught.value).startswith(f"{tmp_path}/{name}" if name != "nowhere:x" else name)


def test_sound_is_noticed(tmp_path: Path) -> None:
    video = Video(add_sound(write_clip(tmp_path / "a.mkv", pictures(25)), tmp_path / "b.mkv"))
    assert video.has_sound
    assert len(images(video)) == 25


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_the_masks_are_those_of_the_single_frames(segmenter: Segmenter, tmp_path: Path, workers: int) -> None:
    drawn = pictures(12)
    found = list(segment_frames(segmenter, Video(write_clip(tmp_path / "a.mkv", drawn)), workers))
    assert [frame.number for frame in found] == list(range(12))
    np.testing.assert_allclose([frame.time_s for frame in found], np.arange(12) / 25, atol=1e-9)
    for frame, picture in zip(found, drawn, strict=True):
        np.testing.assert_array_equal(frame.found.probability, segmenter.segment(picture).probability)


def test_real_frames_are_outlined_as_the_images_they_were(segmenter: Segmenter, shared: Path, tmp_path: Path) -> None:
    files = sorted((shared / "datasets" / "kvasir-seg" / "images").glob("*.jpg"))
    alone = [segmenter.segment(file) for file in files[:40]]
    size = alone[0].mask.shape
    alone = [each for each in alone if each.mask.shape == size][:8]
    clip = write_clip(tmp_path / "a.mkv", [each.image for each in alone])
    for frame, each in zip(segment_frames(segmenter, Video(clip)), alone, strict=True):
        np.testing.assert_array_equal(frame.found.mask, each.mask)
    assert len(alone) > 2


def test_memory_stays_flat_however_slow_the_caller_is(segmenter: Segmenter, tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", pictures(10, 480, 640) * 20, ("mpeg4", "yuv420p"))
    frames = segment_frames(segmenter, Video(clip))
    before_mb = 0.0
    for frame in frames:
        if frame.number == 50:
            before_mb = resident_mb()
            time.sleep(0.3)  # in which a queue without bounds would fill
        if frame.number > 50 and frame.number % 50 == 0:
            assert resident_mb() - before_mb < MORE_MB
    assert frame.number == 199


def resident_mb() -> float:
    return int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1]) * getpagesize() / 1e6


def test_a_camera_drops_frames_and_never_falls_behind(segmenter: Segmenter) -> None:
    camera = Video(CAMERA)
    assert camera.live
    seen: list[tuple[int, float]] = []
    began = 0.0
    for frame in segment_frames(segmenter, camera):
        began = began or time.perf_counter() - frame.time_s
        seen.append((frame.number, time.perf_counter() - began - frame.time_s))
        time.sleep(0.06)
        if len(seen) == 12:
            break
    steps = np.diff([number for number, _ in seen])
    assert (steps > 0).all()
    assert np.median(steps) >= 5  # of the 100 frames a second, one in 0.06 s or more
    assert np.median([behind_s for _, behind_s in seen[-4:]]) < 0.25  # with a queue they would be 0.5 s old


def test_a_file_drops_nothing_for_a_slow_caller(segmenter: Segmenter, tmp_path: Path) -> None:
    numbers = []
    for frame in segment_frames(segmenter, Video(write_clip(tmp_path / "a.mkv", pictures(15)))):
        numbers.append(frame.number)
        time.sleep(0.02)
    assert numbers == list(range(15))


@pytest.mark.parametrize("source", ["a.mkv", CAMERA])
def test_who_stops_early_leaves_no_thread(segmenter: Segmenter, tmp_path: Path, source: str) -> None:
    before = threading.active_count()
    clip = write_clip(tmp_path / "a.mkv", pictures(50))
    frames = segment_frames(segmenter, Video(clip if source == clip.name else source))
    assert isinstance(next(frames), SegmentedFrame)
    frames.close()
    del frames
    for _ in range(100):
        if threading.active_count() == before:
            return
        time.sleep(0.02)
    pytest.fail(f"{threading.active_count() - before} threads are left")


def test_a_failed_writing_leaves_what_was_there_before(tmp_path: Path) -> None:
    path = tmp_path / "b.mp4"
    path.write_text("earlier")
    video = Video(write_clip(tmp_path / "a.mkv", pictures(5)))

    def write() -> None:
        with write_video(path, video) as add:
            add(next(iter(video)).image, 0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write()
    assert path.read_text() == "earlier"
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a.mkv", "b.mp4"]


def test_what_cannot_be_written_is_said(tmp_path: Path) -> None:
    video = Video(write_clip(tmp_path / "a.mkv", pictures(2)))
    (tmp_path / "file").touch()
    for path, words in ((tmp_path / "b.webp", "is written as .mp4"), (tmp_path / "file" / "b.mp4", "cannot write")):
        with pytest.raises(OutputError, match=words), write_video(path, video):
            pass


def test_a_size_that_no_encoder_takes_is_an_error_that_leaves_nothing(tmp_path: Path) -> None:
    video = Video(write_clip(tmp_path / "a.mov", [np.zeros((16, 20_000, 3), np.uint8)]))  # H.264 ends at 16,384
    with pytest.raises(OutputError, match="20000 x 16"), write_video(tmp_path / "b.mp4", video) as add:
        add(next(iter(video)).image, 0)
    assert [path.name for path in tmp_path.iterdir()] == ["a.mov"]


def test_a_full_disk_is_an_error_that_leaves_nothing(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mkv", list(np.random.default_rng(0).integers(0, 256, (40, 96, 96, 3), np.uint8)))
    program = f"""
import resource
from lvunet.runtime.video import Video, write_video
video = Video({str(clip)!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, 40_000))
with write_video({str(tmp_path / "b.mp4")!r}, video) as add:
    for frame in video:
        add(frame.image, frame.time_s)
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert ended.stderr.splitlines()[-1].startswith("lvunet.errors.OutputError: cannot write")
    assert [path.name for path in tmp_path.iterdir()] == ["a.mkv"]


def test_without_pyav_the_error_says_what_to_install() -> None:
    program = "import sys; sys.modules['av'] = None; from lvunet.runtime.video import Video; Video('a.mp4')"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    last = ended.stderr.splitlines()[-1]
    assert last == "lvunet.errors.MissingDependency: video needs PyAV: pip install 'lvunet[video]'"
