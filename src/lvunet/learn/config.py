"""The configuration of a training run: one model gives the TOML file, the command-line flags and their help."""

import tomllib
from itertools import chain
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_serializer, model_validator

from lvunet.card import LVUNET
from lvunet.errors import ConfigError, did_you_mean
from lvunet.learn.recipe import RECIPES
from lvunet.learn.schedule import DeepTraining

MANIFEST, LOG, LAST, BEST = "manifest.json", "metrics.csv", "last.ckpt", "best.safetensors"  # files of a run
ARTEFACT = "model.onnx"


class TrainConfig(BaseModel):
    """Everything that decides the result of a training run; the defaults are the preset `paper`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: str = Field("paper", description="paper, ours or tuned: the choices to start from; files and flags win")
    data: Path = Field(Path("data"), description="folder with images/ and masks/, or an unpacked official archive")
    dataset: str | None = Field(None, description="a known data set (`lvunet data list`) whose committed split is used")
    protocol: str = Field("paper", description="which committed split: paper or grouped")
    split_seed: int = Field(0, description="seed of the split")
    out: Path | None = Field(None, description="folder of the run, by default runs/SET-SPLIT-RECIPE-sSEED")

    network: str = Field(LVUNET, description="which network learns: LV-UNet, or a peer by its name")
    classes: int = Field(1, ge=1, description="1: foreground or not; K > 1: exclusive classes, 0 = background")
    grey: bool = Field(False, description="read the images as grey: a network of one channel")
    weights: str | None = Field("imagenet", description="backbone: imagenet (download), a file, or none (scratch)")
    size: int = Field(256, ge=32, description="side in pixels of the square that the network sees")
    init: str | None = Field(None, description="go on from a model: of the zoo by name, or a file; see deep = done")
    augment: Literal["paper", "strong", "none"] = Field("paper", description="augmentation preset")

    epochs: int = Field(300, ge=1)
    batch_size: int = Field(8, ge=1)
    optimizer: Literal["adam", "adamw"] = "adam"
    learning_rate: float = Field(1e-3, gt=0)
    final_learning_rate: float = Field(1e-5, ge=0)
    warmup: float = Field(0.0, ge=0, lt=1, description="fraction of training in which the learning rate rises")
    weight_decay: float = Field(1e-4, ge=0)
    loss: Literal["paper", "batch", "paper+batch", "structure"] = Field(
        "paper", description="0.5 BCE + Dice of an image, of the batch, or of both; or PraNet's, weighted at outlines"
    )
    deep_supervision: float = Field(0.0, ge=0, description="weight of the loss of the decoder's stages; 0 is off")
    teacher: tuple[Path, ...] = Field(
        (), description="trained networks, peers too, whose mean probability is learnt (distillation)"
    )
    teaching: float = Field(0.5, ge=0, le=1, description="share of the teachers in the loss")
    deep: DeepTraining = Field("paper", description="schedule of the slope; none: stays 0, not foldable; done: is 1")
    deep_end: float = Field(0.9, gt=0, le=1, description="fraction of training from which the slope is 1")
    ema: float = Field(0.0, ge=0, lt=1, description="decay of the moving average of the weights; 0 is off")
    validate_every: int = Field(1, ge=1, description="epochs from one validation, and one checkpoint, to the next")
    patience: int = Field(0, ge=0, description="stop after so many epochs without a better score; 0 is off")

    seed: int = 0
    deterministic: bool = Field(False, description="only algorithms that give the same bits each time")
    precision: Literal["32", "bf16"] = Field("32", description="bf16 pays on a GPU, not on a CPU")
    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: int = Field(1, ge=1, description="processes; more than one trains data-parallel")
    cuda_graphs: bool = Field(False, description="on a GPU: launch the network's kernels as one graph")

    @model_validator(mode="before")
    @classmethod
    def _none_is_a_word(cls, values: Any) -> Any:
        """TOML has no null: the word none for weights, dataset and init means None. One teacher needs no list."""
        chosen = {
            key: None if value == "none" and key in ("weights", "dataset", "init", "teacher") else value
            for key, value in values.items()
        }
        if isinstance(chosen.get("teacher", ()), str | Path | None):
            chosen["teacher"] = (chosen["teacher"],) if chosen["teacher"] else ()
        return chosen

    @field_serializer("teacher", when_used="json")
    def _no_teacher_is_null(self, teachers: tuple[Path, ...]) -> list[str] | None:
        return [str(path) for path in teachers] or None

    @model_validator(mode="after")
    def _keys_fit_together(self) -> Self:
        if self.epochs % self.validate_every:
            raise ValueError(f"epochs ({self.epochs}) must be a multiple of validate_every ({self.validate_every})")
        if self.network != LVUNET and (self.init or self.teacher or self.deep_supervision):
            raise ValueError(f"init, teacher and deep_supervision are for lv-unet, not for {self.network}")
        if self.cuda_graphs and self.deep_supervision:
            raise ValueError("a CUDA graph hides the decoder's stages: deep_supervision or cuda_graphs, not both")
        return self

    @property
    def folder(self) -> Path:
        """The folder of the run: checkpoints, logs, manifest."""
        data = Path(self.dataset).stem if self.dataset else self.data.resolve().name
        return self.out or Path("runs") / f"{data}-{self.protocol}-{self.split_seed}-{self.recipe}-s{self.seed}"

    @property
    def channels(self) -> int:
        """Channels of an image that the network takes."""
        return 1 if self.grey else 3

    @property
    def foldable(self) -> bool:
        """Whether the run ends with a network that `fold` accepts."""
        return self.deep != "none" and self.network == LVUNET

    @classmethod
    def read(cls, path: Path | None, overrides: dict[str, Any] | None = None) -> Self:
        """Return the recipe that file or `overrides` name, changed by the file, then by `overrides`.

        A table of the file that has the name of a recipe, such as [ours], holds for that recipe alone, so that the
        preset `paper` stays what it is. Raises `ConfigError`, also for an unknown key or recipe.
        """
        try:
            values = tomllib.loads(path.read_text(encoding="utf-8")) if path else {}
        except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            raise ConfigError(f"cannot read the configuration {path}: {why}.") from error
        where = str(path or "the flags")
        recipe = str((overrides or {}).get("recipe", values.get("recipe", "paper")))
        own = {name: values.pop(name) for name in RECIPES if isinstance(values.get(name), dict)}
        for key in {*values, *chain(*own.values())} - cls.model_fields.keys():
            raise ConfigError(f"{where}: unknown key {key!r}." + did_you_mean(key, cls.model_fields))
        chosen = {**values, **own.get(recipe, {}), **(overrides or {})}
        if recipe not in RECIPES:
            raise ConfigError(f"{where}: no recipe {recipe!r}." + did_you_mean(recipe, RECIPES))
        try:
            went_on = chosen.get("init") not in (None, "none")
            start = {"deep": "done"} if went_on else {}  # that model has had its deep training
            return cls.model_validate({**RECIPES[recipe], **start, **chosen})
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"]))
            what = f"{key} = {first['input']!r}: " if key else ""
            raise ConfigError(f"{where}: {what}{first['msg']}.") from error
