"""Where a number comes from: the commit, the day, the machine and the versions that it was measured with."""

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGES = (
    *("lvunet", "numpy", "pillow", "onnxruntime", "scipy", "torch", "torchvision"),
    *("onnx", "openvino", "nncf", "executorch", "torchao", "ai-edge-litert", "litert-torch", "ncnn", "pnnx"),
    *("segmentation-models-pytorch", "monai"),
)

PACKAGE = Path(__file__).parents[1] / "__init__.py"


@dataclass(frozen=True)
class Machine:
    """What a measurement ran on; `cores` are those that this process may use."""

    cpu: str
    cores: int
    system: str
    python: str
    versions: dict[str, str]

    @property
    def sentence(self) -> str:
        """The machine in a few words."""
        return f"{self.cpu}, {self.cores} {'core' if self.cores == 1 else 'cores'}, {self.system}, Python {self.python}"


@dataclass(frozen=True)
class Provenance:
    """The commit of the code (`-dirty` if edited since, empty if not from a repository), the UTC date, the machine."""

    commit: str
    date: str
    machine: Machine


def provenance() -> Provenance:
    """Return the facts of here and now."""
    return Provenance(commit(), f"{datetime.now(UTC):%Y-%m-%d}", machine())


def machine() -> Machine:
    """Return the facts of this machine; packages that are not installed are left out."""
    return Machine(
        cpu=_cpu(),
        cores=_cores(),
        system=f"{platform.system()} {platform.machine()}",
        python=platform.python_version(),
        versions={name: found for name in PACKAGES if (found := _version(name))},
    )


def commit(source: Path = PACKAGE) -> str:
    """Return the commit that `source` is of; where git does not track it, what `LVUNET_COMMIT` says, or nothing.

    It ends in `-dirty` if a tracked file in its folder, or below, was edited since; but the models of the zoo are no
    code, and records name them by their hash.
    """

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(source.parent), *arguments]
        return subprocess.run(command, check=True, capture_output=True, text=True, timeout=10).stdout.strip()

    try:
        git("ls-files", "--error-unmatch", source.name)  # an installed copy may lie inside somebody else's repository
        edited = git("diff", "HEAD", "--name-only", "--", ".", ":(exclude)zoo")
        return git("rev-parse", "--short=12", "HEAD") + ("-dirty" if edited else "")
    except (OSError, subprocess.SubprocessError):
        return os.environ.get("LVUNET_COMMIT", "")  # of a copy without its repository, as on a lent machine


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
