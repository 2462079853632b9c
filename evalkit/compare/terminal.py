"""A comparison on the terminal: tables, and every text that is somebody else's made printable."""

from __future__ import annotations

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from evalkit.compare.compared import Compared
from evalkit.compare.cost import cost_rows
from evalkit.compare.document import FLIP_HEADER, flip_cells, mixed
from evalkit.compare.flips import Flip
from evalkit.compare.report import legend, not_compared, tables
from evalkit.compare.wording import printable, shown


def show(compared: Compared, flips: Sequence[Flip], examples: int, console: Console) -> None:
    """Print a comparison, with up to `examples` of its flips."""

    def say(text: str, style: str = "") -> None:
        console.print(text, style=style, highlight=False, markup=False, soft_wrap=True)

    for which, side in (("reference", compared.reference), ("candidate", compared.candidate)):
        say(f"{which}: {printable(side.title)} ({side.path})")
    for name, before, after in compared.differences:
        say(f"{name}: {shown(before)} in the reference's run, {shown(after)} in the candidate's")
    for rows in tables(compared):
        console.print(_table(rows.header, rows.rows, rows.text_columns))
    for line in legend(compared):
        say(line, "dim")
    for line in not_compared(compared):
        say(line)
    costs = cost_rows(compared.reference, compared.candidate)
    if costs:
        console.print(_table(("Cost", "Reference", "Candidate"), costs))
    if flips and examples:
        say(f"{min(examples, len(flips))} of {len(flips)} flips:")
        cells = [flip_cells(flip) for flip in mixed(flips, examples)]
        console.print(_table(FLIP_HEADER, cells, text_columns=len(FLIP_HEADER)))


def _table(header: Sequence[str], rows: Sequence[Sequence[str]], text_columns: int = 1) -> Table:
    table = Table(box=SIMPLE_HEAD)
    for index, name in enumerate(header):
        table.add_column(name, justify="left" if index < text_columns else "right", overflow="fold")
    for row in rows:
        table.add_row(*(Text(printable(text)) for text in row))
    return table
