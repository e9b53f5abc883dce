"""What the doctor finds: what works, what is broken, what is not there, and how to get it."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lvunet.export.health import Health, examine
from lvunet.export.targets import TARGETS, TargetName, absent
from models import picture


def test_each_target_is_told_and_a_broken_package_is_told_why(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, lvunet: Callable[..., tuple[int, str, str]]
) -> None:
    for module, source in (("ncnn", "raise RuntimeError('its library is of another system')"), ("pnnx", "")):
        (tmp_path / f"{module}.py").write_text(source, encoding="utf-8")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")])))
    monkeypatch.setitem(sys.modules, "coremltools", None)
    code, said, complaint = lvunet("doctor")
    assert code == 1
    assert "its library is of another system" in complaint
    rows = {line.split()[0]: line for line in said.splitlines() if line.split() and line.split()[0] in TARGETS}
    assert list(rows) == list(TARGETS)
    assert max(map(len, said.splitlines())) <= 120
    assert rows["ncnn"].rstrip().endswith("broken")
    assert rows["onnx"].rstrip().endswith("works")
    assert rows["torch"].rstrip().endswith("works")
    assert rows["coreml"].rstrip().endswith("pip install 'lvunet[coreml]'")
    assert "pip install 'lvunet[targets]'" in said


def test_where_only_the_runtime_is_installed_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    health = next(examine())
    assert health.verdict == "runs; to export: pip install 'lvunet[train]'"
    assert health.versions.startswith("onnxruntime ")
    assert "onnxscript" in health.versions


@pytest.mark.parametrize(
    ("name", "hidden", "verdict"),
    [
        ("executorch", "torch", "pip install 'lvunet[executorch]'"),  # its backend gives it tensors of torch
        ("coreml", "torch", "pip install 'lvunet[coreml]'"),  # it runs on Apple's systems only
        ("openvino", "onnx", "runs; to export: pip install 'lvunet[openvino]'"),
    ],
)
def test_it_runs_only_with_all_that_running_needs(
    monkeypatch: pytest.MonkeyPatch, name: TargetName, hidden: str, verdict: str
) -> None:
    if absent([TARGETS[name].runtime]):
        pytest.skip(TARGETS[name].install)
    monkeypatch.setitem(sys.modules, hidden, None)
    assert next(health for health in examine() if health.target == name).verdict == verdict


def test_what_int8_lacks_is_told(monkeypatch: pytest.MonkeyPatch, lvunet: Callable[..., tuple[int, str, str]]) -> None:
    if absent(TARGETS["openvino"].modules):
        pytest.skip(TARGETS["openvino"].install)
    monkeypatch.setitem(sys.modules, "nncf", None)
    code, said, _ = lvunet("doctor")
    assert code == 0
    assert [line.split()[0] for line in said.splitlines() if line.rstrip().endswith("works, without int8")] == [
        "openvino"
    ]
    assert "\nopenvino in int8 needs nncf: pip install 'lvunet[openvino]'.\n" in said
    assert max(map(len, said.splitlines())) <= 120


def test_a_process_that_dies_at_the_import_is_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "onnxscript.py").write_text("import os; os.abort()", encoding="utf-8")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    health = next(examine())
    assert (health.target, health.verdict) == ("onnx", "broken")
    assert health.error


@pytest.mark.slow
def test_a_whole_export_proves_what_is_installed() -> None:
    found: dict[str, Health] = {health.target: health for health in examine([picture(90, 70)])}
    for name, target in TARGETS.items():
        if absent(target.modules):
            assert "pip install" in found[name].verdict
        else:
            verdict = "proven" if target.executed else "exports; runs elsewhere"
            assert found[name].verdict.removesuffix(", without int8") == verdict
            assert found[name].error == ""


def test_the_doctor_needs_no_torch() -> None:
    code = "import sys; sys.modules['torch'] = sys.modules['onnx'] = None; from lvunet import cli; cli.main(['doctor'])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    assert "pip install 'lvunet[train]'" in ended.stdout
    assert ended.stderr.strip() == ""
