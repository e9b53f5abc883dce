"""The sidecar of an artefact: what was exported is recognised, and anything else is refused in one sentence."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lvunet.card import Card
from lvunet.errors import ArtefactError
from lvunet.runtime.sidecar import FORMAT, read_sidecar, sidecar, write_sidecar

CARD = Card(name="polyp", temperature=1.5, class_names=("polyp",), training={"seen": ["a"]})


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """An artefact of two files."""
    for suffix in (".xml", ".bin"):
        (tmp_path / f"model{suffix}").write_bytes(suffix.encode() * 1000)
    write_sidecar(tmp_path / "model.xml", CARD, [tmp_path / "model.bin"])
    return tmp_path / "model.xml"


def test_the_card_comes_back(model: Path) -> None:
    assert read_sidecar(model) == CARD


def test_an_artefact_that_is_a_folder_has_the_hash_of_each_file(tmp_path: Path) -> None:
    weights = tmp_path / "model.mlpackage" / "Data" / "weight.bin"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    (tmp_path / "model.mlpackage" / "Manifest.json").write_text("{}", encoding="utf-8")
    write_sidecar(tmp_path / "model.mlpackage", CARD)
    assert read_sidecar(tmp_path / "model.mlpackage").name == "polyp"
    weights.write_bytes(b"Weights")
    with pytest.raises(ArtefactError, match=r"weight\.bin is not the file that was exported"):
        read_sidecar(tmp_path / "model.mlpackage")


@pytest.mark.parametrize("suffix", [".xml", ".bin"])
def test_an_edited_file_is_refused(model: Path, suffix: str) -> None:
    path = model.with_suffix(suffix)
    data = bytearray(path.read_bytes())
    data[500] ^= 1  # one bit
    path.write_bytes(data)
    with pytest.raises(ArtefactError, match=rf"model\{suffix} is not the file that was exported: missing, edited"):
        read_sidecar(model)


def test_a_missing_companion_is_named(model: Path) -> None:
    model.with_suffix(".bin").unlink()
    with pytest.raises(ArtefactError, match=r"model\.bin is not the file .* copy it anew with all its files"):
        read_sidecar(model)


def test_without_a_sidecar_nobody_knows_what_it_is(model: Path) -> None:
    sidecar(model).unlink()
    with pytest.raises(ArtefactError, match=r"has no model\.xml\.json beside it"):
        read_sidecar(model)


def test_a_renamed_artefact_is_recognised_as_such(model: Path) -> None:
    renamed = model.with_name("other.xml")
    sidecar(model).rename(sidecar(renamed))
    model.rename(renamed)
    with pytest.raises(ArtefactError, match=r"is of model\.xml, model\.bin, not of other\.xml: renamed\?"):
        read_sidecar(renamed)


def test_a_newer_format_asks_for_an_upgrade(model: Path) -> None:
    stored = json.loads(sidecar(model).read_text(encoding="utf-8"))
    sidecar(model).write_text(json.dumps(stored | {"format": FORMAT + 1}), encoding="utf-8")
    with pytest.raises(ArtefactError, match=r"is of format 2: made by a newer lvunet\? Upgrade it"):
        read_sidecar(model)


@pytest.mark.parametrize(
    ("key", "change"),
    [("card", lambda card: card | {"threshold": 0.01}), ("sha256", lambda hashes: {"model.xml": hashes["model.xml"]})],
    ids=["another threshold", "a file that nobody checks"],
)
def test_an_edited_sidecar_is_refused(
    model: Path, key: str, change: Callable[[dict[str, Any]], dict[str, Any]]
) -> None:
    stored = json.loads(sidecar(model).read_text(encoding="utf-8"))
    sidecar(model).write_text(json.dumps(stored | {key: change(stored[key])}), encoding="utf-8")
    with pytest.raises(ArtefactError, match=r"model\.xml\.json is not as it was written"):
        read_sidecar(model)


CARD_VALUES = json.loads(CARD.to_json())


@pytest.mark.parametrize(
    "stored",
    [
        None,
        [],
        "words",
        {},
        {"format": "one", "card": CARD_VALUES, "sha256": {}},
        {"format": 1, "card": CARD_VALUES},
        {"format": 1, "card": CARD_VALUES, "sha256": ["model.xml"]},
        {"format": 1, "card": CARD_VALUES, "sha256": {}},
        {"format": 1, "card": CARD_VALUES, "sha256": {"model.xml": 5}},
        {"format": 1, "card": {"classes": 0}, "sha256": {}},
        {"format": 1, "card": {"of": "tomorrow"}, "sha256": {}},
    ],
)
def test_what_is_no_sidecar_is_refused(model: Path, stored: Any) -> None:
    sidecar(model).write_text(json.dumps(stored), encoding="utf-8")
    with pytest.raises(ArtefactError, match=r"model\.xml"):
        read_sidecar(model)


def test_bytes_are_no_sidecar(model: Path) -> None:
    sidecar(model).write_bytes(b"\xff{")
    with pytest.raises(ArtefactError, match="cannot be read"):
        read_sidecar(model)
