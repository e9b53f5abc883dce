"""Draws DICOM files, and what Python finds in them: `python dicoms.py FOLDER` writes *.dcm and dicoms.json.

The grey levels that a model should see are those of pydicom: rescaled, windowed, brought to 0..255 and rounded.
"""

import json
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from golden import found
from numpy.typing import NDArray
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels.processing import apply_rescale, apply_windowing
from pydicom.uid import (
    JPEG2000,
    UID,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEGBaseline8Bit,
    UltrasoundImageStorage,
    generate_uid,
)

from lvunet.cli.web import PAGE
from lvunet.data.phantom import phantom
from lvunet.image import UInt8, read_image
from lvunet.runtime.segmenter import load

GREY = phantom("ultrasound", 4, (200, 273))[0][:, :, 0]
COLOUR = phantom("polyp", 2, (200, 273))[0]
WINDOW: dict[str, Any] = {"WindowCenter": 1000, "WindowWidth": 1400}


def stored(pixels: NDArray[Any], syntax: UID = ExplicitVRLittleEndian, **attributes: Any) -> Dataset:
    """Return an image in DICOM: (H, W) grey or (H, W, 3) RGB, of its own type; attributes as named there."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = syntax
    made.SOPClassUID, made.SOPInstanceUID = UltrasoundImageStorage, generate_uid()
    made.Rows, made.Columns = pixels.shape[:2]
    made.SamplesPerPixel = 1 if pixels.ndim == 2 else 3
    made.PhotometricInterpretation = "MONOCHROME2" if pixels.ndim == 2 else "RGB"
    if pixels.ndim == 3:
        made.PlanarConfiguration = 0
    made.BitsAllocated = made.BitsStored = pixels.itemsize * 8
    made.PixelRepresentation = int(pixels.dtype.kind == "i")
    made.PixelData = pixels.astype(pixels.dtype.newbyteorder(">" if syntax == ExplicitVRBigEndian else "<")).tobytes()
    for name, value in attributes.items():
        setattr(made, name, value)
    made.HighBit = made.BitsStored - 1
    return made


def windowed(made: Dataset) -> UInt8:
    """Return the grey levels (H, W), 0 to 255, that the window of a file gives."""
    lowest = -(2 ** (made.BitsStored - 1)) if made.PixelRepresentation else 0
    ends = np.array([lowest, lowest + 2**made.BitsStored - 1])  # pydicom's range of what it returns, once rescaled
    low, high = ends * made.get("RescaleSlope", 1) + made.get("RescaleIntercept", 0)
    grey = (apply_windowing(apply_rescale(made.pixel_array, made), made) - low) / (high - low) * 255
    return np.rint(255 - grey if made.PhotometricInterpretation == "MONOCHROME1" else grey).astype(np.uint8)


def good() -> Iterator[tuple[str, Dataset, UInt8]]:
    """Give files with a name, and the levels, (H, W) or RGB, that a model should see."""
    deep = GREY.astype(np.uint16) * 8 + np.arange(273, dtype=np.uint16) % 7  # 0 to 2046
    made = stored(deep, BitsStored=12, PixelSpacing=[0.2, 0.3], **WINDOW)  # mm between rows, between columns
    yield "window", made, windowed(made)
    made = stored(deep, BitsStored=12, PhotometricInterpretation="MONOCHROME1", **WINDOW)
    yield "negative", made, windowed(made)
    hounsfield: dict[str, Any] = {
        "RescaleSlope": 2,
        "RescaleIntercept": -1024,
        "WindowCenter": [600, 40],
        "WindowWidth": [2800, 80],
    }
    made = stored(deep.astype(np.int16) - 500, **hounsfield)  # of several windows the first
    yield "rescaled", made, windowed(made)
    yield "no-window", stored(deep, BitsStored=12), read_image(png(deep))[:, :, 0]
    yield "rgb", stored(COLOUR), COLOUR
    yield "planes", stored(COLOUR, PlanarConfiguration=1, PixelData=COLOUR.transpose(2, 0, 1).tobytes()), COLOUR
    regions = Dataset()
    regions.PhysicalUnitsXDirection = regions.PhysicalUnitsYDirection = 3  # cm
    regions.PhysicalDeltaX = regions.PhysicalDeltaY = 0.02
    regions.RegionLocationMinX0 = regions.RegionLocationMinY0 = 0
    regions.RegionLocationMaxX1, regions.RegionLocationMaxY1 = 272, 199
    regions.RegionSpatialFormat = 1
    yield "ultrasound", stored(GREY, SequenceOfUltrasoundRegions=[regions]), GREY
    yield "implicit", stored(GREY, ImplicitVRLittleEndian), GREY
    yield (
        "big-endian",
        stored(deep, ExplicitVRBigEndian, BitsStored=12, **WINDOW),
        windowed(stored(deep, BitsStored=12, **WINDOW)),
    )
    frames = np.stack([GREY, GREY[::-1], GREY * 0])
    yield "frames", stored(GREY, NumberOfFrames=3, PixelData=frames.tobytes()), GREY
    data = jpeg(COLOUR)
    compressed: dict[str, Any] = {"PixelData": encapsulate([data]), "PhotometricInterpretation": "YBR_FULL_422"}
    yield "jpeg", stored(COLOUR, JPEGBaseline8Bit, **compressed), read_image(data)


def png(grey: NDArray[np.uint16]) -> bytes:
    """Return grey levels of 16 bits as a PNG."""
    buffer = BytesIO()
    Image.fromarray(grey).save(buffer, "PNG")
    return buffer.getvalue()


def jpeg(image: UInt8) -> bytes:
    """Return a picture as JPEG."""
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def main(folder: Path) -> None:
    """Write everything, and files that cannot be read beside it."""
    models = {name: load(PAGE / "models" / f"{name}.onnx", threads=1) for name in ("polyp", "breast-ultrasound")}
    cases = []
    for name, made, levels in good():
        path = folder / f"{name}.dcm"
        made.save_as(path, enforce_file_format=True)
        model = "breast-ultrasound" if levels.ndim == 2 else "polyp"
        cases.append({"file": path.name, "model": model, "exact": name != "jpeg", **found(path, models[model], levels)})
    (folder / "dicoms.json").write_text(json.dumps(cases))
    whole = (folder / "window.dcm").read_bytes()
    (folder / "truncated.dcm").write_bytes(whole[: len(whole) // 2])
    (folder / "header.dcm").write_bytes(whole[:140])
    stored(COLOUR, JPEG2000, PixelData=encapsulate([b"\xff\x4f\xff\x51"])).save_as(
        folder / "jpeg2000.dcm", enforce_file_format=True
    )
    report = stored(GREY)
    del report.PixelData
    report.save_as(folder / "report.dcm", enforce_file_format=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
