"""Many files: decoded, segmented and written in a few threads, in order, whatever is wrong with some of them."""

import csv
import ctypes
import os
import platform
from collections import deque
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import astuple, dataclass, fields, replace
from pathlib import Path
from threading import Lock

from lvunet.errors import EmptyInput, InputError, OutputError
from lvunet.image import atomic_write, find_images, image_size, write_image
from lvunet.runtime.segmenter import LARGE_PX, Segmenter

AREAS = "areas.csv"
M_MMAP_THRESHOLD = -3  # malloc.h


@dataclass(frozen=True)
class FileResult:
    """One image file: where its mask is and what it covers, or why there is none."""

    file: Path
    mask: Path | None = None
    overlay: Path | None = None
    height: int | None = None
    width: int | None = None
    area_px: int | None = None
    area_fraction: float | None = None  # of the image, 0 to 1
    expected_dice: float | None = None  # an estimate: see `Segmentation.expected_dice`
    error: str = ""


@dataclass(frozen=True)
class _Job:
    file: Path
    mask: Path
    overlay: Path | None


def segment_files(
    segmenter: Segmenter,
    inputs: Sequence[str | Path],
    output: str | Path,
    overlays: str | Path | None = None,
    workers: int | None = None,
) -> Generator[FileResult, None, None]:
    """Segment files, folders (to any depth) and globs; write one `output`/<name>.png each, and a table, areas.csv.

    The files of a folder keep their place in it. Where two masks would have one name, the later becomes <name>-2.png:
    see `FileResult.mask`. With `overlays`, a folder, the images with their masks go there under the same names.
    A file that cannot be used gives a result with `error`, and the rest goes on. Results come in order; the table
    appears, whole, after the last. A segmenter of one thread makes best use of the `workers`, one a core by default.

    The table names what is below it from where it lies, all else in full. Its column expected_dice is the Dice that
    masks of like certainty had on the validation images of the training: an estimate, not valid for images of another
    kind, and empty where the model was not calibrated.

    Raises `EmptyInput` for an input without images, and `OutputError` where a result cannot be written.
    """
    jobs = _plan(inputs, Path(output), None if overlays is None else Path(overlays))
    return _run(segmenter, jobs, Path(output) / AREAS, workers or cores())


def cells(*values: object) -> list[object]:
    """Return values as a table of areas has them: numbers with a fraction by six significant digits."""
    return [f"{value:.6g}" if isinstance(value, float) else value for value in values]


def cores() -> int:
    """Return how many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _plan(inputs: Sequence[str | Path], output: Path, overlays: Path | None) -> list[_Job]:
    """Give every image its own names, before anything is written."""
    jobs: list[_Job] = []
    taken: set[str] = set()
    for file, name in _named(inputs, [folder.resolve() for folder in (output, overlays) if folder]).items():
        unique, copies = name, 1
        while str(unique).casefold() in taken:  # some file systems do not tell A from a
            copies += 1
            unique = name.with_name(f"{name.name}-{copies}")
        taken.add(str(unique).casefold())
        target = unique.with_name(f"{unique.name}.png")
        jobs.append(_Job(file, output / target, overlays / target if overlays else None))
    targets = [path.resolve() for job in jobs for path in (job.mask, job.overlay) if path]
    doubled = len(targets) - len(set(targets))
    lost = {job.file.resolve() for job in jobs} & set(targets)
    truths = [job.mask for job in jobs if job.mask.exists() and _holds_truth(job)]
    if doubled or lost or truths:
        what = f"{truths[0]}, the truth of a data set" if truths else f"{doubled} of its own masks with overlays"
        what = f"{min(lost)}, an input" if lost else what
        raise OutputError(f"writing to {output} would overwrite {what}. Choose another folder.")
    return jobs


def _holds_truth(job: _Job) -> bool:
    """Whether a mask would go to where a data set with this image, in images/, has its own: masks/ beside that."""
    images, masks = job.file.absolute().parent, job.mask.absolute().parent
    return (images.name, masks) == ("images", images.with_name("masks"))


def _named(inputs: Sequence[str | Path], results: list[Path]) -> dict[Path, Path]:
    """Return each image, once, with its name in the output; results within an input folder are not inputs again."""
    names: dict[Path, Path] = {}
    for source in map(Path, inputs):
        for file in find_images([source]):
            inside = file.relative_to(source) if source.is_dir() else Path(file.name)
            earlier = source.is_dir() and any(
                folder != source.resolve() and folder in file.resolve().parents for folder in results
            )
            if not earlier:
                names.setdefault(file.absolute(), inside.with_suffix(""))
    if not names:
        raise EmptyInput("no image to segment. Give files, folders or globs of images.")
    return names


def _run(segmenter: Segmenter, jobs: list[_Job], areas: Path, workers: int) -> Generator[FileResult, None, None]:
    _return_freed_memory()
    with (
        atomic_write(areas) as partial,
        partial.open("w", newline="", encoding="utf-8") as file,
        ThreadPoolExecutor(workers) as pool,
    ):
        table = csv.writer(file)
        table.writerow(field.name for field in fields(FileResult))
        large = Lock()  # of two photographs of 30 megapixels at once, 400 MB would not be enough
        pending: deque[Future[FileResult]] = deque()
        for job in jobs:
            pending.append(pool.submit(_segment, segmenter, job, large))
            if len(pending) > workers:
                table.writerow(_row(result := pending.popleft().result(), areas.parent))
                yield result
        for future in pending:
            table.writerow(_row(result := future.result(), areas.parent))
            yield result


def _row(result: FileResult, folder: Path) -> list[object]:
    """Return the cells of a result in the table of a folder."""

    def named(path: Path | None) -> Path | None:
        return path and (path.relative_to(folder) if path.is_relative_to(folder) else path.absolute())

    return cells(*astuple(replace(result, mask=named(result.mask), overlay=named(result.overlay))))


def _segment(segmenter: Segmenter, job: _Job, large: Lock) -> FileResult:
    try:
        height, width = image_size(job.file)
        with large if height * width >= LARGE_PX else nullcontext():
            return _write(segmenter, job)
    except InputError as error:
        return FileResult(job.file, error=str(error))


def _write(segmenter: Segmenter, job: _Job) -> FileResult:
    found = segmenter.segment(job.file)
    found.save(job.mask)
    if job.overlay:
        write_image(job.overlay, found.overlay())
    height, width = found.mask.shape
    area = found.area_px, found.area_fraction
    return FileResult(job.file, job.mask, job.overlay, height, width, *area, found.expected_dice)


def _return_freed_memory() -> None:
    """Have glibc return freed blocks of 4 MB and more to the system; each thread kept 100 MB of a 30 MP photograph."""
    if platform.libc_ver()[0] == "glibc":
        ctypes.CDLL(None).mallopt(M_MMAP_THRESHOLD, 4 << 20)
