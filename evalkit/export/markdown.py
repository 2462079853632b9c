"""Markdown: one table of all runs with 95 % intervals, in `results.md`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from evalkit.export import write_export
from evalkit.run.info import Run

# Letters, digits and marks that mean nothing in Markdown where they stand.
_PLAIN = re.compile(r"(?:[A-Za-z0-9 .,:;()+/%=\[\]-]|(?<=[A-Za-z0-9])_(?=[A-Za-z0-9]))+")


def export(runs: Sequence[Run], out: Path) -> list[Path]:
    """One file, a row a run, best average first."""
    return write_export([("results.md", _document(runs))], out)


def _document(runs: Sequence[Run]) -> str:
    from evalkit.export.tables import comparison
    from evalkit.text import table

    grid = comparison(runs)
    body = table([_safe(each) for each in grid.header], [[_safe(each) for each in row] for row in grid.rows])
    return "\n".join([body, "", *(f"{note}  " for note in map(_safe, grid.notes))]) + "\n"


def _safe(text: str) -> str:
    """Plain words as they are, anything else as a code span: titles and names may be anybody's text."""
    from evalkit.text import code

    linked = any(part in text.lower() for part in ("www.", "://", "]("))
    return text if _PLAIN.fullmatch(text) and not linked else code(text, cap=300)
