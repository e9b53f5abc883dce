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
    assert len(said) >= 5


def test_the_demo_takes_the_users_own_folder_and_leaves_it_alone(tmp_path: Path) -> None:
    mine = tmp_path / "mine"
    write_phantoms(mine, 18, seed=2, size=(60, 80))
    before = {path: path.read_bytes() for path in mine.rglob("*.png")}
    demo.demo(tmp_path / "out", mine, lambda _: None)
    assert {path: path.read_bytes() for path in mine.rglob("*.png")} == before
    assert (tmp_path / "out" / "report.html").exists()
    assert not (tmp_path / "out" / "phantoms").exists()
