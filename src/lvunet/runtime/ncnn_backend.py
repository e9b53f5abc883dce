"""ncnn: small, without dependencies, for phones and single-board computers."""

from pathlib import Path

import ncnn
import numpy as np

from lvunet.errors import ArtefactError
from lvunet.image import Float32, UInt8
from lvunet.runtime.sidecar import read_sidecar
from lvunet.runtime.square import SquareSegmenter


def load_ncnn(path: Path, threads: int | None = None) -> SquareSegmenter:
    """Return the model of an .ncnn.param and its .ncnn.bin, in float32: ncnn's own default is float16."""
    card = read_sidecar(path)
    net = ncnn.Net()
    net.opt.use_fp16_packed = net.opt.use_fp16_storage = net.opt.use_fp16_arithmetic = False
    if threads is not None:
        net.opt.num_threads = threads
    if net.load_param(str(path)) or net.load_model(str(path.with_suffix(".bin"))):
        raise ArtefactError(f"{path}: ncnn cannot read it. Export it again.")

    def run(image: UInt8) -> Float32:
        planes = np.ascontiguousarray(image[0].transpose(2, 0, 1), dtype=np.float32)  # (C, size, size)
        extractor = net.create_extractor()
        extractor.input("in0", ncnn.Mat(planes).clone())
        _, probability = extractor.extract("out0")
        return np.array(probability)[None]

    return SquareSegmenter(card, run)
