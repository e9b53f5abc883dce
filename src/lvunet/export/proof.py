"""What an export shows for itself: a table, a page and a record of trained - folded - every artefact."""

from dataclasses import asdict
from typing import Any

from lvunet.evaluate.page import Fact, Facts, Page, Prose, Table
from lvunet.evaluate.provenance import Provenance
from lvunet.evaluate.report import footer
from lvunet.export.deploy import Artefact, Deployment
from lvunet.export.parity import Link

NOTE = (
    "Differences of a probability, over all pixels of all images; Dice between the masks of the two forms. Time: one "
    "image of the network's own size, one thread, median of 20 calls, not in turns: `lvunet benchmark` compares."
)
SAME_PIXELS = (
    "Every form gets the same uint8 images. ONNX gets them at their own size, since its artefact resizes by itself; "
    "every other artefact takes the network's square, and so does the folded network that it is held against."
)
ALL_OR_NONE = (
    "An artefact whose largest difference is too large is not kept, nor are those beside it."
)


def table(deployment: Deployment) -> Table:
    """Return a row for folding and for each artefact: differences, agreement of the masks, size, time."""
    folding = deployment.folding
    rows: list[tuple[str, ...]] = [("folded", *_differences(folding), "", "")]
    rows += [_row(artefact) for artefact in deployment.artefacts]
    head = ("", "largest difference", "mean difference", "allowed", "lowest Dice", "size", "time")
    return Table("One model, whatever its form", head, tuple(rows), NOTE)


def page(deployment: Deployment, where: Provenance) -> Page:
    """Return the page of an export."""
    proven = [artefact for artefact in deployment.artefacts if artefact.executed]
    worst = max(link.max_abs_difference for link in deployment.links)
    facts = (
        Fact("Artefacts proven", f"{len(proven)} of {len(deployment.artefacts)}", "the others cannot run here"),
        Fact("Largest difference", f"{worst:.1e}", "of a probability, to the form before it"),
        Fact("Lowest Dice", f"{min(link.lowest_dice for link in deployment.links):.4f}", "between their masks"),
        Fact("Images", str(deployment.images)),
    )
    return Page(
        f"{deployment.card.name}: proof of export",
        "The trained network, the folded one and every artefact, compared pixel by pixel.",
        (Facts("In short", facts), table(deployment), Prose("How it was compared", (SAME_PIXELS, ALL_OR_NONE))),
        footer(where),
    )


def record(deployment: Deployment, where: Provenance) -> dict[str, Any]:
    """Return the export as plain values for JSON."""
    artefacts = [
        {**asdict(artefact), "path": artefact.path.name, "executed": artefact.executed}
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
    size = f"{artefact.size_bytes / 1e6:.2f} MB"
    if not artefact.link or artefact.median_ms is None:
        return (artefact.target, "converted, not executed here", "", "", "", size, "")
    return (artefact.target, *_differences(artefact.link), size, f"{artefact.median_ms:.1f} ms")


def _differences(link: Link) -> tuple[str, str, str, str]:
    return (
        f"{link.max_abs_difference:.1e}",
        f"{link.mean_abs_difference:.1e}",
        f"{link.tolerance:.0e}",
        f"{link.lowest_dice:.4f}",
    )
