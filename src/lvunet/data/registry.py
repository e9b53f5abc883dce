"""The five public sets of the paper as data, and the one way to find the image and mask pairs of a folder."""

import csv
import re
from collections.abc import Container, Set
from dataclasses import dataclass
from pathlib import Path

from lvunet.errors import ConfigError, EmptyInput, InputError, MismatchedPair, did_you_mean
from lvunet.image import IMAGE_SUFFIXES

CHECK = "`lvunet data check FOLDER` lists all that is wrong."


@dataclass(frozen=True)
class Published:
    """What the paper reports of a set by its own pooled metric (`evaluate.metrics.paper_iou`), 0..1."""

    iou: float
    dice: float


@dataclass(frozen=True)
class DataSet:
    """What is known of a public set, which the user fetches himself and whose terms bind him.

    `images` is the expected count, of which the committed splits list `listed`; `sizes` are the official ones in
    pixels, width x height. `terms` and `url` say where they were not verified. No official checksum is known.
    `goal_dice` is the mean Dice an image that a full training is to reach, for BUSI over its lesions alone. It and
    `published` are for splits of protocol "paper"; their sources are `GOAL_SOURCE` and `PUBLISHED_SOURCE`.
    """

    name: str
    title: str
    target: str
    images: int
    listed: int
    sizes: str
    creators: str
    citation: str
    terms: str
    url: str
    notes: tuple[str, ...]
    goal_dice: float
    published: Published | None = None  # None: no figure could be found


UNVERIFIED = "(recalled, not verified here: read the owner's page)"
PUBLISHED_SOURCE = "arXiv 2408.16886, at second hand: RoCU-Net's scripts/plot_accuracy_params.py, not its table"
GOAL_SOURCE = "issue 3 of this project"

DATASETS: dict[str, DataSet] = {
    entry.name: entry
    for entry in (
        DataSet(
            "kvasir-seg",
            "Kvasir-SEG",
            "colon polyp",
            images=1000,
            listed=1000,
            sizes="width 332 to 1920, height 352 to 1072",
            creators="Jha, Smedsrud, Riegler, Halvorsen, de Lange, Johansen, Johansen",
            citation="Jha et al., Kvasir-SEG: A Segmented Polyp Dataset, MMM 2020, arXiv:1911.07069",
            terms=f"research and education; other use needs prior written permission {UNVERIFIED}",
            url=f"https://datasets.simula.no/kvasir-seg {UNVERIFIED}",
            notes=(
                "4 pairs show one polyp at nearly one moment; 3 of them are nearly equal pictures",
                "the official masks are JPEG: read them as foreground from 128 on",
            ),
            goal_dice=0.915,
            published=Published(iou=0.8069, dice=0.8917),
        ),
        DataSet(
            "cvc-clinicdb",
            "CVC-ClinicDB",
            "colon polyp",
            images=612,
            listed=612,
            sizes="384 x 288",
            creators="Bernal, Sanchez, Fernandez-Esparrach, Gil, Rodriguez, Vilarino",
            citation="Bernal et al., WM-DOVA maps for accurate polyp highlighting in colonoscopy, CMIG 2015",
            terms="research and education only, no commercial use (the README in the archive)",
            url=f"https://polyp.grand-challenge.org/CVCClinicDB/ {UNVERIFIED}",
            notes=("29 sequences, each of one polyp: a random split of frames leaks, the grouped one does not",),
            goal_dice=0.950,
            published=Published(iou=0.8514, dice=0.9183),
        ),
        DataSet(
            "cvc-colondb",
            "CVC-ColonDB",
            "colon polyp",
            images=380,
            listed=380,
            sizes="574 x 500",
            creators="Bernal, Sanchez, Vilarino",
            citation="Bernal, Sanchez, Vilarino, Towards automatic polyp detection with a polyp appearance model, "
            "Pattern Recognition 45(9), 2012",
            terms=f"research, with citation {UNVERIFIED}",
            url="http://mv.cvc.uab.es/projects/colon-qa/cvccolondb",
            notes=(
                "346 distinct images: 17 groups of equal ones, in 5 pairs of them with different masks",
                "15 sequences, each of one polyp (the owner's page); which frame is of which was inferred by eye here",
                "frame 380 is a picture of four flat colours, not tissue, in the copy seen here",
                "copies numbered from 0 follow another order: their ids are not those of the splits",
            ),
            goal_dice=0.920,
            published=Published(iou=0.7964, dice=0.8808),
        ),
        DataSet(
            "isic2016",
            "ISIC 2016, task 1",
            "skin lesion",
            images=1279,
            listed=1054,
            sizes="width 576 to 4288, height 540 to 2848",
            creators="International Skin Imaging Collaboration",
            citation="Gutman et al., Skin Lesion Analysis toward Melanoma Detection (ISBI 2016), arXiv:1605.01397",
            terms=f"CC0 {UNVERIFIED}",
            url=f"https://challenge.isic-archive.com/data/#2016 {UNVERIFIED}",
            notes=(
                "official split: 900 training, 379 test images",
                "the splits list the 749 + 305 ids that were at hand, so scores are not comparable with published ones",
            ),
            goal_dice=0.928,
        ),
        DataSet(
            "busi",
            "BUSI",
            "breast lesion in ultrasound",
            images=780,
            listed=780,
            sizes="width 190 to 1048, height 310 to 719",
            creators="Al-Dhabyani, Gomaa, Khaled, Fahmy",
            citation="Al-Dhabyani et al., Dataset of breast ultrasound images, Data in Brief 28:104863, 2020",
            terms=f"free for research, cite; the article is CC BY 4.0 {UNVERIFIED}",
            url=f"https://scholar.cu.edu.eg/?q=afahmy/pages/dataset {UNVERIFIED}",
            notes=(
                "437 benign, 210 malignant, 133 normal; the normal ones have empty masks; 17 images have several masks",
                "332 images are in 145 groups of one scene, 8 of the groups under two classes: use the grouped split",
                "benign_433 and malignant_145 are the same image",
            ),
            goal_dice=0.82,
        ),
    )
}


