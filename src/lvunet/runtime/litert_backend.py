"""LiteRT, once TensorFlow Lite: phones, microcontrollers, and their accelerators."""

from pathlib import Path
from threading import Lock

from ai_edge_litert.interpreter import Interpreter

from lvunet.image import Float32, UInt8
from lvunet.runtime.batch import cores
from lvunet.runtime.sidecar import read_sidecar
from lvunet.runtime.square import SquareSegmenter
from lvunet.runtime.talk import without_lines


def load_litert(path: Path, threads: int | None = None) -> SquareSegmenter:
    """Return the model of a .tflite file; by itself LiteRT would use one core."""
    card = read_sidecar(path)
    interpreter, alone = Interpreter(str(path), num_threads=threads or cores()), Lock()
    with without_lines(b"INFO: "):
        interpreter.allocate_tensors()
    image_index = interpreter.get_input_details()[0]["index"]
    probability_index = interpreter.get_output_details()[0]["index"]

    def run(image: UInt8) -> Float32:
        with alone:
            interpreter.set_tensor(image_index, image)
            interpreter.invoke()
            answer: Float32 = interpreter.get_tensor(probability_index)
        return answer

    return SquareSegmenter(card, run)
