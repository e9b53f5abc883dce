"""Finds images that show the same: equal pixels, one picture stored twice, or one scene a moment later.

The perceptual hash is the thumbnail itself, at 32 x 32. Hashes of 64 to 1024 bits (difference, block mean, DCT) were
tried on the five sets on 2026-11-23: none of them separated the frames of one scene from strangers, the thumbnail did.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lvunet.image import LUMA, UInt8

Kind = Literal["exact", "near", "scene"]
Float64 = NDArray[np.float64]

SIDE = 32
NEAR_RMSE = 2.0  # of 255, between thumbnails: survives another size and another encoding, not another frame
# One scene is alike in tone and in detail. On the five sets (2026-11-23) this joins no two sequences of the CVC sets
# and no two lesions of ISIC 2016; its 4 pairs in Kvasir-SEG and those of its 190 in BUSI that were looked at are right.
SCENE_RMSE = 12.0
SCENE_DETAIL = 0.85
WINDOW = 7  # detail is what differs from the mean over so many pixels of the thumbnail, each way
FLAT = 1.0  # grey levels of detail, below which an image has none and resembles nothing
CHUNK = 512


@dataclass(frozen=True, eq=False)
class Fingerprint:
    """What two images are compared by: SHA-256 of size and pixels, and the thumbnail, uint8 (32, 32, 3)."""

    digest: str
    thumbnail: UInt8


@dataclass(frozen=True, order=True)
class Pair:
    """Two ids in order, and how their images are related; `rmse` is between the thumbnails, of 255."""

    first: str
    second: str
    kind: Kind
    rmse: float


def fingerprint(pixels: UInt8) -> Fingerprint:
    """Return the fingerprint of an image (H, W, 3)."""
    thumbnail = Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BOX)
    size = f"{pixels.shape[0]}x{pixels.shape[1]}:".encode()
    return Fingerprint(sha256(size + pixels.tobytes()).hexdigest(), np.asarray(thumbnail))


def find_pairs(
    prints: Mapping[str, Fingerprint], scene_rmse: float = SCENE_RMSE, scene_detail: float = SCENE_DETAIL
) -> list[Pair]:
    """Return every two ids whose images show the same, sorted, each with its strongest relation.

    The work grows with the square of the number: a second for 1,000 images, minutes for 20,000.
    """
    ids = sorted(prints)
    if not ids:
        return []
    # Whole numbers in float64: the products are exact, so every machine finds the same pairs.
    tones = np.stack([prints[key].thumbnail for key in ids]).reshape(len(ids), -1).astype(np.float64)  # (N, 3072)
    details = _details(tones)  # (N, 1024)
    pairs = []
    for start in range(0, len(ids), CHUNK):
        rows = slice(start, start + CHUNK)
        rmse = _rmse(tones[rows], tones)  # (CHUNK, N)
        near = rmse < NEAR_RMSE
        same_scene = (rmse < scene_rmse) & (details[rows] @ details.T > scene_detail)
        for row, column in np.argwhere(np.triu(near | same_scene, k=start + 1)):
            first, second = ids[start + row], ids[column]
            equal = prints[first].digest == prints[second].digest
            kind: Kind = "exact" if equal else "near" if near[row, column] else "scene"
            pairs.append(Pair(first, second, kind, float(rmse[row, column])))
    return pairs


def connected(ids: Iterable[str], links: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Return the group of each id that is linked to another, directly or through others, named after its first id."""
    parent = {key: key for key in ids}

    def root(key: str) -> str:
        while parent[key] != key:
            parent[key] = key = parent[parent[key]]
        return key

    for one, other in links:
        low, high = sorted((root(one), root(other)))
        parent[high] = low
    groups = {key: root(key) for key in sorted(parent)}
    shared = {group for key, group in groups.items() if key != group}
    return {key: group for key, group in groups.items() if group in shared}


def _rmse(some: Float64, others: Float64) -> Float64:
    squares = (some**2).sum(axis=1)[:, None] + (others**2).sum(axis=1) - 2 * some @ others.T
    return np.sqrt(squares / others.shape[1])


def _details(tones: Float64) -> Float64:
    """Return what is left of each thumbnail in grey without its blur, as vectors of length 1, or less if it is flat."""
    grey = tones.reshape(-1, SIDE, SIDE, 3) @ np.array(LUMA)  # (N, 32, 32)
    blur = np.zeros((SIDE, SIDE))
    for offset in range(-(WINDOW // 2), WINDOW // 2 + 1):
        blur[np.arange(SIDE), np.clip(np.arange(SIDE) + offset, 0, SIDE - 1)] += 1 / WINDOW
    detail = (grey - blur @ grey @ blur.T).reshape(-1, SIDE * SIDE)  # (N, 1024)
    detail -= detail.mean(axis=1, keepdims=True)
    length = np.linalg.norm(detail, axis=1, keepdims=True)
    return np.asarray(detail / np.maximum(length, FLAT * SIDE))
