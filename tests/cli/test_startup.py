"""A start is quick because a command loads only what it needs; results/startup.json has the seconds."""

import subprocess
import sys
from pathlib import Path

import pytest

from lvunet.data.phantom import phantom, write_phantoms
from lvunet.image import write_image

MAIN = "import sys; from lvunet.cli import main\ntry: main(sys.argv[1:])\nexcept SystemExit as end: code = end.code\n"


def loaded(program: str, *arguments: object) -> set[str]:
    """The modules that a program has loaded when it ends."""
    program += "\nimport sys; sys.stderr.write('\\n'.join(sys.modules))"
    command = [sys.executable, "-c", program, *map(str, arguments)]
    return set(subprocess.run(command, capture_output=True, text=True, check=True).stderr.split())


def test_the_command_line_itself_loads_no_library() -> None:
    assert not {"numpy", "PIL", "pydantic", "onnxruntime", "scipy"} & loaded("import lvunet.cli")


@pytest.mark.parametrize("beside", ["scipy", "pydantic", "av", "torch", "lvunet.evaluate", "lvunet.learn"])
def test_segment_loads_only_what_segments(tmp_path: Path, beside: str) -> None:
    write_image(tmp_path / "a.png", phantom("polyp", 0, (48, 64))[0])
    found = loaded(MAIN, "segment", tmp_path / "a.png", "-m", "polyp", "-o", tmp_path / "out")
    assert (tmp_path / "out" / "a.png").exists()
    assert "onnxruntime" in found
    assert beside not in found


def test_a_misspelt_model_to_go_on_from_is_told_before_torch_is_loaded(tmp_path: Path) -> None:
    write_phantoms(tmp_path, 1)
    assert "torch" not in loaded(MAIN + "assert code == 2\n", "train", "--data", tmp_path, "--init", "polypp")
