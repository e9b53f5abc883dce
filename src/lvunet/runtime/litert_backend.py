"""LiteRT, once TensorFlow Lite: phones, microcontrollers, and their accelerators."""

from pathlib import Path
from threading import Lock

from ai_edge_litert.interpreter import Interpreter

from lvunet.image import Float32, UInt8
from lvunet.runtime.sidecar import read_sidecar
from lvunet.runtime.square import SquareSegmenter


def load_litert(path: Path, threads: int | None = None) -> SquareSegmenter:
    """Return the model of a .tflite file."""
    card = read_sidecar(path)
    interpreter, alone = Interpreter(str(path), num_threads=threads), Lock()
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
