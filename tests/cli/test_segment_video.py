"""`lvunet segment` of videos and cameras, as a user meets it."""

import csv
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from clips import add_sound, pictures, write_clip
from lvunet.cli.video import rates
from lvunet.image import image_size
from lvunet.runtime.segmenter import load
from lvunet.runtime.video import Video

Lvunet = Callable[..., tuple[int, str, str]]
CAMERA = "lavfi:testsrc=size=64x48:rate=50,realtime"
ROUNDED = 5e-7  # of a number below 1 with six significant digits
LEVELS = 8  # of 255 in the mean: what H.264 at CRF 20 costs a small, noisy picture


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_video_becomes_a_video_with_the_outline_and_a_table_of_areas(lvunet: Lvunet, tmp_path: Path) -> None:
    drawn = pictures(30, 96, 128)
    clip = write_clip(tmp_path / "clip.mkv", drawn)
    code, said, _ = lvunet("segment", clip, "-m", "polyp", "-o", tmp_path / "out" / "film.mp4")
    assert code == 0
    assert re.search(r"30 frames segmented, \d+\.\d frames/s \(slow tenth: \d+\.\d\): .*film\.mp4\.", said)
    assert names(tmp_path / "out") == ["film.areas.csv", "film.mp4"]
    segmenter = load("polyp", threads=1)
    table = rows(tmp_path / "out" / "film.areas.csv")
    for number, (row, frame) in enumerate(zip(table, Video(tmp_path / "out" / "film.mp4"), strict=True)):
        found = segmenter.segment(drawn[number])
        assert (int(row["frame"]), float(row["time_s"])) == (number, number / 25)
        assert (int(row["area_px"]), row["area_fraction"]) == (found.area_px, f"{found.area_fraction:.6g}")
        assert float(row["expected_dice"]) == pytest.approx(found.expected_dice, abs=ROUNDED)
        assert np.abs(frame.image.astype(float) - found.overlay()).mean() < LEVELS


def test_a_folder_takes_the_mask_of_every_frame_and_the_overlays_if_asked(lvunet: Lvunet, tmp_path: Path) -> None:
    drawn = pictures(3)
    clip = write_clip(tmp_path / "clip.mkv", drawn)
    masks = ["000000.png", "000001.png", "000002.png", "areas.csv"]
    assert lvunet("segment", clip, "-m", "polyp", "-o", tmp_path / "out")[0] == 0
    assert names(tmp_path / "out") == masks
    expected = load("polyp", threads=1).segment(drawn[1]).mask * 255
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out" / "000001.png")), expected)
    assert lvunet("segment", clip, "-m", "polyp", "-o", tmp_path / "both", "--overlays")[0] == 0
    assert names(tmp_path / "both") == [*masks, "overlays.mp4"]


def test_sound_that_is_left_out_is_said(lvunet: Lvunet, tmp_path: Path) -> None:
    clip = add_sound(write_clip(tmp_path / "a.mkv", pictures(3)), tmp_path / "clip.mkv")
    assert "The sound is left out." in lvunet("segment", clip, "-m", "polyp", "-o", tmp_path / "film.mp4")[1]
    assert not Video(tmp_path / "film.mp4").has_sound


def test_of_a_cut_off_video_what_is_there_is_kept_and_the_exit_code_says_so(lvunet: Lvunet, tmp_path: Path) -> None:
    whole = write_clip(tmp_path / "whole.mkv", pictures(60)).read_bytes()
    (tmp_path / "cut.mkv").write_bytes(whole[: len(whole) // 2])
    code, _, complaint = lvunet("segment", tmp_path / "cut.mkv", "-m", "polyp", "-o", tmp_path / "film.mkv")
    assert code == 1
    assert "cut.mkv is damaged or cut off" in complaint
    frames = len(list(Video(tmp_path / "film.mkv")))
    assert 20 < frames < 40
    assert len(rows(tmp_path / "film.areas.csv")) == frames


@pytest.mark.parametrize(
    ("inputs", "output", "words"),
    [
        (["text.mp4"], "film.mp4", "text.mp4 cannot be read as a video"),
        (["missing.mp4"], "film.mp4", "missing.mp4 cannot be read as a video: No such file"),
        (["clip.mkv", "clip.mkv"], "film.mp4", "one video or camera at a time, not 2"),
        (["clip.mkv"], "film.webm", "a video is written as .mp4, .mov, .mkv"),
        (["clip.mkv"], "clip.mkv", "would overwrite it, an input"),
        (["clip.mkv"], "film.png", "give a folder"),
    ],
)
def test_a_mistake_is_answered_in_a_sentence_and_leaves_nothing(
    lvunet: Lvunet, tmp_path: Path, inputs: list[str], output: str, words: str
) -> None:
    write_clip(tmp_path / "clip.mkv", pictures(3))
    (tmp_path / "text.mp4").write_text("no video\n" * 300)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    code, _, complaint = lvunet(
        "segment", *(tmp_path / name for name in inputs), "-m", "polyp", "-o", tmp_path / output
    )
    assert code == 2
    assert words in complaint
    assert "Traceback" not in complaint
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def interrupted(source: object, output: Path) -> subprocess.CompletedProcess[str]:
    """Press Ctrl-C once three masks are there."""
    arguments = ["segment", str(source), "-m", "polyp", "-o", str(output), "--overlays"]
    command = [sys.executable, "-m", "lvunet.cli", *arguments]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while len(list(output.glob("*.png"))) < 3 and running.poll() is None:
        time.sleep(0.02)
    running.send_signal(signal.SIGINT)
    said, complaint = running.communicate(timeout=60)
    return subprocess.CompletedProcess(command, running.returncode, said, complaint)


def test_an_interrupted_file_leaves_whole_masks_but_no_half_video_and_no_half_table(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "clip.mp4", pictures(20, 240, 320) * 20, ("mpeg4", "yuv420p"))
    ended = interrupted(clip, tmp_path / "out")
    assert ended.returncode == 130, ended.stderr
    assert "interrupted. Whole files are kept" in " ".join(ended.stderr.split())
    left = names(tmp_path / "out")
    assert left == [f"{number:06}.png" for number in range(len(left))]
    assert {image_size(tmp_path / "out" / name) for name in left} == {(240, 320)}


def test_a_camera_is_recorded_until_it_is_interrupted(tmp_path: Path) -> None:
    ended = interrupted(CAMERA, tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert names(tmp_path)[-2:] == ["areas.csv", "overlays.mp4"]
    listed = [float(row["time_s"]) for row in rows(tmp_path / "areas.csv")]
    shown = [frame.time_s for frame in Video(tmp_path / "overlays.mp4")]
    both = min(len(listed), len(shown))  # Ctrl-C may come between the two
    assert 2 <= both <= max(len(listed), len(shown)) <= both + 1
    np.testing.assert_allclose(shown[:both], listed[:both], atol=1e-4)


def test_the_rate_is_that_of_windows_of_ten_frames_without_the_first() -> None:
    slow_start = [0.0, *(5 + 0.5 * number for number in range(10))]  # the tenth frame at 9.5 s
    steady = [9.5 + 0.1 * number for number in range(1, 91)]  # 9 windows of 10 frames/s
    slower = [18.5 + 0.2 * number for number in range(1, 11)]  # and one of 5, which is the slow tenth
    assert rates(slow_start + steady + slower) == "10.0 frames/s (slow tenth: 9.5)"  # 5 + 0.9 (10 - 5), interpolated
    assert rates([0.0, 0.5, 1.0]) == "2.0 frames/s (slow tenth: 2.0)"
