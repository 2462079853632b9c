"""leaderboard.json and leaderboard.csv: the board for other tools."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

from evalkit.compare.comparison import Estimate
from evalkit.leaderboard.board import Board, Measured, PublishedRow
from evalkit.report.spreadsheet import safe

SCHEMA = 1
"""Version of leaderboard.json."""

DIGITS = 6
"""Decimals of a fraction in both files: further ones depend on the processor, and bytes must not."""

_FACTS = ("title", "parameters", "rule", "protocol", "data", "run", "file", "family")
_COSTS = ("size_bytes", "bits_per_weight", "peak_memory_bytes", "decode_tokens_per_second")
_COUNTS = ("covered", "unscored", "failed", "truncated")


def to_json(board: Board, notes: Sequence[str]) -> str:
    """The board as JSON: measured accuracies are fractions of 1, published ones per cent as printed."""
    content = {"schema": SCHEMA, "notes": list(notes), **asdict(board)}
    return json.dumps(_rounded(content), ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _rounded(node: Any) -> Any:  # noqa: ANN401 - any JSON
    if isinstance(node, float):
        return round(node, DIGITS) + 0.0
    if isinstance(node, dict):
        return {key: _rounded(value) for key, value in node.items()}
    return [_rounded(value) for value in node] if isinstance(node, list | tuple) else node


def to_csv(board: Board) -> str:
    """The board as CSV, all accuracies in per cent: `kind` is measured or published.

    A benchmark has the columns NAME, NAME_low, NAME_high (95 % interval) and NAME_n (scored examples), and
    NAME_covered, NAME_unscored, NAME_failed, NAME_truncated (examples).
    """
    rows = [_measured(entry) for entry in board.measured] + [_published(row) for row in board.published]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(_columns(board)), restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: safe(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def _columns(board: Board) -> Iterator[str]:
    yield from ("kind", "model", "table", *_FACTS, *_estimate_columns("average"), "benchmarks", *_COSTS)
    for name in board.benchmarks:
        yield from (*_estimate_columns(name), *(f"{name}_{count}" for count in _COUNTS))


def _estimate_columns(name: str) -> tuple[str, ...]:
    return name, f"{name}_low", f"{name}_high", f"{name}_n"


def _measured(entry: Measured) -> dict[str, Any]:
    row: dict[str, Any] = {"kind": "measured", "model": entry.model}
    row |= {name: getattr(entry, name) for name in (*_FACTS, *_COSTS)}
    row |= _estimate("average", entry.average)
    row["benchmarks"] = sum(cell.estimate is not None for cell in entry.cells.values())
    for name, cell in entry.cells.items():
        row |= _estimate(name, cell.estimate)
        row |= {f"{name}_{count}": getattr(cell, count) for count in _COUNTS}
    return row


def _published(row: PublishedRow) -> dict[str, Any]:
    facts = {"kind": "published", "model": row.model, "table": row.table, "title": row.title}
    scores = {"parameters": row.parameters, "average": row.average, "benchmarks": len(row.scores)}
    return {**facts, **scores, **row.scores}


def _estimate(name: str, estimate: Estimate | None) -> dict[str, float | int]:
    if estimate is None:
        return {}
    limits = [round(100 * limit, DIGITS - 2) + 0.0 for limit in (estimate.value, estimate.low, estimate.high)]
    return dict(zip(_estimate_columns(name), [*limits, estimate.n], strict=True))
