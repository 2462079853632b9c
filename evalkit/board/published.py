"""Measured scores against the published ones of the same model, and what else differs between the two."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal

from evalkit.audit import implied
from evalkit.board.board import Board, BoardEntry
from evalkit.metrics import Result
from evalkit.published import PrintedRow, PublishedTable
from evalkit.schema import Estimate
from evalkit.text import code, table

_TOLERANCE = 0.1  # "7B" is printed for 7.6e9 parameters
_UNITS = {"B": 1e9, "M": 1e6}


@dataclass(frozen=True, slots=True)
class PublishedDifference:
    """One benchmark of a measured entry beside the published score of its model.

    `difference` is measured - published, in points; `low` and `high` are its 95 % interval with the errors
    of both, None where the published n is not stated. `differences` says what else is not the same.
    """

    model: str
    run: str
    row: str
    benchmark: str
    measured: Estimate
    published: Decimal
    published_n: int | None
    difference: float
    low: float | None
    high: float | None
    differences: tuple[str, ...]


def against(board: Board, table: PublishedTable) -> list[PublishedDifference]:
    """Every scored benchmark of the measured entries that are a model of the table, or a file of one."""
    return [
        _against(entry, row, cell, cell.estimate, table)
        for entry in board.measured
        if (row := row_of(entry, table)) is not None
        for name, cell in entry.cells.items()
        if cell.estimate is not None and name in table.benchmarks
    ]


def row_of(entry: BoardEntry, table: PublishedTable) -> PrintedRow | None:
    """The row of an entry's model: of the same name, or the longest that it continues, as large.

    So fin-r1-q4_k is a file of fin-r1, and deepseek-r1-distill-x is none of deepseek-r1.
    """
    rows = {row.model: row for row in table.rows}
    if entry.model in rows:
        return rows[entry.model]
    starts = sorted((name for name in rows if entry.model.startswith(f"{name}-")), key=len, reverse=True)
    return next((rows[name] for name in starts if _as_large(entry.parameters, rows[name].parameters)), None)


def _as_large(parameters: int | None, printed: str) -> bool:
    unit = _UNITS.get(printed[-1:])
    if parameters is None or unit is None:
        return False
    return abs(float(printed[:-1]) * unit - parameters) <= _TOLERANCE * parameters


def _against(
    entry: BoardEntry, row: PrintedRow, cell: Result, measured: Estimate, table: PublishedTable
) -> PublishedDifference:
    name = cell.benchmark
    printed, n = row.scores[name], table.benchmarks[name].n
    difference = 100 * measured.value - float(printed)
    low, high = _interval(measured, printed, n)
    return PublishedDifference(
        model=entry.title,
        run=entry.run,
        row=row.title,
        benchmark=name,
        measured=measured,
        published=printed,
        published_n=n,
        difference=difference,
        low=low,
        high=high,
        differences=tuple(_differences(entry, row, cell, table)),
    )


def _interval(measured: Estimate, printed: Decimal, n: int | None) -> tuple[float | None, float | None]:
    """Limits of the difference from the limits of both scores, in points.

    Newcombe (1998), Stat. Med. 17: 873-890, method 10: the two gaps that work in the same direction add up in
    squares. Two independent samples are assumed.
    """
    bounds = implied(printed, n)
    if bounds is None:
        return None, None
    ours, theirs = 100 * measured.value, float(printed)
    below = math.hypot(ours - 100 * measured.low, bounds[1] - theirs)
    above = math.hypot(100 * measured.high - ours, theirs - bounds[0])
    return ours - theirs - below, ours - theirs + above


def _differences(entry: BoardEntry, row: PrintedRow, cell: Result, table: PublishedTable) -> Iterator[str]:
    protocol, column = table.protocol, table.benchmarks[cell.benchmark]
    if entry.model != row.model:
        yield f"file: {entry.model} here, the model as released there"
    if entry.protocol != protocol.name:
        yield (
            f"protocol: {entry.protocol} here; temperature {protocol.temperature:g}, "
            f"top_p {protocol.top_p:g}, {protocol.max_tokens:,} tokens there"
        )
    yield f"rule: {cell.rule} here; {protocol.judge} as judge there"
    there = f"{column.n:,}" if column.n else "an unknown number"
    yield f"items: {cell.n:,} of data={entry.data} here; {there} there ({column.note})"


def published_differences(rows: Sequence[PublishedDifference], titles: dict[str, str]) -> str:
    """The comparisons as a Markdown table.

    Args:
        titles: of the benchmarks, by name.
    """
    if not rows:
        return "No measured entry is a model of the published table.\n"
    header = ["Measured", "Benchmark", "Measured %", "Published %", "Difference [95 %]", "What else differs"]
    body = [
        [
            code(row.model),
            titles[row.benchmark],
            f"{100 * row.measured.value:.1f}",
            f"{row.published}",
            _shown(row),
            "; ".join(code(text, cap=160) for text in row.differences),
        ]
        for row in rows
    ]
    return table(header, body, text_columns=2) + "\n"


def _shown(row: PublishedDifference) -> str:
    if row.low is None or row.high is None:
        return f"{row.difference:+.1f} (published n not stated)"
    return f"{row.difference:+.1f} [{row.low:+.1f}, {row.high:+.1f}]"
