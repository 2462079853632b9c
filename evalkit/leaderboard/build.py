"""Everything derived under results/, as bytes."""

from __future__ import annotations

from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path

from evalkit.audit.against import against
from evalkit.audit.audit import audit
from evalkit.audit.table import DEFAULT, read_table, table_names
from evalkit.leaderboard.board import Problem
from evalkit.leaderboard.collect import collect
from evalkit.leaderboard.data import to_csv, to_json
from evalkit.leaderboard.make import board_of
from evalkit.leaderboard.place import FOLDERS, MANIFEST
from evalkit.leaderboard.tables import notes, published_notes, to_markdown
from evalkit.report.curves import curves
from evalkit.report.sweep import report
from evalkit.report.sweep_csv import table
from evalkit.site.build import site
from evalkit.sweep.record import Sweep


def build(results: Path, *, local: bool) -> tuple[dict[str, bytes], list[Problem]]:
    """Every derived file by its path relative to `results`; the same records give the same bytes.

    Args:
        local: whether runs and sweeps count that are only on this machine.

    Returns:
        The files, and what is not shown and why.
    """
    found = collect(results, local=local)
    published = [read_table(name) for name in table_names()]
    audits = [audit(each) for each in published]
    board = board_of(found.records, published, found.problems)
    compared = {each.name: against(board, each) for each in published}
    lines = [*notes(board), *published_notes(board, published)]
    files = {
        "leaderboard.md": to_markdown(board, published, found.sweeps, audits, compared).encode(),
        "leaderboard.csv": to_csv(board).encode(),
        "leaderboard.json": to_json(board, lines).encode(),
    }
    for name, sweep in found.sweeps.items():
        files |= {f"curves/{name}/{file}": content for file, content in _sweep(sweep).items()}
    pages = site(
        board,
        found.records,
        list(found.sweeps.values()),
        next(each for each in audits if each.name == DEFAULT),
        compared[DEFAULT],
    )
    files |= {f"site/{file}": content for file, content in pages.items()}
    return {**files, MANIFEST: manifest_of(files)}, list(board.problems)


def _sweep(sweep: Sweep) -> dict[str, bytes]:
    # Without the PNGs: a compressor's bytes depend on the processor that it runs on.
    figures = {name: content for name, content in curves(sweep).items() if name.endswith(".svg")}
    return {"report.md": report(sweep).encode(), "table.csv": table(sweep).encode(), **figures}


def manifest_of(files: Mapping[str, bytes]) -> bytes:
    """The manifest of these files, in the format of sha256sum: what a later run may remove."""
    ours = sorted(name for name in files if name.startswith(tuple(f"{folder}/" for folder in FOLDERS)))
    return "".join(f"{sha256(files[name]).hexdigest()}  {name}\n" for name in ours).encode()
