"""OpenVINO: Intel and Arm CPUs, and other devices that it knows."""

from pathlib import Path
from threading import local

import openvino as ov

from lvunet.image import Float32, UInt8
from lvunet.runtime.sidecar import read_sidecar
from lvunet.runtime.square import SquareSegmenter

COMPUTED_IN = ["lvunet", "computed_in"]  # where the file says so


def load_openvino(path: Path, threads: int | None = None) -> SquareSegmenter:
    """Return the model of an .xml and its .bin, computed in what it was exported for.

    That is float32 unless the file says bf16: by itself OpenVINO would choose bf16 on some processors.
    """
    card, core = read_sidecar(path), ov.Core()
    model = core.read_model(path)
    computed_in = model.get_rt_info(COMPUTED_IN).astype(str) if model.has_rt_info(COMPUTED_IN) else "f32"
    settings = {"PERFORMANCE_HINT": "LATENCY", "INFERENCE_PRECISION_HINT": computed_in}
    if threads is not None:
        settings["INFERENCE_NUM_THREADS"] = str(threads)
    compiled, own = core.compile_model(model, "CPU", settings), local()

    def run(image: UInt8) -> Float32:
        if not hasattr(own, "request"):  # one a thread, so that threads may share the model
            own.request = compiled.create_infer_request()
        answer: Float32 = own.request.infer([image], share_inputs=True, share_outputs=True)[0].copy()
        return answer

    return SquareSegmenter(card, run)
