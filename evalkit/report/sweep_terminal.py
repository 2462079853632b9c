"""What the terminal shows of a sweep: one compact table, and what must be known of it."""

from __future__ import annotations

from collections.abc import Iterator

from rich.box import SIMPLE_HEAD
from rich.console import Group
from rich.table import Table
from rich.text import Text

from evalkit.compare.comparison import AVERAGE
from evalkit.compare.report import change
from evalkit.compare.wording import printable
from evalkit.report import sweep_cells as cells
from evalkit.report.curves.texts import panels
from evalkit.sweep.recommend import overall, steps
from evalkit.sweep.record import Sweep

_WIDE = 110


def to_terminal(sweep: Sweep, width: int) -> Group:
    """The table with what must be known of it, for rich; lesser columns are left out below 110 characters."""
    return Group(_table(sweep, width), *(Text(line) for line in _terminal_lines(sweep)))


def _table(sweep: Sweep, width: int) -> Table:
    made = Table(box=SIMPLE_HEAD)
    wide = width >= _WIDE
    columns = ["member", *(["file", "bits"] if wide else []), "peak", *(["decode tok/s"] if wide else [])]
    for column in [*columns, "accuracy %", *(["difference"] if wide else []), "verdict"]:
        left = column in ("member", "verdict")
        made.add_column(column, justify="left" if left else "right", overflow="fold")
    first = panels(sweep)[0][0] if panels(sweep) else AVERAGE
    for member in sweep.members:
        decisive = overall(member)
        speed = member.cost.decode_tokens_per_second if member.cost else None
        row = [
            printable(member.title),
            *([cells.file_size(member), cells.bits(member)] if wide else []),
            cells.peak(member),
            *([cells.number(speed)] if wide else []),
            cells.accuracy(member.accuracy.get(first)),
            *([change(decisive.difference) if decisive else "-"] if wide else []),
            cells.verdict(sweep, member, decisive),
        ]
        made.add_row(*(Text(cell) for cell in row))
    return made


def _terminal_lines(sweep: Sweep) -> Iterator[str]:
    if text := cells.requantized(sweep):
        yield text
    for member in sweep.members:
        if member.status != "done":
            yield f"{printable(member.title)} {member.status}: {printable(member.reason or '', 200)}"
        for warning in member.weights.warnings if member.weights else ():
            yield f"{printable(member.title)} contradicts its recipe: {printable(warning, 200)}"
    found = steps(sweep)
    yield from cells.step_lines(sweep, found, [printable(step.member.title) for step in found])
