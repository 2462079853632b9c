"""The judge's reports on the terminal; text that is somebody else's is made printable."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from evalkit.compare.wording import printable

_LINE_CHARS = 400


def show_table(console: Console, title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table of text; columns after the first two are aligned right."""
    table = Table(box=SIMPLE_HEAD, title=title or None, title_justify="left", title_style="bold")
    for index, name in enumerate(header):
        table.add_column(name, justify="left" if index < 2 else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(cell)) for cell in row))
    console.print(table)


def show_lines(console: Console, lines: Iterable[str], style: str = "") -> None:
    """Print lines as they are."""
    for line in lines:
        text = printable(line, cap=_LINE_CHARS)
        console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)
