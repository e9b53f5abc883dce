"""Draws what the browser tests give to the page, and what Python finds in it: `python golden.py FOLDER`.

Beside each image stand its pixels (.rgb, uint8) and its probability (.f32), and cases.json has the rest. The models are
those of the built page. With a second argument, a folder of data sets, real images are among them.
"""

import csv
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.ImageCms import ImageCmsProfile, createProfile
from PIL.PngImagePlugin import PngInfo
from scipy.ndimage import binary_erosion, label
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from lvunet.cli.web import PAGE
from lvunet.data.phantom import Kind, phantom
from lvunet.image import UInt8, read_image
from lvunet.runtime.batch import AREAS, segment_files
from lvunet.runtime.segmenter import Segmenter, load

MODELS: dict[str, tuple[Kind, str]] = {
    "skin": ("dermoscopy", "isic2016"),
    "polyp": ("polyp", "kvasir-seg"),
    "breast-ultrasound": ("ultrasound", "busi"),
}
Drawn = tuple[str, str, bool]  # a file, the model for it, whether a PNG or the like has the very same pixels


def drawn(folder: Path) -> Iterator[Drawn]:
    """Write phantoms for every model: as they are, and of an odd size in JPEG."""
    for model, (kind, _) in MODELS.items():
        save(phantom(kind, 2, (480, 640))[0], folder / f"{model}.png")
        yield f"{model}.png", model, True
        save(phantom(kind, 4, (333, 517))[0], folder / f"{model}-odd.jpg", quality=85)
        yield f"{model}-odd.jpg", model, False
    save(phantom("dermoscopy", 9, (300, 300))[0], folder / "nothing.png")
    yield "nothing.png", "skin", True
    save(phantom("dermoscopy", 5, (17, 2000))[0], folder / "narrow.png")
    yield "narrow.png", "skin", True


def kinds(folder: Path) -> Iterator[Drawn]:
    """Write one phantom in every kind of file that a browser reads."""
    image = Image.fromarray(phantom("dermoscopy", 3, (240, 321))[0])
    turned = Image.Exif()
    turned[0x0112] = 6  # orientation: the camera was held upright
    image.save(folder / "turned.jpg", quality=90, exif=turned)
    image.save(folder / "progressive.jpg", quality=90, progressive=True)
    image.convert("L").save(folder / "grey.jpg", quality=90)
    linear = PngInfo()
    linear.add(b"gAMA", (100_000).to_bytes(4, "big"))
    image.save(folder / "gamma.png", pnginfo=linear)  # says how a screen should show it; the pixels are the pixels
    profile = mistaken_profile()  # which Python does not apply: the pixels are the pixels
    image.save(folder / "profile.jpg", quality=90, icc_profile=profile)
    image.save(folder / "profile.png", icc_profile=profile)
    image.save(folder / "profile.webp", lossless=True, icc_profile=profile)
    image.convert("L").save(folder / "grey.png")
    image.quantize(64).save(folder / "palette.png")
    image.quantize(64).save(folder / "picture.gif")
    image.save(folder / "picture.bmp")
    image.save(folder / "picture.webp", lossless=True)
    fading = image.copy()
    fading.putalpha(Image.fromarray(np.tile(np.linspace(0, 255, 321).astype(np.uint8), (240, 1))))
    fading.save(folder / "alpha.png")
    for name in ("turned.jpg", "progressive.jpg", "grey.jpg", "profile.jpg", "gamma.png", "profile.png", "grey.png"):
        yield name, "skin", name.endswith("png")
    for name in ("profile.webp", "palette.png", "picture.gif", "picture.bmp", "picture.webp", "alpha.png"):
        yield name, "skin", name != "alpha.png"


def mistaken_profile() -> bytes:
    """Return the colour profile of sRGB, with red and blue exchanged."""
    profile = ImageCmsProfile(createProfile("sRGB")).tobytes()
    return profile.replace(b"rXYZ", b"?XYZ").replace(b"bXYZ", b"rXYZ").replace(b"?XYZ", b"bXYZ")


def real(folder: Path, datasets: Path) -> Iterator[Drawn]:
    """Copy real images, the third and the last of each set, and write the third as PNG too."""
    for model, (_, dataset) in MODELS.items():
        images = sorted((datasets / dataset / "images").iterdir())
        for path in (images[2], images[-1]):
            (folder / f"real-{path.name}").write_bytes(path.read_bytes())
            yield f"real-{path.name}", model, False
        save(read_image(images[2]), folder / f"real-{images[2].stem}.png")
        yield f"real-{images[2].stem}.png", model, True


def save(image: UInt8, path: Path, quality: int = 85) -> None:
    """Write an image by its suffix."""
    Image.fromarray(image).save(path, quality=quality)


def found(path: Path, segmenter: Segmenter, pixels: UInt8 | None = None) -> dict[str, Any]:
    """Write pixels and probability beside an image; return the rest of what is known of it."""
    found = segmenter.segment(path if pixels is None else pixels)
    height, width = found.mask.shape
    path.with_suffix(path.suffix + ".rgb").write_bytes(found.image.tobytes())
    path.with_suffix(path.suffix + ".f32").write_bytes(found.probability.tobytes())
    numbers = {"area_px": found.area_px, "expected_dice": found.expected_dice, "diameter_px": diameter(found.mask)}
    return {"width": width, "height": height, "threshold": segmenter.card.threshold, **numbers}


def diameter(mask: NDArray[Any]) -> float:
    """Return the largest distance between two corners of pixels of the largest region; 0 for an empty mask."""
    regions, count = label(mask > 0, structure=np.ones((3, 3)))
    if not count:
        return 0.0
    largest = np.pad(regions == 1 + np.bincount(regions.ravel())[1:].argmax(), 1)
    edge = np.argwhere(largest & ~binary_erosion(largest))
    corners = np.concatenate([edge + np.array(step) for step in ((0, 0), (0, 1), (1, 0), (1, 1))])
    return float(pdist(corners[ConvexHull(corners).vertices]).max())


def areas(folder: Path, images: list[Drawn], models: dict[str, Segmenter]) -> dict[str, int]:
    """Return the areas, in pixels, of the tables that `lvunet segment` writes, by the names of the images."""
    found: dict[str, int] = {}
    for model, segmenter in models.items():
        out = folder / "segmented" / model
        list(segment_files(segmenter, [folder / name for name, of, _ in images if of == model], out))
        with (out / AREAS).open(newline="", encoding="utf-8") as table:
            found |= {Path(row["file"]).name: int(row["area_px"]) for row in csv.DictReader(table)}
    return found


def main(folder: Path, datasets: Path | None = None) -> None:
    """Write everything."""
    folder.mkdir(parents=True, exist_ok=True)
    models = {name: load(PAGE / "models" / f"{name}.onnx", threads=1) for name in MODELS}
    images = [*drawn(folder), *kinds(folder), *(real(folder, datasets) if datasets else ())]
    cases = [
        {"file": name, "model": model, "exact": exact, **found(folder / name, models[model])}
        for name, model, exact in images
    ]
    tables = areas(folder, images, models)
    for case in cases:
        case["area_px"] = tables[case["file"]]
    Image.new("1", (10_000, 10_000)).save(folder / "huge.png")
    large = Image.fromarray(phantom("dermoscopy", 6, (600, 720))[0]).resize((6900, 5750), Image.Resampling.NEAREST)
    large.save(folder / "large.png", compress_level=1)  # nearly the 40 megapixels that the page takes
    save(phantom("polyp", 0, (256, 256))[0], folder / "square.png")
    (folder / "cases.json").write_text(json.dumps(cases))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
