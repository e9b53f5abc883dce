"""`lvunet segment` and `demo`: a trained model at work."""

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from lvunet.errors import ConfigError, did_you_mean
from lvunet.screen import complain, progress, say

FLAGS = ("--model", "--output", "--overlays", "--workers")  # of segment
SEGMENTED = Path("segmented")  # not "masks": data sets keep their truth in that


def segment(
    *inputs: Annotated[str, Parameter(allow_leading_hyphen=True)],
    model: Annotated[str, Parameter(name=["--model", "-m"], show_default=False)] = "",
    output: Annotated[Path, Parameter(name=["--output", "-o"], allow_leading_hyphen=True)] = SEGMENTED,
    overlays: bool = False,
    workers: int | None = None,
) -> int:
    """Outline a structure in images or a video: one mask a file or frame, or one video, and a table of areas.

    Args:
        inputs: Images, folders (searched through), globs; one video or camera (/dev/video0); - reads standard input.
        model: A model of the zoo by name (`lvunet weights list`), an exported .onnx, or a trained .safetensors.
        output: Folder for the masks (PNG, at the size of their images) and areas.csv; - writes to standard output.
            Of a video also a video (.mp4, .mov, .mkv) with the outline drawn in; its areas go beside it.
        overlays: Also write pictures, or of a video one, with the outline drawn in.
        workers: Images at a time, one thread each; default: one a core.
    """
    from lvunet.cli.video import is_video, segment_video
    from lvunet.image import demand_writable, find_images
    from lvunet.runtime.batch import segment_files
    from lvunet.runtime.segmenter import load
    from lvunet.runtime.zoo import bundled

    if not model:
        raise ConfigError("--model (-m) is missing: a model of the package, or a file." + did_you_mean("", bundled()))
    if inputs == ("-",):
        return _segment_stdin(model, output)
    if mistyped := next((name for name in inputs if name.startswith("--")), None):
        raise ConfigError(f"segment has no flag {mistyped}.{did_you_mean(mistyped, FLAGS)}")
    if str(output) == "-":
        raise ConfigError("-o - is for one image from standard input; give a folder.")
    if workers is not None and workers < 1:
        raise ConfigError(f"--workers {workers}: give at least 1.")
    if output.suffix.lower() == ".png":
        raise ConfigError(f"-o {output}: give a folder; the masks keep the names of their images.")
    if is_video(inputs, output):
        return segment_video(inputs, model, output, overlays, workers)
    demand_writable(output / "areas.csv")
    segmenter = load(model, threads=1)
    done, failed, drawn = 0, 0, output / "overlays" if overlays else None
    with progress("segmenting", len(find_images(inputs))) as advance:
        for result in segment_files(segmenter, inputs, output, drawn, workers):
            advance()
            done, failed = done + 1, failed + bool(result.error)
            if result.error:
                complain(result.error)
    say(f"{done - failed} of {done} images segmented: {output}")
    return int(failed > 0)


def demo(
    *,
    data: Path | None = None,
    output: Annotated[Path, Parameter(name=["--out", "--output", "-o"])] = Path("demo"),
    web: Annotated[bool, Parameter(negative=())] = False,
    port: int | None = None,
    browser: bool = True,
) -> None:
    """Show the whole path on phantoms, or on your own images: train, fold, export, prove, evaluate, segment, report.

    With --web instead the page that segments in the browser: images, DICOM and camera, all on this machine, offline.

    Args:
        data: Folder with images/ and masks/; default: phantoms that the program draws.
        output: Folder for everything.
        web: Serve the page to this machine, until Ctrl-C.
        port: Of the page; default: 8256, or another where that is taken. 0 is any that is free.
        browser: Open the page in a browser.
    """
    if web:
        from lvunet.cli.web import serve

        if data:
            raise ConfigError("demo --web takes no --data: give images to the page.")
        serve(port, browser, say)
        return
    if port is not None:
        raise ConfigError("--port is of the page: demo --web --port.")
    from lvunet.demo import demo as run_demo

    say(f"done: open {run_demo(output, data, say)}")


def _segment_stdin(model: str, output: Path) -> int:
    from lvunet.runtime.segmenter import load

    found = load(model).segment(sys.stdin.buffer.read())
    if str(output) == "-":
        sys.stdout.buffer.write(found.to_png())
    else:
        found.save(output if output.suffix.lower() == ".png" else output / "stdin.png")
    return 0
