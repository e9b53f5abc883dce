"""What a model can be exported to: for each target the file, the packages, and how it is run."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Literal

from lvunet.errors import ConfigError, MissingDependency, did_you_mean

Precision = Literal["fp32", "fp16", "bf16", "int8"]
TargetName = Literal["onnx", "openvino", "executorch", "litert", "ncnn", "coreml", "torch"]

FOR_ALL = ("torch", "onnx", "onnxscript")  # what any export needs; every extra has them


@dataclass(frozen=True)
class Target:
    """A format to export to: `runtime` is the module that runs it, `converters` are those that make it."""

    name: TargetName
    suffix: str
    runs_on: str
    runtime: str
    converters: tuple[str, ...]
    extra: str  # of this package, which installs everything
    companions: tuple[str, ...] = ()  # suffixes of further files
    executed: bool = True  # whether it runs on this system, so that it can be proven
    square: bool = True  # whether it takes the network's size only
    inside: bool = False  # whether the card is in the file itself
    precisions: tuple[Precision, ...] = ("fp32",)
    quantizer: str | None = None  # the module that int8 needs besides
    beside: tuple[str, ...] = ()  # modules without which its runtime cannot load a file

    @property
    def modules(self) -> tuple[str, ...]:
        """All modules that an export in float32 needs, its own first."""
        return self.needed("fp32")

    @property
    def running(self) -> tuple[str, ...]:
        """All modules that running a file needs."""
        return (self.runtime, *self.beside)

    def needed(self, precision: Precision) -> tuple[str, ...]:
        """All modules that an export in a precision needs, its own first."""
        quantizer = (self.quantizer,) if precision == "int8" and self.quantizer else ()
        return tuple(dict.fromkeys((self.runtime, *self.converters, *FOR_ALL, *quantizer)))

    @property
    def install(self) -> str:
        """The command that installs everything."""
        return install(self.extra)


TARGETS: Mapping[str, Target] = {
    target.name: target
    for target in (
        Target(
            "onnx", ".onnx", "any computer, browsers", "onnxruntime", ("onnx", "onnxscript"), "train",
            square=False, inside=True, precisions=("fp32", "fp16", "int8"),
        ),
        Target(
            "openvino", ".xml", "Intel, AMD and Arm CPUs", "openvino", (), "openvino", (".bin",),
            precisions=("fp32", "fp16", "bf16", "int8"), quantizer="nncf",
        ),
        Target(
            "executorch", ".pte", "phones, embedded", "executorch", (), "executorch",
            precisions=("fp32", "int8"), quantizer="torchao", beside=("torch",),
        ),
        Target(
            "litert", ".tflite", "Android, embedded", "ai_edge_litert", ("litert_torch",), "litert",
            precisions=("fp32", "int8"), quantizer="ai_edge_quantizer",
        ),
        Target("ncnn", ".ncnn.param", "phones, single-board computers", "ncnn", ("pnnx",), "ncnn", (".bin",)),
        Target("coreml", ".mlpackage", "Apple's systems", "coremltools", (), "coreml", executed=False),
        Target("torch", ".pt2", "PyTorch without this network's code", "torch", (), "train"),
    )
}  # fmt: skip


def wanted(names: Sequence[str], precision: Precision = "fp32") -> tuple[Target, ...]:
    """Return the targets of these names, each once, if everything is there that they need.

    Raises `ConfigError` for another word, for none, and for a precision that one of them has not, and
    `MissingDependency` with the command that installs the rest.
    """
    if not names:
        raise ConfigError(f"name at least one target, such as --to onnx.{did_you_mean('', TARGETS)}")
    if unknown := next((name for name in names if name not in TARGETS), None):
        raise ConfigError(f"no target {unknown!r}.{did_you_mean(unknown, TARGETS)}")
    targets = tuple(TARGETS[name] for name in dict.fromkeys(names))
    lacking: dict[str, Target] = {}  # by module
    for target in targets:
        if precision not in target.precisions:
            raise ConfigError(f"--to {target.name} has no {precision}, but {', '.join(target.precisions)}.")
        lacking |= dict.fromkeys(absent(target.needed(precision)), target)
    if lacking:
        these, extras = (dict.fromkeys(getattr(each, key) for each in lacking.values()) for key in ("name", "extra"))
        raise MissingDependency(f"--to {' '.join(these)} needs {', '.join(lacking)}: {install(*extras)}.")
    return targets


def install(*extras: str) -> str:
    """Return the command that installs extras of the package."""
    return f"pip install 'lvunet[{','.join(extras)}]'"


def absent(modules: Sequence[str]) -> list[str]:
    """Return those modules that are not installed."""
    return [module for module in modules if find_spec(module) is None]
