"""What an export shows for itself: a table, a page and a record of trained - folded - every artefact."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lvunet.card import Card
from lvunet.evaluate.evidence import write_json
from lvunet.evaluate.page import Fact, Facts, Page, Prose, Table, write_page
from lvunet.evaluate.provenance import Provenance, provenance
from lvunet.evaluate.report import footer
from lvunet.export.judge import ALLOWED_LOSS, LEAST, NEEDED_GAIN, Verdict
from lvunet.export.parity import Link
from lvunet.export.targets import Precision

PROOF = "parity"  # page and record of an export

NOTE = (
    "Differences of a probability, over all pixels of all images; Dice between the masks of the two forms. Time: one "
    "image of the network's own size, one thread, median of 20 calls, not in turns: `lvunet benchmark` compares."
)
WHOLE_PATH = (
    "The same on the images as they are, each with its own resize. ONNX resizes inside; before the others lvunet.load "
    "rounds the resized image to whole grey levels, as the folded network does not. Nothing is demanded of this."
)
SAME_PIXELS = (
    "Every form gets the same uint8 images. ONNX gets them at their own size, since its artefact resizes by itself; "
    "every other artefact takes the network's square, and so does the folded network that it is held against."
)
FEWER = (
    "int8 is calibrated on the images of --calibrate-on, or else on those of the proof, without their masks. "
    f"Refused without --force: a mean Dice lower by more than {ALLOWED_LOSS:g}; less than {NEEDED_GAIN:g} times as "
    f"fast as the same target in float, in one alternating run at one thread; fewer than {LEAST} images to tell it by."
)
ALL_OR_NONE = "If one artefact differs by more than is allowed, none is kept."


DIFFERENCES = ("largest difference", "mean", "allowed", "mean Dice", "lowest")


@dataclass(frozen=True)
class Artefact:
    """An exported model: where it is, and how it compares with the folded network; not where it cannot run here."""

    target: str
    path: Path
    size_bytes: int  # with its companions
    link: Link | None
    median_ms: float | None  # of one square image, one thread
    precision: Precision = "fp32"
    verdict: Verdict | None = None
    whole: Link | None = None  # as `link`, on the images at their own size

    @property
    def name(self) -> str:
        """The target, and the precision where it is not fp32."""
        return self.target if self.precision == "fp32" else f"{self.target} {self.precision}"

    @property
    def size(self) -> str:
        """The size in words."""
        return f"{self.size_bytes / 1e6:.2f} MB"


@dataclass(frozen=True)
class Deployment:
    """The chain trained - folded - artefacts of one model, proven on so many images."""

    card: Card
    images: int
    folding: Link
    artefacts: tuple[Artefact, ...]

    @property
    def links(self) -> tuple[Link, ...]:
        """All links of the chain."""
        return (self.folding, *(artefact.link for artefact in self.artefacts if artefact.link))

    @property
    def page(self) -> str:
        """The name of the page of its proof: an export of one target, or of fewer bits, does not replace another's."""
        target, precision = self.artefacts[0].target, self.artefacts[0].precision
        one, fewer = [target] * (len(self.artefacts) == 1), [precision] * (precision != "fp32")
        return "-".join([PROOF, *one, *fewer]) + ".html"


def write_proof(folder: Path, deployment: Deployment) -> list[Path]:
    """Write the page and the record of an export to a folder, and return their paths."""
    where, place = provenance(), folder / deployment.page
    write_json(place.with_suffix(".json"), record(deployment, where))
    write_page(place, page(deployment, where))
    return [place.with_suffix(".json"), place]


def table(deployment: Deployment) -> Table:
    """Return a row for folding and for each artefact: differences, agreement of the masks, size, time."""
    rows = ((deployment.folding.name, *_differences(deployment.folding), "", ""), *map(_row, deployment.artefacts))
    return Table("One model, whatever its form", ("", *DIFFERENCES, "size", "time"), rows, NOTE)


def whole_path(deployment: Deployment) -> tuple[Table, ...]:
    """Return the table of the artefacts with their own resize, if there are any that take squares."""
    rows = tuple((each.name, *_differences(each.whole)) for each in deployment.artefacts if each.whole)
    return (Table("With the resize of each", ("", *DIFFERENCES), rows, WHOLE_PATH),) if rows else ()


def verdicts(deployment: Deployment) -> tuple[Table, ...]:
    """Return the table of what fewer bits cost and save, if there are any that were judged."""
    rows = tuple(
        (
            artefact.name,
            f"{verdict.dice.mean:+.4f} ({verdict.dice.range_text(4)})",
            str(verdict.dice.n),
            "given masks" if verdict.with_masks else "masks in float",
            f"{verdict.times_as_fast:.2f}",
            "; ".join(verdict.reasons) or "worth having",
        )
        for artefact in deployment.artefacts
        if (verdict := artefact.verdict)
    )
    head = ("", "Dice, to float (95 % interval)", "images", "against", "times as fast", "verdict")
    return (Table("Fewer bits", head, rows, FEWER),) if rows else ()


def page(deployment: Deployment, where: Provenance) -> Page:
    """Return the page of an export."""
    proven = [artefact for artefact in deployment.artefacts if artefact.link]
    unproven = [artefact.target for artefact in deployment.artefacts if not artefact.link]
    worst = max(link.max_abs_difference for link in deployment.links)
    facts = (
        Fact(
            "Artefacts proven",
            f"{len(proven)} of {len(deployment.artefacts)}",
            f"not executed here: {', '.join(unproven)}" if unproven else "",
        ),
        Fact("Largest difference", f"{worst:.1e}", "of a probability, on the same pixels"),
        Fact("Lowest Dice", f"{min(link.lowest_dice for link in deployment.links):.4f}", "between their masks"),
        Fact("Images", str(deployment.images)),
    )
    return Page(
        f"{deployment.card.name}: proof of export",
        "The model as it was given, the folded network and every artefact, compared pixel by pixel.",
        (
            Facts("In short", facts),
            table(deployment),
            *whole_path(deployment),
            *verdicts(deployment),
            Prose("How it was compared", (SAME_PIXELS, ALL_OR_NONE)),
        ),
        footer(where),
    )


def record(deployment: Deployment, where: Provenance) -> dict[str, Any]:
    """Return the export as plain values for JSON."""
    artefacts = [
        {**asdict(artefact), "path": artefact.path.name, "executed": artefact.link is not None}
        for artefact in deployment.artefacts
    ]
    return {
        "model": deployment.card.name,
        "source_sha256": deployment.card.source_sha256,
        "images": deployment.images,
        "folding": asdict(deployment.folding),
        "artefacts": artefacts,
        **asdict(where),
    }


def _row(artefact: Artefact) -> tuple[str, ...]:
    if not artefact.link or artefact.median_ms is None:
        return (f"{artefact.name}: converted, not executed here", "", "", "", "", "", artefact.size, "")
    return (artefact.name, *_differences(artefact.link), artefact.size, f"{artefact.median_ms:.1f} ms")


def _allowed(link: Link) -> str:
    """What the link was held to: a difference, a mean Dice, or neither."""
    if link.needed_dice:
        return f"mean Dice {link.needed_dice:g}"
    return f"{link.tolerance:.0e}" if link.tolerance < 1 else ""


def _differences(link: Link) -> tuple[str, ...]:
    return (
        f"{link.max_abs_difference:.1e}",
        f"{link.mean_abs_difference:.1e}",
        _allowed(link),
        f"{link.mean_dice:.4f}",
        f"{link.lowest_dice:.4f}",
    )
