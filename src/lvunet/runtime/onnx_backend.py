"""ONNX Runtime: the exported model, on the CPU, without PyTorch."""

from pathlib import Path

import numpy as np
import onnxruntime as ort

from lvunet.card import Card
from lvunet.errors import ArtefactError, CheckpointError
from lvunet.image import Float32, UInt8
from lvunet.runtime import seal
from lvunet.runtime.segmenter import LARGE_PX, Segmenter, checked

METADATA_KEY = "lvunet"  # of the card, among the properties of the model
SIGNATURE = (("image", "tensor(uint8)"), ("probability", "tensor(float)"))


class OnnxSegmenter(Segmenter):
    """An artefact of `lvunet.export.onnx`; one instance may be called from several threads at once.

    Raises `ArtefactError` for a file that is not ONNX, not ours, or not as it was exported.
    """

    def __init__(self, path: str | Path, threads: int | None = None) -> None:
        data = _data(Path(path))
        self._session = _session(data, path, threads)
        self.card = _card(self._session, path)
        properties = self._session.get_modelmeta().custom_metadata_map
        seal.demand(data, properties.get(seal.KEY), str(path))

    def __call__(self, image: UInt8, /) -> Float32:
        pixels = checked(image, self.card)
        geometry = pixels.shape[:2]
        probability = np.empty(geometry if self.card.classes == 1 else (self.card.classes, *geometry), np.float32)
        binding = self._session.io_binding()
        binding.bind_cpu_input("image", np.ascontiguousarray(pixels))
        # Into our memory: what ONNX Runtime allocates itself, its arena keeps for as long as the session lives.
        binding.bind_output("probability", "cpu", 0, np.float32, probability.shape, probability.ctypes.data)
        options = ort.RunOptions()
        if geometry[0] * geometry[1] >= LARGE_PX:
            options.add_run_config_entry("memory.enable_memory_arena_shrinkage", "cpu:0")
        self._session.run_with_iobinding(binding, options)
        return np.minimum(probability, 1, out=probability)  # the weights of its resize add up to 1 + 5e-7 at times


def _data(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise ArtefactError(f"{path} cannot be read: {error.strerror}.") from error


def _session(data: bytes, path: str | Path, threads: int | None) -> ort.InferenceSession:
    options = ort.SessionOptions()
    options.intra_op_num_threads = threads or 0
    options.enable_mem_pattern = False  # it keeps a plan for every size of image it has met
    options.log_severity_level = 4  # what goes wrong is raised
    try:
        return ort.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # ONNX Runtime has no base class for its errors
        reason = str(error).splitlines()[0][:200]
        raise ArtefactError(
            f"{path} is not a readable ONNX model: {reason}. Export it again, or copy it anew."
        ) from error


def _card(session: ort.InferenceSession, path: str | Path) -> Card:
    text = session.get_modelmeta().custom_metadata_map.get(METADATA_KEY)
    if text is None:
        raise ArtefactError(f"{path} is ONNX, but carries no LV-UNet card. Make one with `lvunet export --to onnx`.")
    try:
        card = Card.from_json(text)
    except CheckpointError as error:
        raise ArtefactError(f"{path}: {error}") from error
    signature = tuple((end.name, end.type) for end in (*session.get_inputs(), *session.get_outputs()))
    if signature != SIGNATURE:
        raise ArtefactError(f"{path} takes and gives {signature}, not {SIGNATURE}: it was edited. Export it again.")
    return card
