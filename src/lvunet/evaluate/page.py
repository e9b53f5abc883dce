"""A report page as a value: titled blocks of facts, tables, charts, pictures and prose, rendered to one HTML file.

The file needs no network, no script and no other file; it follows the reader's light or dark theme, and prints.
"""

from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import ClassVar

from lvunet.image import atomic_write


@dataclass(frozen=True)
class Fact:
    """One number that the reader should leave with, what it is, and what it rests on."""

    label: str
    value: str
    note: str = ""


@dataclass(frozen=True)
class Facts:
    """A row of headline numbers."""

    kind: ClassVar[str] = "facts"
    title: str
    facts: tuple[Fact, ...]
    note: str = ""


@dataclass(frozen=True)
class Table:
    """Rows of text under a head; the first column names the row. `folded`: closed until the reader opens it."""

    kind: ClassVar[str] = "table"
    title: str
    head: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    note: str = ""
    folded: bool = False

    def markdown(self) -> str:
        """Return the table, and its note below, as Markdown."""
        lines = [self.head, ("---",) + ("---:",) * (len(self.head) - 1), *self.rows]
        escaped = ([cell.replace("|", "\\|") for cell in line] for line in lines)
        table = "\n".join(f"| {' | '.join(cells)} |" for cells in escaped)
        return f"{table}\n\n{self.note}\n" if self.note else f"{table}\n"


@dataclass(frozen=True)
class Chart:
    """An inline SVG, trusted and not escaped (`chart.draw` makes it), with its caption."""

    svg: str
    caption: str


@dataclass(frozen=True)
class Charts:
    """Charts side by side."""

    kind: ClassVar[str] = "charts"
    title: str
    charts: tuple[Chart, ...]
    note: str = ""


@dataclass(frozen=True)
class Picture:
    """An image as a data URI, the text that stands for it, and its caption."""

    uri: str
    alt: str
    title: str
    caption: str


@dataclass(frozen=True)
class Gallery:
    """Pictures in a grid; `legend` pairs a CSS colour with its meaning."""

    kind: ClassVar[str] = "gallery"
    title: str
    pictures: tuple[Picture, ...]
    legend: tuple[tuple[str, str], ...] = ()
    note: str = ""


@dataclass(frozen=True)
class Prose:
    """Paragraphs."""

    kind: ClassVar[str] = "prose"
    title: str
    paragraphs: tuple[str, ...]
    note: str = ""


Block = Facts | Table | Charts | Gallery | Prose


@dataclass(frozen=True)
class Page:
    """A page: title, one sentence that says what it is of, blocks in reading order, and the small print."""

    title: str
    lead: str
    blocks: tuple[Block, ...]
    footer: tuple[str, ...] = ()


def render(page: Page) -> str:
    """Return the page as one self-contained HTML document; all text is escaped."""
    from jinja2 import Environment, StrictUndefined

    source = files("lvunet.evaluate").joinpath("page.html.jinja").read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    return environment.from_string(source).render(page=page)


def write_page(path: Path | str, page: Page) -> None:
    """Write the page, whole or not at all; raises `OutputError`."""
    html = render(page)
    with atomic_write(path) as partial:
        partial.write_text(html, encoding="utf-8")
