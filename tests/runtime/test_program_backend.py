"""A .pt2 file is read for its tensors: what else is in it never runs."""

import io
import zipfile
from pathlib import Path

import pytest
import torch
from torch import nn

import lvunet
from lvunet.card import Card
from lvunet.errors import ArtefactError
from lvunet.runtime.sidecar import write_sidecar

SIZE = 8


class Code:
    """What a pickle may hold: a call, here of `Path.touch`."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    harmless, path, ran = tmp_path / "harmless.pt2", tmp_path / "model.pt2", tmp_path / "ran"
    torch.export.save(torch.export.export(nn.Identity(), (torch.zeros(1, SIZE, SIZE, 3),)), harmless)
    pickled = io.BytesIO()
    torch.save(Code(ran), pickled)
    with zipfile.ZipFile(harmless) as before, zipfile.ZipFile(path, "w") as after:
        changed = [name for name in before.namelist() if "sample_inputs" in name]
        for name in before.namelist():
            after.writestr(name, pickled.getvalue() if name in changed else before.read(name))
    assert changed
    write_sidecar(path, Card(size=SIZE))  # anyone can write a hash
    with pytest.raises(ArtefactError, match=r"model\.pt2 cannot be read by its runtime"):
        lvunet.load(path)
    assert not ran.exists()
