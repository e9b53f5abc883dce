"""The configuration: a file and flags, and a helpful word for every mistake."""

from pathlib import Path
from typing import Any

import pytest

from lvunet.errors import ConfigError
from lvunet.learn.config import TrainConfig
from lvunet.learn.recipe import RECIPES


def write(path: Path, text: str) -> Path:
    path.write_text(text, encoding="utf-8")
    return path


def test_flags_win_over_the_file_and_the_file_over_the_defaults(tmp_path: Path) -> None:
    config = TrainConfig.read(write(tmp_path / "c.toml", "epochs = 7\nsize = 128\n"), {"epochs": 3})
    assert (config.epochs, config.size, config.batch_size) == (3, 128, 8)


def test_an_unknown_key_is_answered_with_the_nearest_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"unknown key 'epoch'\. Did you mean 'epochs'"):
        TrainConfig.read(write(tmp_path / "c.toml", "epoch = 7\n"))


@pytest.mark.parametrize("text", ["epochs = 0", "size = 'big'", "augment = 'weak'", "deep_end = 1.5"])
def test_a_value_out_of_range_names_its_key(tmp_path: Path, text: str) -> None:
    with pytest.raises(ConfigError, match=text.split(" ")[0]):
        TrainConfig.read(write(tmp_path / "c.toml", text))


def test_broken_toml_and_a_missing_file_name_the_path(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"c\.toml"):
        TrainConfig.read(write(tmp_path / "c.toml", "epochs ="))
    with pytest.raises(ConfigError, match=r"none\.toml"):
        TrainConfig.read(tmp_path / "none.toml")


def test_the_word_none_means_no_weights_and_no_data_set(tmp_path: Path) -> None:
    config = TrainConfig.read(write(tmp_path / "c.toml", 'weights = "none"\ndataset = "none"\n'))
    assert config.weights is None
    assert config.dataset is None


def test_the_defaults_are_the_protocol_of_the_paper() -> None:
    paper = TrainConfig()
    assert (paper.size, paper.epochs, paper.batch_size, paper.optimizer) == (256, 300, 8, "adam")
    assert (paper.learning_rate, paper.final_learning_rate, paper.weight_decay) == (1e-3, 1e-5, 1e-4)
    assert (paper.deep, paper.augment, paper.weights) == ("paper", "paper", "imagenet")


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[2].glob("configs/*.toml")), ids=lambda path: path.name)
def test_every_shipped_configuration_reads(path: Path) -> None:
    assert TrainConfig.read(path).epochs > 0


def test_the_last_epoch_must_be_one_that_is_validated(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"c\.toml: .*epochs \(7\) must be a multiple of validate_every \(2\)"):
        TrainConfig.read(write(tmp_path / "c.toml", "epochs = 7\nvalidate_every = 2\n"))


def test_a_recipe_is_changed_by_the_file_and_the_file_by_a_flag(tmp_path: Path) -> None:
    path = write(tmp_path / "c.toml", 'recipe = "ours"\nweight_decay = 0.1\nepochs = 50\n')
    config = TrainConfig.read(path, {"epochs": 9})
    assert (config.augment, config.optimizer) == ("strong", "adamw")
    assert (config.weight_decay, config.epochs) == (0.1, 9)
    assert TrainConfig.read(path, {"recipe": "paper"}).augment == "paper"


def test_a_table_of_a_recipe_holds_for_that_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "c.toml", 'recipe = "ours"\nepochs = 50\n[ours]\nloss = "batch"\nepochs = 60\n')
    ours, paper = TrainConfig.read(path), TrainConfig.read(path, {"recipe": "paper"})
    assert (ours.loss, ours.epochs) == ("batch", 60)
    assert paper == TrainConfig(epochs=50)
    assert TrainConfig.read(path, {"epochs": 9}).epochs == 9
    with pytest.raises(ConfigError, match=r"unknown key 'los'\. Did you mean 'loss'"):
        TrainConfig.read(write(tmp_path / "d.toml", '[ours]\nlos = "batch"\n'))


@pytest.mark.parametrize("path", sorted(Path(__file__).parents[2].glob("configs/*.toml")), ids=lambda path: path.name)
def test_no_configuration_changes_what_the_preset_teaches(path: Path) -> None:
    taught = TrainConfig.read(path, {"recipe": "paper"}).model_dump()
    assert {key for key, value in TrainConfig() if taught[key] != value} <= {"dataset", "epochs"}


def test_an_unknown_recipe_is_answered_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"no recipe 'papers'.*Did you mean 'paper'"):
        TrainConfig.read(None, {"recipe": "papers"})


@pytest.mark.parametrize("recipe", RECIPES)
def test_every_recipe_is_a_valid_configuration_that_ends_foldable(recipe: str) -> None:
    assert TrainConfig.read(None, {"recipe": recipe}).foldable


@pytest.mark.parametrize(
    ("values", "folder"),
    [
        ({"dataset": "busi", "recipe": "ours", "seed": 2}, "runs/busi-paper-0-ours-s2"),
        ({"dataset": "here/mine.csv", "split_seed": 1, "protocol": "grouped"}, "runs/mine-grouped-1-paper-s0"),
        ({"data": Path("somewhere/photos")}, "runs/photos-paper-0-paper-s0"),
        ({"dataset": "busi", "out": Path("here")}, "here"),
    ],
)
def test_a_run_has_a_folder_of_its_own_for_every_choice(values: dict[str, Any], folder: str) -> None:
    assert TrainConfig.read(None, values).folder == Path(folder)


def test_init_ends_deep_training_and_the_word_none_is_no_init() -> None:
    assert TrainConfig.read(None, {"init": "polyp"}).deep == "done"
    assert TrainConfig.read(None, {"init": "none"}).deep == "paper"


def test_a_peer_goes_on_from_no_model_of_ours() -> None:
    with pytest.raises(ConfigError, match="init, teacher and deep_supervision are for lv-unet, not for monai-unet"):
        TrainConfig.read(None, {"init": "polyp", "network": "monai-unet"})
