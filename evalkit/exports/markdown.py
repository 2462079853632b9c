"""Markdown: one table of all runs with 95 % intervals, in `results.md`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from evalkit.exports.common.files import write
from evalkit.records.record import Record

# Letters, digits and marks that mean nothing in Markdown where they stand.
_PLAIN = re.compile(r"(?:[A-Za-z0-9 .,:;()+/%=\[\]-]|(?<=[A-Za-z0-9])_(?=[A-Za-z0-9]))+")


def export(records: Sequence[Record], out: Path) -> list[Path]:
    """One file, a row a run, best average first."""
    return write([("results.md", _document(records))], out)


def _document(records: Sequence[Record]) -> str:
    from evalkit.exports.common.grid import comparison
    from evalkit.report.markdown import table

    grid = comparison(records)
    body = table([_safe(each) for each in grid.header], [[_safe(each) for each in row] for row in grid.rows])
    return "\n".join([body, "", *(f"{note}  " for note in map(_safe, grid.notes))]) + "\n"


def _safe(text: str) -> str:
    """Plain words as they are, anything else as a code span: titles and names may be anybody's text."""
    from evalkit.report.markdown import code

    linked = any(part in text.lower() for part in ("www.", "://", "]("))
    return text if _PLAIN.fullmatch(text) and not linked else code(text, cap=300)
