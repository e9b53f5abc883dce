"""The folders are the life of a model, and know of each other only what the design allows."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import lvunet

SOURCE = Path(lvunet.__file__).parent
FILES = sorted(SOURCE.rglob("*.py"))
FREE = {"errors", "card"}  # everyone may import these
MAY_IMPORT = {
    "errors": set(),
    "card": set(),
    "image": set(),
    "model": set(),
    "fold": {"model"},
    "data": {"image"},
    "evaluate": {"image"},
    "runtime": {"image"},
    "learn": {"model", "data", "evaluate", "fold", "export", "image"},
    "export": {"fold", "model", "runtime", "evaluate", "image"},
    "benchmark": {"runtime", "evaluate", "export", "fold", "model", "data", "learn", "image"},
}
EXCEPTIONS = {("runtime/torch_backend.py", "model")}  # docs/decisions/0002
TORCH_FREE = [
    "lvunet",
    "lvunet.cli",
    "lvunet.image",
    "lvunet.runtime.segmenter",
    "lvunet.runtime.zoo",
    "lvunet.cli.weights",
    "lvunet.runtime.onnx_backend",
    "lvunet.runtime.batch",
    "lvunet.runtime.video",
    "lvunet.cli.video",
    "lvunet.cli.web",
    "lvunet.runtime.sidecar",
    "lvunet.runtime.square",
    "lvunet.export.targets",
    "lvunet.cli.export",
    "lvunet.data.registry",
    "lvunet.data.check",
    "lvunet.data.pack",
    "lvunet.data.phantom",
    "lvunet.evaluate.scoring",
    "lvunet.evaluate.report",
    "lvunet.evaluate.robustness",
    "lvunet.benchmark.standings",
]
SAYS_NOTHING = {"utils", "util", "common", "base", "core", "misc", "helpers", "helper"}


def imports(path: Path) -> set[str]:
    """The parts of lvunet that a file imports, at the top or inside a function."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name.split(".")[1] for name in found if name.startswith("lvunet.")}


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_imports_only_what_its_folder_may(path: Path) -> None:
    relative = path.relative_to(SOURCE)
    part = relative.parts[0].removesuffix(".py")
    if part in ("cli", "demo", "screen", "__init__"):  # they put the parts together
        return
    allowed = MAY_IMPORT[part] | FREE | {part} | {to for where, to in EXCEPTIONS if where == relative.as_posix()}
    assert imports(path) <= allowed


@pytest.mark.parametrize("module", TORCH_FREE)
def test_what_runs_without_torch_does_not_load_it(module: str) -> None:
    check = f"import sys, {module}; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


def test_importing_the_package_loads_no_library_at_all() -> None:
    check = "import sys, lvunet; sys.exit(bool({'numpy', 'PIL', 'onnxruntime', 'pydantic'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", check], check=False).returncode == 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_file_is_short_and_its_name_says_something(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 300
    assert not SAYS_NOTHING & set(path.relative_to(SOURCE).with_suffix("").parts)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(SOURCE)))
def test_a_function_fits_on_a_screen(path: Path) -> None:
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    functions = [node for node in nodes if isinstance(node, ast.FunctionDef)]
    for function in functions:
        docstring = ast.get_docstring(function) or ""
        lines = (function.end_lineno or 0) - function.lineno + 1 - len(docstring.splitlines())
        assert lines <= 40, f"{function.name} has {lines} lines"


def test_the_public_names_are_few_and_all_there() -> None:
    assert len(lvunet.__all__) <= 10
    assert all(getattr(lvunet, name) is not None for name in lvunet.__all__)
    with pytest.raises(AttributeError, match="it has"):
        _ = lvunet.nonsense
