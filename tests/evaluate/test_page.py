"""Pages and charts: self-contained, well-formed, escaped, and in the colours of the theme."""

import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from lvunet.errors import OutputError
from lvunet.evaluate.chart import PAGE_COLOURS, curve, draw, histogram
from lvunet.evaluate.page import (
    Chart,
    Charts,
    Fact,
    Facts,
    Gallery,
    Page,
    Picture,
    Prose,
    Table,
    render,
    write_page,
)

VOID = {"meta", "img", "br", "link", "hr"}
PIXEL = "data:image/gif;base64,R0lGODlhAQABAAAAACw="


class Reader(HTMLParser):
    """Collects tags, attributes and text, and fails on a tag that is not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self.text = ""
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(name, value or "") for name, value in attrs]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


EVERYTHING = Page(
    "A title",
    "A lead.",
    (
        Facts("Numbers", (Fact("Dice", "0.863", "0.841 to 0.881"),), "a note on numbers"),
        Table("Rows", ("", "mean"), (("Dice", "0.9"),), "a note on rows"),
        Table("All rows", ("id",), (("a",), ("b",)), folded=True),
        Charts("Curves", (Chart(curve([(0, 1.0), (1, 0.5), (2, 0.25)], "Loss", final_from=1), "Loss by epoch"),)),
        Gallery("Pictures", (Picture(PIXEL, "a case", "case 7", "Dice 0.1"),), (("rgb(0, 1, 2)", "truth"),)),
        Prose("Words", ("One.", "Two.")),
    ),
    ("small print",),
)


def test_every_block_is_on_the_page() -> None:
    text = Reader(render(EVERYTHING)).text
    for expected in (
        *("A title", "A lead.", "Numbers", "0.863", "0.841 to 0.881", "a note on numbers", "a note on rows"),
        *("All rows", "Loss by epoch", "case 7", "Dice 0.1", "truth", "One.", "Two.", "small print"),
    ):
        assert expected in text


def test_a_page_needs_nothing_but_itself() -> None:
    page = Reader(render(EVERYTHING))
    assert not {"script", "link", "iframe", "object"} & set(page.tags)
    fetched = [value for name, value in page.attributes if name in ("src", "href", "xlink:href", "srcset", "data")]
    assert PIXEL in fetched
    assert all(value.startswith(("data:", "#")) for value in fetched)
    assert "url(http" not in render(EVERYTHING)
    assert "@import" not in render(EVERYTHING)


def test_a_page_follows_the_readers_theme() -> None:
    assert "prefers-color-scheme: dark" in render(EVERYTHING)


def test_what_a_page_is_told_is_text_and_not_markup() -> None:
    evil = '<script>"&'
    page = Page(evil, evil, (Table(evil, (evil,), ((evil,),), evil), Prose(evil, (evil,))), (evil,))
    read = Reader(render(page))
    assert "script" not in read.tags
    assert read.text.count(evil) == 10  # once more than it was given: the window has the title too


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    target = tmp_path / "made" / "report.html"
    write_page(target, EVERYTHING)
    assert target.read_text(encoding="utf-8") == render(EVERYTHING)
    assert list(target.parent.iterdir()) == [target]
    blocked = target / "below-a-file.html"
    with pytest.raises(OutputError, match=r"below-a-file\.html"):
        write_page(blocked, EVERYTHING)


def test_a_table_is_markdown_too() -> None:
    table = Table("Rows", ("", "a | b"), (("Dice", "0.9"),), "Note.")
    assert table.markdown() == "|  | a \\| b |\n| --- | ---: |\n| Dice | 0.9 |\n\nNote.\n"


def test_a_chart_has_the_colours_of_the_page_and_no_others() -> None:
    svg = histogram(np.linspace(0, 1, 50), "Dice")
    assert svg.startswith("<svg role=")
    assert not any(drawn in svg for drawn in PAGE_COLOURS)
    assert set(re.findall(r"(?:fill|stroke): ([^;\"]+)", svg)) <= {
        "none",
        *(f"var(--{c})" for c in PAGE_COLOURS.values()),
    }


def test_in_a_histogram_mean_and_median_have_colours_of_their_own() -> None:
    lines = re.findall(r'style="([^"]*)"', histogram(np.linspace(0, 1, 50), "Dice"))
    assert [("dasharray" in style) for style in lines if "stroke: var(--orange)" in style] == [False]
    assert [("dasharray" in style) for style in lines if "stroke: var(--ink)" in style] == [True]


def test_a_chart_says_what_it_is_to_who_cannot_see_it() -> None:
    svg = draw(lambda axes: axes.set(xlabel="epoch"), 'Loss & "Dice"')
    assert 'aria-label="Loss &amp; &quot;Dice&quot;"' in svg


def test_charts_on_one_page_do_not_share_ids() -> None:
    loss, dice = (curve([(0, 1.0), (1, 0.5)], name, final_from=0) for name in ("Loss", "Dice"))
    ids = [set(re.findall(r' id="([^"]+)"', svg)) for svg in (loss, dice)]
    assert all(ids)
    assert not ids[0] & ids[1]


def test_the_same_chart_is_drawn_the_same() -> None:
    points = [(0.0, 0.1), (1.0, 0.4)]
    assert curve(points, "Loss") == curve(points, "Loss")


def test_the_training_that_can_be_folded_is_shaded() -> None:
    points = [(0.0, 0.1), (1.0, 0.4), (2.0, 0.5)]
    assert "var(--shade)" in curve(points, "Dice", final_from=1)
    assert "var(--shade)" not in curve(points, "Dice")


def test_a_single_epoch_is_a_dot_as_it_makes_no_line() -> None:
    assert "fill: var(--blue)" in curve([(0.0, 0.1)], "Loss")
    assert "fill: var(--blue)" not in curve([(0.0, 0.1), (1.0, 0.2)], "Loss")
