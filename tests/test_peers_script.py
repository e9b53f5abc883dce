"""The table of peers: one network is added after another, on whatever machine, and held against LV-UNet."""

import json
from pathlib import Path
from typing import Any

import pytest
from results.peers import HERE, ROW, difference, evaluate, known, table

from lvunet.card import LVUNET, Card
from lvunet.data.manifest import load_split
from lvunet.errors import ConfigError
from lvunet.fold import fold
from lvunet.learn.config import TrainConfig
from lvunet.model import LVUNet, save_checkpoint


def record(name: str, *dice: float) -> dict[str, Any]:
    images = [{"id": str(at), "group": None, "dice": value} for at, value in enumerate(dice)]
    facts = dict.fromkeys((*ROW, "dataset", "split", "n", "intervals"), "said")
    config = TrainConfig(network=name).model_dump(mode="json")
    return facts | {"name": name, "images": images, "metrics": {"dice": sum(dice) / len(dice)}, "config": config}


def test_a_network_is_added_to_those_in_the_table_and_held_against_lvunet() -> None:
    first = table(record(LVUNET, 0.8, 0.9), {})
    rows = {row["name"]: row for row in first["networks"]}
    both = table(record("monai-unet", 0.7, 0.9), rows)
    own, peer = both["networks"]
    assert own == first["networks"][0]
    assert own["minus_lvunet"]["mean"] == 0
    assert peer["minus_lvunet"]["mean"] == pytest.approx(-0.05)
    assert peer["minus_lvunet"]["low"] == pytest.approx(-0.1)


def test_a_table_of_another_recipe_is_refused_and_stays(tmp_path: Path) -> None:
    file = tmp_path / "peers.json"
    assert known(file, TrainConfig()) == {}
    file.write_text(json.dumps(table(record(LVUNET, 0.8, 0.9), {})))
    assert [*known(file, TrainConfig(data=Path("elsewhere"), out=Path("there")))] == [LVUNET]
    with pytest.raises(ConfigError, match="another recipe"):
        known(file, TrainConfig(size=192))


def test_the_committed_table_goes_on_from_the_committed_recipe() -> None:
    common = TrainConfig.read(HERE / "peers.toml", {"data": Path("kvasir-seg")})
    assert len(known(HERE / "peers-kvasir-seg-paper-0-paper-s0-e8.json", common)) >= 5


def test_a_network_is_scored_folded_on_the_test_part_and_differences_draw_whole_sequences(
    shared: Path, tmp_path: Path
) -> None:
    data, split = shared / "datasets" / "cvc-colondb", load_split("cvc-colondb", "paper", 0)
    config = TrainConfig(network=LVUNET, data=data, dataset="cvc-colondb", size=32, out=tmp_path)
    network = LVUNet().eval()
    network.set_slope(1)
    save_checkpoint(tmp_path / "best.safetensors", network, Card(size=32, training={"epoch": 0, "val_dice": 0.0}))
    evaluate(config)
    record = json.loads((tmp_path / "scores.json").read_text())
    assert {image["id"] for image in record["images"]} == {*split.part("test")}
    assert record["parameters"] == sum(each.numel() for each in fold(network).parameters())
    assert record["multiply_adds"] == 157_070_080
    sequences = {split.groups[key] for key in split.part("test")}
    dice = {image["id"]: image["dice"] for image in record["images"]}
    assert difference(record, dice, dice).clusters == len(sequences) < len(dice)
