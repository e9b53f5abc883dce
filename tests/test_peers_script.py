"""The table of peers: one network is added after another, on whatever machine, and held against LV-UNet."""

import json
from pathlib import Path
from typing import Any

import pytest
from results.peers import HERE, ROW, known, table

from lvunet.benchmark.peers import LVUNET
from lvunet.errors import ConfigError
from lvunet.learn.config import TrainConfig


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
