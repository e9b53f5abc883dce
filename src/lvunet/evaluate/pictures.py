"""Shows cases: each image with the outline of the truth and of the prediction, as pictures of a report."""

from base64 import b64encode
from collections.abc import Iterable, Sequence
from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from lvunet.evaluate.page import Gallery, Picture
from lvunet.evaluate.scoring import Case, ImageScore, Outlined, Scores, Segmenter, outline
from lvunet.image import COLOURS

SIDE_PX = 384
SMALL, RING = 0.02, 0.04  # of the longer side: a region up to the one gets a ring, whose radius is the other
TRUTH, PREDICTION = COLOURS[2], COLOURS[0]
LEGEND = ((f"rgb{TRUTH}", "truth (wide line)"), (f"rgb{PREDICTION}", "prediction (narrow line)"))


def galleries(segmenter: Segmenter, cases: Iterable[Case], scores: Scores, n: int = 6) -> tuple[Gallery, Gallery]:
    """Return the `n` images of lowest Dice and the `n` around the median, segmented anew; fewer if there are fewer.

    `cases` are those that were scored, in any order.
    """
    ranked = scores.ranked()
    middle = max(0, (len(ranked) - n) // 2)
    chosen = {case.id: case for case in cases}

    def gallery(title: str, images: Sequence[ImageScore]) -> Gallery:
        pictures = tuple(_picture(outline(segmenter, chosen[image.id]), image) for image in images)
        return Gallery(title, pictures, LEGEND, "A circle marks a tiny region.")

    return gallery("Worst cases", ranked[:n]), gallery("Median cases", ranked[middle : middle + n])


def draw_outlines(seen: Outlined, side_px: int = SIDE_PX) -> NDArray[np.uint8]:
    """Return the image, uint8 (h, w, 3), its longer side at most `side_px`, with both outlines drawn on it.

    The line of the truth is wide and that of the prediction narrow and on top, so where they agree both are seen.
    """
    size = _fitted(seen.image.shape[1], seen.image.shape[0], side_px)
    drawn = np.array(Image.fromarray(seen.image).resize(size, Image.Resampling.LANCZOS))
    for mask, colour, width_px in ((seen.truth, TRUTH, 5), (seen.prediction, PREDICTION, 3)):
        labels = Image.fromarray(mask).resize(size, Image.Resampling.NEAREST)
        highest, lowest = labels.filter(ImageFilter.MaxFilter(width_px)), labels.filter(ImageFilter.MinFilter(width_px))
        drawn[np.asarray(highest) != np.asarray(lowest)] = colour
    return _ringed(drawn, seen)


def _ringed(drawn: NDArray[np.uint8], seen: Outlined) -> NDArray[np.uint8]:
    """Return the picture with a ring around each region that is too small to be seen in it."""
    from scipy import ndimage

    picture = Image.fromarray(drawn)
    ring, scale = ImageDraw.Draw(picture), picture.height / seen.image.shape[0]
    for mask, colour, wider_px in ((seen.truth, TRUTH, 2), (seen.prediction, PREDICTION, 0)):
        for region in ndimage.find_objects(ndimage.label(mask)[0]):
            if max(along.stop - along.start for along in region) <= SMALL * max(mask.shape):
                y, x = (scale * (along.start + along.stop) / 2 for along in region)
                ring.circle((x, y), RING * max(picture.size) + wider_px, outline=colour, width=2)
    return np.asarray(picture)


def _picture(seen: Outlined, image: ImageScore) -> Picture:
    if image.missed or image.false_alarm:
        found = "missed" if image.missed else "false alarm"
        caption = f"Dice {image.mean.dice:.3f}, {found}"
    else:
        caption = f"Dice {image.mean.dice:.3f}, HD95 {image.mean.hd95_px:.1f} px"
    alt = f"{seen.id} with the outlines of the truth and of the prediction"
    return Picture(_data_uri(draw_outlines(seen)), alt, seen.id, caption)


def _fitted(width: int, height: int, side_px: int) -> tuple[int, int]:
    scale = min(1.0, side_px / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))


def _data_uri(image: NDArray[np.uint8]) -> str:
    buffer = BytesIO()
    Image.fromarray(image).save(buffer, "JPEG", quality=88)
    return f"data:image/jpeg;base64,{b64encode(buffer.getvalue()).decode('ascii')}"