def dataset(name: str) -> DataSet:
    """Return a set by its name; raises `ConfigError` with the nearest name."""
    if name not in DATASETS:
        raise ConfigError(f"no data set {name!r}." + did_you_mean(name, DATASETS))
    return DATASETS[name]


@dataclass(frozen=True)
class Sample:
    """One image, its ground truth, and what it must not be separated from.

    `masks` are merged by union (`image.read_masks`); the empty tuple means that none was given. Samples of one `group`,
    such as a patient or a sequence, belong in one part of a split; "" means that the sample stands alone.
    """

    id: str
    image: Path
    masks: tuple[Path, ...] = ()
    group: str = ""


@dataclass(frozen=True)
class Folder:
    """What a folder holds: its samples by id, and the ids whose mask or image is missing."""

    samples: tuple[Sample, ...]
    without_mask: tuple[str, ...]
    without_image: tuple[str, ...]


# Where images and masks lie in folders of their own: ours and Kvasir-SEG's, CVC-ClinicDB's, ISIC 2016's.
FOLDER_PAIRS = (
    ("images", "masks"),
    ("Original", "Ground Truth"),
    ("ISBI2016_ISIC_Part1_Training_Data", "ISBI2016_ISIC_Part1_Training_GroundTruth"),
    ("ISBI2016_ISIC_Part1_Test_Data", "ISBI2016_ISIC_Part1_Test_GroundTruth"),
)
BUSI_FOLDERS = ("benign", "malignant", "normal")
MASK_ENDING = re.compile(r"_(mask|segmentation)(_\d+)?$", re.IGNORECASE)  # BUSI's `name_mask_1`, ISIC's


def find_samples(root: Path | str) -> list[Sample]:
    """Return the pairs of a folder, sorted by id.

    Knows `images/` + `masks/` (a mask may end in `_mask` or `_segmentation`) and the five official archives as they
    unpack, at `root` or one folder below. A file `groups.csv` (id,group) beside them names what belongs together.
    Raises `EmptyInput`, and `MismatchedPair` for an image without mask or a mask without image.
    """
    folder = scan(root)
    problems = [
        f"{len(ids)} {what} without {other}: {', '.join(ids[:5])}{', ...' if len(ids) > 5 else ''}"
        for what, other, ids in (("image(s)", "mask", folder.without_mask), ("mask(s)", "image", folder.without_image))
        if ids
    ]
    if problems:
        raise MismatchedPair(f"{root}: {'; '.join(problems)}. Each images/NAME needs a masks/NAME; {CHECK}")
    return list(folder.samples)


