"""Which targets are installed and work: their packages are imported, or a whole export is done, one process each."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.metadata import packages_distributions, version
from pathlib import Path
from tempfile import TemporaryDirectory

from lvunet.errors import LVUNetError
from lvunet.export.targets import TARGETS, Target, absent
from lvunet.image import UInt8

IMPORT_LIMIT_S = 120.0  # a cold import of the largest, on a slow disk
SPECIMEN = "polyp"


@dataclass(frozen=True)
class Health:
    """What is known of one target; `verdict` says what it can do here, and the command that installs the rest."""

    target: str
    runs_on: str
    versions: str
    verdict: str
    error: str = ""
    int8: str = ""  # what it lacks for that, and the command, where all else is there


def examine(images: Sequence[UInt8] = ()) -> Iterator[Health]:
    """Examine one target after another: by importing its packages or, given images, by a whole export with proof."""
    for target in TARGETS.values():
        error = int8 = ""
        if not absent(target.modules):
            error = _exported(target, images) if images else _imported(target.modules)
            verdict = ("proven" if images else "works") if target.executed else "exports; runs elsewhere"
            if lacking := absent(target.needed("int8")):
                verdict += ", without int8"
                int8 = f"needs {', '.join(lacking)}: {target.install}"
        elif target.executed and not absent(target.running):
            error = _imported(target.running)
            verdict = f"runs; to export: {target.install}"
        else:
            verdict = target.install
        yield Health(target.name, target.runs_on, _versions(target), "broken" if error else verdict, error, int8)


def _imported(modules: Sequence[str]) -> str:
    """What went wrong when the modules were imported, or nothing."""
    command = [sys.executable, "-P", "-c", f"import {', '.join(modules)}"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=IMPORT_LIMIT_S, check=False)
    except subprocess.TimeoutExpired:
        return f"its packages could not be imported in {IMPORT_LIMIT_S:g} s"
    return "" if ended.returncode == 0 else (ended.stderr.strip().splitlines() or [f"code {ended.returncode}"])[-1]


def _exported(target: Target, images: Sequence[UInt8]) -> str:
    from lvunet.export.deploy import deploy

    with TemporaryDirectory() as folder:
        try:
            deploy(SPECIMEN, [target.name], Path(folder), images)
        except LVUNetError as error:
            return str(error)
    return ""


def _versions(target: Target) -> str:
    """The installed packages of a target alone with their versions."""
    own = (target.runtime, *target.converters)
    names = dict.fromkeys(_packages()[module][0] for module in own if module in _packages() and not absent([module]))
    return ", ".join(f"{name} {version(name)}" for name in names)


@cache
def _packages() -> dict[str, list[str]]:
    """The packages of each module; looking is slow."""
    return dict(packages_distributions())
