"""Which targets are installed and work: their packages are imported, or a whole export is done, one process each."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, packages_distributions, version
from pathlib import Path
from tempfile import TemporaryDirectory

from lvunet.errors import LVUNetError
from lvunet.export.targets import TARGETS, Target
from lvunet.image import UInt8

IMPORT_LIMIT_S = 120.0  # a cold import of the largest, on a slow disk
SPECIMEN = "polyp"


@dataclass(frozen=True)
class Health:
    """What is known of one target; `verdict` is a word, or the command that installs it."""

    target: str
    runs_on: str
    versions: str
    verdict: str
    error: str = ""


def examine(images: Sequence[UInt8] = ()) -> Iterator[Health]:
    """Examine one target after another: by importing its packages or, given images, by a whole export with proof."""
    for target in TARGETS.values():
        if target.missing:
            verdict, error = f"pip install 'lvunet[{target.extra}]'", ""
        else:
            error = _exported(target, images) if images else _imported(target)
            well = "proven" if images and target.executed else "works"
            verdict = "broken" if error else well if target.executed else "converts; runs elsewhere"
        yield Health(target.name, target.runs_on, _versions(target), verdict, error)


def _imported(target: Target) -> str:
    """What went wrong when the packages were imported, or nothing."""
    command = [sys.executable, "-c", f"import {', '.join(target.modules)}"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=IMPORT_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"its packages could not be imported in {IMPORT_LIMIT_S:g} s"
    return "" if done.returncode == 0 else (done.stderr.strip().splitlines() or ["it died"])[-1]


def _exported(target: Target, images: Sequence[UInt8]) -> str:
    from lvunet.export.deploy import deploy

    with TemporaryDirectory() as folder:
        try:
            deploy(SPECIMEN, [target.name], Path(folder), images)
        except LVUNetError as error:
            return str(error)
    return ""


def _versions(target: Target) -> str:
    """The installed packages of a target with their versions."""
    packages = packages_distributions()
    found = []
    for module in target.modules:
        try:
            name = packages[module][0]
            found.append(f"{name} {version(name)}")
        except (KeyError, PackageNotFoundError):
            continue
    return ", ".join(found)
