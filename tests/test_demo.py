"""The demo, shortened: the whole path on phantoms, and on a folder of the user's."""

import json
from pathlib import Path

import pytest
from PIL import Image

from lvunet import demo
from lvunet.data.phantom import write_phantoms


@pytest.fixture(autouse=True)
def shortened(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo, "PHANTOMS", 21)
    monkeypatch.setattr(demo, "STEPS", 2)
    monkeypatch.setattr(demo, "SIZE", 64)


def test_the_demo_goes_from_pictures_to_a_report(tmp_path: Path) -> None:
    said: list[str] = []
    report = demo.demo(tmp_path / "demo", None, said.append)
    page = report.read_text(encoding="utf-8")
    assert "trained -&gt; folded" in page or "trained -> folded" in page
    assert "510,953" in page
    assert "934,545" in page
    assert "http://" not in page.replace("http://www.w3.org", "")
    scores = json.loads((tmp_path / "demo" / "scores.json").read_text(encoding="utf-8"))
    assert scores["n"] == len(list((tmp_path / "demo" / "masks").glob("*.png"))) > 3
    assert (tmp_path / "demo" / "model.onnx").exists()
    with Image.open(tmp_path / "demo" / "picture.png") as picture:
        assert picture.width > 64
    assert "<title>demo model on phantoms</title>" in page
    assert [line for line in said if line.startswith("drawing 21 phantoms")]
    assert "14 images to train on, 3 to choose the epoch by, 4 kept apart" in said
    assert said[-1].startswith("next: ")
    assert said[-1].endswith("lvunet segment your-photos/ -m polyp --overlays")


def test_phantoms_are_drawn_to_the_end_once(tmp_path: Path) -> None:
    said: list[str] = []
    write_phantoms(tmp_path, 20)  # and then it was interrupted
    demo.draw_phantoms(tmp_path, said.append)
    drawn = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")}
    assert len(drawn) == 2 * 21
    assert len(said) == 1
    demo.draw_phantoms(tmp_path, said.append)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*.png")} == drawn
    assert len(said) == 1


def test_the_demo_takes_the_users_own_folder_and_leaves_it_alone(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    write_phantoms(mine, 18, seed=2, size=(60, 80))
    before = {path: path.read_bytes() for path in mine.rglob("*.png")}
    said: list[str] = []
    demo.demo(tmp_path / "out", mine, said.append)
    assert f"-m {tmp_path / 'out' / 'model.onnx'} --overlays" in said[-1]
    assert {path: path.read_bytes() for path in mine.rglob("*.png")} == before
    assert (tmp_path / "out" / "report.html").exists()
    assert not (tmp_path / "out" / "phantoms").exists()