def scan(root: Path | str) -> Folder:
    """Return what `find_samples` would, without raising for missing partners."""
    images, masks, place = _layout(Path(root))
    by_id: dict[str, Path] = {}
    for path in images:
        first = by_id.setdefault(sample_id(path.stem), path)
        if first is not path:
            raise MismatchedPair(f"{first} and {path} are both image {sample_id(path.stem)!r}: remove or rename one.")
    truths: dict[str, list[Path]] = {}
    for path in masks:
        truths.setdefault(_image_of(path.stem, by_id), []).append(path)
    groups = _groups(place / "groups.csv", by_id.keys())
    paired = sorted(by_id.keys() & truths)
    return Folder(
        tuple(Sample(key, by_id[key], tuple(truths[key]), groups.get(key, "")) for key in paired),
        tuple(sorted(by_id.keys() - truths)),
        tuple(sorted(truths.keys() - by_id)),
    )


def sample_id(stem: str) -> str:
    """Return the id that the splits use for a file: `benign (1)` is benign_001, a bare number has three digits.

    >>> sample_id("benign (1)"), sample_id("7"), sample_id("cju0qkwl")
    ('benign_001', '007', 'cju0qkwl')
    """
    if busi := re.fullmatch(rf"({'|'.join(BUSI_FOLDERS)}) \((\d+)\)", stem):
        return f"{busi[1]}_{int(busi[2]):03}"
    return stem.zfill(3) if stem.isdecimal() else stem


def _image_of(mask_stem: str, images: Container[str]) -> str:
    """Return the id of the image of a mask, which has the same name, or `_mask` after it, or `p` before it."""
    names = (mask_stem, MASK_ENDING.sub("", mask_stem), mask_stem.removeprefix("p"))
    ids = [sample_id(name) for name in names]
    return next((key for key in ids if key in images), ids[1])


def _layout(root: Path) -> tuple[list[Path], list[Path], Path]:
    """Return images, masks and the folder they are in: `root`, or the only folder in it that has some."""
    images, masks = _files(root)
    if images:
        return images, masks, root
    below = [path for path in sorted(root.iterdir()) if path.is_dir()] if root.is_dir() else []
    found = [(*files, path) for path in below if (files := _files(path))[0]]
    if len(found) > 1:
        raise InputError(f"{root} holds {len(found)} sets ({', '.join(place.name for *_, place in found)}): name one.")
    if not root.is_dir():
        raise EmptyInput(f"no folder {root}. Give --data: a folder with images/ and masks/.")
    if not found:
        raise EmptyInput(f"no images in {root}: put them in images/ and their masks, of the same names, in masks/.")
    return found[0]


def _files(folder: Path) -> tuple[list[Path], list[Path]]:
    """Return the image and the mask files that lie in `folder` in one of the known layouts."""
    images: list[Path] = []
    masks: list[Path] = []
    for image_folder, mask_folder in FOLDER_PAIRS:
        images += _images_in(folder / image_folder)
        masks += _images_in(folder / mask_folder)
    for name in BUSI_FOLDERS:
        for path in _images_in(folder / name):
            (masks if MASK_ENDING.search(path.stem) else images).append(path)
    if not images:  # CVC-ColonDB keeps image `7`, mask `p7` and other drawings, `c7` or `s7`, in one folder
        images += [path for path in _images_in(folder) if re.fullmatch(r"\d+", path.stem)]
        masks += [path for path in _images_in(folder) if re.fullmatch(r"p\d+", path.stem)]
    return images, masks


def _images_in(folder: Path) -> list[Path]:
    paths = sorted(folder.iterdir()) if folder.is_dir() else []
    return [path for path in paths if path.suffix.lower() in IMAGE_SUFFIXES and not path.name.startswith(".")]


def _groups(path: Path, known: Set[str]) -> dict[str, str]:
    """Return what `groups.csv` says, by sample id; no file: nothing."""
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    if not rows or not {"id", "group"} <= rows[0].keys():
        raise ConfigError(f"{path}: needs the header `id,group` and a row for each image of a group.")
    groups = {sample_id(row["id"]): row["group"] for row in rows}
    if strangers := sorted(groups.keys() - known):
        raise ConfigError(f"{path}: {len(strangers)} ids are no image here, such as {', '.join(strangers[:3])}.")
    return groups
