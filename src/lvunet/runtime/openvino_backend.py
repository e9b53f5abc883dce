"""OpenVINO: Intel and Arm CPUs, and other devices that it knows."""

from pathlib import Path

import openvino as ov

from lvunet.image import Float32, UInt8
from lvunet.runtime.sidecar import read_sidecar
from lvunet.runtime.square import SquareSegmenter


def load_openvino(path: Path, threads: int | None = None, precision: str = "f32") -> SquareSegmenter:
    """Return the model of an .xml and its .bin; in float32, where OpenVINO would choose bf16 on some CPUs by itself."""
    card = read_sidecar(path)
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": precision}
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = str(threads)
    compiled = ov.Core().compile_model(str(path), "CPU", settings)

    def run(image: UInt8) -> Float32:
        answer: Float32 = compiled.create_infer_request().infer([image])[0]  # one a call, so threads may share it
        return answer

    return SquareSegmenter(card, run)
