"""What a model can be exported to: for each target the file, the packages, and how far it may be off."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from lvunet.errors import ConfigError, MissingDependency, did_you_mean

TargetName = Literal["onnx", "openvino", "executorch", "litert", "ncnn", "coreml", "torch"]


@dataclass(frozen=True)
class Target:
    """A format to export to; `modules` must be there to convert, and `extra` installs them."""

    name: TargetName
    suffix: str
    runs_on: str
    modules: tuple[str, ...]
    extra: str
    companions: tuple[str, ...] = ()  # suffixes of further files
    executed: bool = True  # whether it runs on this system, so that it can be proven
    square: bool = True  # whether it takes the network's size only
    inside: bool = False  # whether the card is in the file itself

    @property
    def missing(self) -> tuple[str, ...]:
        """The modules that are not installed."""
        return tuple(module for module in self.modules if find_spec(module) is None)

    def needed(self) -> None:
        """Raise `MissingDependency` unless everything is installed."""
        if self.missing:
            raise MissingDependency(
                f"--to {self.name} needs {' and '.join(self.missing)}: pip install 'lvunet[{self.extra}]'."
            )


TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target(
            "onnx", ".onnx", "ONNX Runtime: any computer, browsers", ("onnx", "onnxscript"), "train",
            square=False, inside=True,
        ),
        Target("openvino", ".xml", "Intel, AMD and Arm CPUs", ("openvino",), "openvino", (".bin",)),
        Target("executorch", ".pte", "phones, embedded", ("executorch",), "executorch"),
        Target("litert", ".tflite", "Android, embedded", ("litert_torch", "ai_edge_litert"), "litert"),
        Target("ncnn", ".param", "phones, single-board computers", ("ncnn", "pnnx"), "ncnn", (".bin",)),
        Target("coreml", ".mlpackage", "Apple's systems", ("coremltools",), "coreml", executed=False),
        Target("torch", ".pt2", "PyTorch without this package's code", ("torch",), "train"),
    )
}  # fmt: skip


def target(name: str) -> Target:
    """Return a target by its name; raises `ConfigError` for another word."""
    if name not in TARGETS:
        raise ConfigError(f"no target {name!r}.{did_you_mean(name, TARGETS)}")
    return TARGETS[name]
