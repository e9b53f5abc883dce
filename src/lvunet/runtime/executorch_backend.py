"""ExecuTorch: PyTorch's runtime for phones and embedded devices, here with the kernels of XNNPACK."""

from pathlib import Path
from threading import Lock

import torch

from lvunet.image import Float32, UInt8
from lvunet.runtime.sidecar import read_sidecar
from lvunet.runtime.square import SquareSegmenter
from lvunet.runtime.talk import muted, without_lines

with muted("torch.utils._pytree"):  # torchao calls what will be an error of a later PyTorch
    from executorch.extension.pybindings.portable_lib import _threadpool_get_thread_count, _unsafe_reset_threadpool
    from executorch.runtime import Runtime


def load_executorch(path: Path, threads: int | None = None) -> SquareSegmenter:
    """Return the model of a .pte file; `threads` holds for all of ExecuTorch in this process."""
    card = read_sidecar(path)
    with without_lines(b"[cpuinfo_utils.cpp:", b"[threadpool.cpp:"):
        _threadpool_get_thread_count()  # which makes the pool, of all cores
        if threads is not None:
            _unsafe_reset_threadpool(threads)
    method, alone = Runtime.get().load_program(path).load_method("forward"), Lock()

    def run(image: UInt8) -> Float32:
        with alone:  # the answer lies in memory of the method until its next call
            answer: Float32 = method.execute([torch.from_numpy(image)])[0].numpy().copy()
        return answer

    return SquareSegmenter(card, run)
