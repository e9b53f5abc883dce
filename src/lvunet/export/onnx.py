"""ONNX: the folded network between its own pre- and post-processing; uint8 of any size in, its probability out.

    image uint8 (H, W, 3) -> resize, normalise, network, temperature, sigmoid or softmax, resize back
                          -> probability float32 (H, W)

The network goes through torch.export at its one size. Head and tail stand below in ONNX's own notation: their resize is
the one of `lvunet.image`, and the head takes a band of rows after another, so that a photograph of 30 megapixels is
never one float image of 360 MB.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import onnx
import torch
from torch import nn

from lvunet.card import Card
from lvunet.errors import OutputError
from lvunet.export.parity import ParityReport, verify
from lvunet.fold import fold
from lvunet.image import LUMA, UInt8, atomic_write
from lvunet.model import LVUNet, PixelsToProbability, state_sha256
from lvunet.runtime import seal
from lvunet.runtime.onnx_backend import METADATA_KEY, OnnxSegmenter
from lvunet.runtime.torch_backend import TorchSegmenter

OPSET = 20
IR_VERSION = 10  # the one that came with opset 20: older runtimes need not understand more
HEADER = f'<ir_version: {IR_VERSION}, opset_import: ["": {OPSET}]>'
BAND = 128  # rows


def export_onnx(model: LVUNet, card: Card, path: str | Path, images: Sequence[UInt8]) -> ParityReport:
    """Fold the trained model, write it as ONNX, and prove on `images` (H, W, 3) that it computes the same.

    The file appears at `path` only once the proof has passed. Raises `NotFoldable`, `ParityError` and `OutputError`.
    """
    if Path(path).suffix != ".onnx":
        raise OutputError(f"{path}: end the name in .onnx; by that `lvunet.load` knows what it is.")
    card = replace(card, classes=model.classes, in_channels=model.in_channels, source_sha256=state_sha256(model))
    folded = fold(model)
    with atomic_write(path) as partial:
        write_onnx(to_onnx(folded, card), partial)
        artefact = OnnxSegmenter(partial, threads=1)
        return verify(TorchSegmenter(model, card), TorchSegmenter(folded, card), artefact, images)


def to_onnx(network: nn.Module, card: Card) -> onnx.ModelProto:
    """Return a folded network of normalised pixels to logits as one ONNX model from image to probability, with card."""
    model = onnx.compose.merge_models(_head(card), _network(network, card), [("pixels", "pixels")])
    model = onnx.compose.merge_models(model, _tail(card), [("coarse", "coarse"), ("geometry", "geometry")])
    del model.opset_import[1:]  # each part brought the same one
    model.graph.name = card.name
    model.producer_name, model.producer_version, model.doc_string = "lvunet", card.version, card.intended_use
    onnx.helper.set_model_props(model, {METADATA_KEY: card.to_json()})
    onnx.checker.check_model(model, full_check=True)
    return model


def write_onnx(model: onnx.ModelProto, path: Path) -> None:
    """Write an artefact with its seal, without which it would not be loaded."""
    properties = {each.key: each.value for each in model.metadata_props} | {seal.KEY: seal.OPEN}
    onnx.helper.set_model_props(model, properties)
    path.write_bytes(seal.sealed(model.SerializeToString(deterministic=True)))


def _network(network: nn.Module, card: Card) -> onnx.ModelProto:
    """`pixels`, float of 0 to 255, (1, C, size, size), to `coarse`, the probability (1, K, size, size)."""
    device = next(network.parameters()).device
    program = torch.onnx.export(
        PixelsToProbability(network, card.mean, card.std, card.temperature).to(device).eval(),
        (torch.zeros(1, card.in_channels, card.size, card.size, device=device),),
        dynamo=True,
        opset_version=OPSET,
        input_names=["pixels"],
        output_names=["coarse"],
        verbose=False,
    )
    assert program is not None  # it is for dynamo=False only
    model: onnx.ModelProto = program.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]  # stack traces with the paths of this machine
    return model


def _head(card: Card) -> onnx.ModelProto:
    """`image`, uint8 (H, W, 3), to `pixels` and `geometry` = (H, W); for one channel luma, as `image.to_channels`."""
    seen = 3 if card.in_channels == 1 else card.in_channels
    luma = f"luma = Constant <value = float[1, 3, 1, 1] {{{', '.join(map(str, LUMA))}}}> () pixels = Conv (small, luma)"
    return onnx.parser.parse_model(f"""
        {HEADER}
        head (uint8[H, W, {seen}] image)
          => (float[1, {card.in_channels}, {card.size}, {card.size}] pixels, int64[2] geometry)
          <int64[1] side = {{{card.size}}}, int64[1] rows = {{{BAND}}}, int64[1] rounding_up = {{{BAND - 1}}},
           int64[1] zero = {{0}}, int64[3] no_rows = {{{seen}, 0, {card.size}}}>
        {{
            geometry = Shape <end = 2> (image)
            height = Shape <end = 1> (image)
            raised_height = Add (height, rounding_up)
            bands = Div (raised_height, rows)
            nothing = ConstantOfShape (no_rows)
            narrow = Loop (bands, , nothing) <body = band (int64 i, bool go, float[{seen}, above, {card.size}] before)
              => (bool more, float[{seen}, below, {card.size}] after) {{
                top = Mul (i, rows)
                bottom = Add (top, rows)
                band_u8 = Slice (image, top, bottom, zero)
                planes_u8 = Transpose <perm = [2, 0, 1]> (band_u8)
                planes = Cast <to = {onnx.TensorProto.FLOAT}> (planes_u8)
                narrow_band = {_resize("2")} (planes, , , side)
                after = Concat <axis = 1> (before, narrow_band)
                more = Identity (go)
            }}>
            square = {_resize("1")} (narrow, , , side)
            small = Unsqueeze (square, zero)
            {luma if card.in_channels == 1 else "pixels = Identity (small)"}
        }}
        """)


def _tail(card: Card) -> onnx.ModelProto:
    """`coarse` and `geometry` to `probability` at that geometry: (H, W) for one class, (K, H, W) for K."""
    outer, shape = ("0, 1", "H, W") if card.classes == 1 else ("0", f"{card.classes}, H, W")
    return onnx.parser.parse_model(f"""
        {HEADER}
        tail (float[1, {card.classes}, {card.size}, {card.size}] coarse, int64[2] geometry)
          => (float[{shape}] probability)
        {{
            outer = Constant <value_ints = [{outer}]> ()
            planes = Squeeze (coarse, outer)
            probability = {_resize("-2, -1")} (planes, , , geometry)
        }}
        """)


def _resize(axes: str) -> str:
    """The resize of `lvunet.image` along these axes; without `exclude_outside` the borders would differ."""
    return (
        'Resize <mode = "linear", antialias = 1, exclude_outside = 1, coordinate_transformation_mode = "half_pixel", '
        f"axes = [{axes}]>"
    )
