"""Takes training runs through a narrow gate: `python results/bundle.py pack RUNS TO`, `... unpack FILES --out RUNS`.

A lent machine gives back at most 8 files of 16 MiB, 64 MiB in all. So of each run go the network that it kept, its
manifest and its log, into tar files of that size; what was never bundled first, so that packing again takes the rest.
"""

import sys
import tarfile
from pathlib import Path
from shutil import copyfile

from cyclopts import App

from lvunet.errors import EmptyInput, InputError, LVUNetError
from lvunet.image import atomic_write
from lvunet.learn.config import BEST, LOG, MANIFEST
from lvunet.screen import complain, say

FILES = (BEST, MANIFEST, LOG)
MATRIX, BUNDLED = "matrix.json", ".bundled"
PARTS, PART_BYTES = 4, 15.5 * 2**20  # which leaves 2 MiB for other files
GNU = tarfile.GNU_FORMAT  # one header a file
TAR_END = 2 * tarfile.BLOCKSIZE + tarfile.RECORDSIZE  # at most
app = App(name="bundle", help=__doc__)


@app.command
def pack(runs: Path, to: Path, /) -> int:
    """Write the runs in a folder to TO/runs-0.tar and so on, and its matrix.json beside them.

    Exit code 1: some had no room; fetch what was written, then pack again.
    """
    ready = [run for run in sorted(runs.iterdir()) if all((run / name).exists() for name in FILES)]
    if not ready:
        raise EmptyInput(f"{runs}: no run has kept a network yet, so there is nothing to bundle.")
    parts: list[list[Path]] = [[] for _ in range(PARTS)]
    left_out: list[Path] = []
    for run in sorted(ready, key=lambda run: (run / BUNDLED).exists()):
        fits = (part for part in parts if sum(map(_in_tar, [*part, run])) + TAR_END <= PART_BYTES)
        next(fits, left_out).append(run)
    for number, part in enumerate(filter(None, parts)):
        with atomic_write(to / f"runs-{number}.tar") as partial, tarfile.open(partial, "w", format=GNU) as tar:
            for run in part:
                for name in FILES:
                    tar.add(run / name, f"{run.name}/{name}")
        for run in part:
            (run / BUNDLED).touch()
        say(f"{to}/runs-{number}.tar: {', '.join(run.name for run in part)}")
    if (runs / MATRIX).exists():
        copyfile(runs / MATRIX, to / MATRIX)
    for run in left_out:
        complain(f"{run.name}: no room")
    return int(bool(left_out))


@app.command
def unpack(*files: Path, out: Path) -> None:
    """Take the runs out of the files that `pack` wrote; a run that is there already is written anew.

    Args:
        out: The folder of the runs.
    """
    for file in files:
        try:
            with tarfile.open(file) as tar:
                tar.extractall(out, filter="data")
                say(f"{file}: {', '.join(sorted({name.partition('/')[0] for name in tar.getnames()}))}")
        except tarfile.TarError as error:
            raise InputError(f"{file} is no bundle of runs: {error}.") from error


def _in_tar(run: Path) -> int:
    """Return the bytes that a run takes in a tar file: of each file a header and whole blocks."""
    block = tarfile.BLOCKSIZE
    return sum(block + -(-(run / name).stat().st_size // block) * block for name in FILES)


if __name__ == "__main__":
    try:
        sys.exit(app(result_action="return_value"))
    except (LVUNetError, OSError) as error:
        complain(str(error))
        sys.exit(2)
