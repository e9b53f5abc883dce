"""The tables of the README: our recipe against the preset, and the nearest peer."""

from typing import Any

from results import readme

from lvunet.learn.config import TrainConfig

MADE = {"commit": "abc", "date": "2026-01-02", "machine": {"cpu": "CPU", "cores": 2}}


def trained(label: str, seed: int, dice: float, **taught: Any) -> dict[str, Any]:
    """A record of a training on ISIC 2016, whose two images have that Dice."""
    run = {"recipe": label, "seed": seed, "epochs": 40, "images_seen": 23_960, "dataset": "isic2016"}
    where = {"split": "paper-0 test", "model": label, "training": {"config": {"dataset": "isic2016", **taught}}}
    images = [{"id": key, "group": "", "dice": dice} for key in "ab"]
    score = {"mean": dice, "low": dice, "high": dice, "n": 2, "clusters": 2}
    return {**run, **where, "images": images, "metrics": {"dice": score}, **MADE}


def test_the_front_page_pools_the_seeds_of_the_recipe_in_configs_and_leaves_all_others_out() -> None:
    ours = TrainConfig.read(readme.CONFIGS / "isic2016.toml").model_dump(mode="json")
    since = readme.OF_A_RUN | {"deep_supervision"}  # a key that records of before have not, of which the default counts
    taught = {key: value for key, value in ours.items() if key not in since}
    records = [trained("ours", 0, 0.92, **taught), trained("ours", 1, 0.94, **taught)]
    records += [trained("paper", seed, 0.9, recipe="paper") for seed in (0, 1)]
    records.append(trained("ours-size", 0, 0.5, **{**taught, "size": 384}))
    records.append(trained("ours-deep_supervision", 0, 0.5, **taught, deep_supervision=0.5))
    (row,) = [line for line in readme.against_preset(records).splitlines() if line.startswith("| isic2016")]
    cells = [cell.strip() for cell in row.strip("|").split("|")]
    assert cells[1:6] == ["40", "2", "4 in 2", "0.930", "0.900"]
    assert cells[6:] == ["+0.0300 (0.0300 to 0.0300)", "yes"]


def test_the_nearest_peer_is_the_fastest_of_the_others_in_any_run() -> None:
    runs = [{"a": 0.5, "lv-unet": 1.0, "b": 0.25}, {"lv-unet": 1.0, "c": 0.8}]
    records = [
        {"latencies": [{"name": f"{name} in onnx", "times_as_fast": fast} for name, fast in run.items()]}
        for run in runs
    ]
    assert readme.nearest_peers(records) == {"onnx": "1.25 (c)"}
