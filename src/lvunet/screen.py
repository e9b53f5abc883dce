"""How the command line speaks: results to standard output; complaints and progress to standard error."""

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import Progress
from rich.table import Table

out = Console(highlight=False, width=None if sys.stdout.isatty() else 120)  # a file has room for a table
err = Console(stderr=True, highlight=False)


def say(message: str) -> None:
    """Print one line, as it is."""
    out.print(message, markup=False, soft_wrap=True)


def complain(message: str) -> None:
    """Print what is wrong."""
    err.print(f"lvunet: {message}", style="red", markup=False, soft_wrap=True)


def show(title: str, head: Sequence[str], rows: Sequence[Sequence[str]], note: str = "", *, words: int = 1) -> None:
    """Print a table; so many columns are words, the others numbers."""
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for place, column in enumerate(head):
        table.add_column(column, justify="left" if place < words or not column else "right", no_wrap=place == 0)
    for row in rows:
        table.add_row(*map(escape, row))  # of a table in [brackets] rich would make a style
    out.print(table)
    if note:
        say(note)


@contextmanager
def progress(doing: str, total: int) -> Iterator[Callable[[], None]]:
    """Show a bar in a terminal while the block runs; it is given a function that counts one more as done."""
    with Progress(console=err, transient=True, disable=not err.is_interactive) as bar:
        task = bar.add_task(doing, total=total)
        yield lambda: bar.advance(task)
