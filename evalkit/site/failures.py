"""How answers fail: the taxonomy per run, with truncation and length beside it.

A low-bit quantization can fail by rambling rather than by arithmetic, and a token cap can pass for a loss of
accuracy: so accuracy, length and truncation stand together.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from evalkit.compare.comparison import Estimate
from evalkit.records.record import Row
from evalkit.report.sections.failures import nearest_rank
from evalkit.scorers.verdict import Failure
from evalkit.site.runs import Run
from evalkit.site.tally import accuracy, items


@dataclass(frozen=True, slots=True)
class Line:
    """One run: outputs by kind of failure. ``abandoned`` is None where it was not looked for."""

    run: Run
    outputs: int
    kinds: Counter[str]
    truncated: int
    abandoned: int | None
    tokens_median: float | None
    tokens_p95: int | None
    all: Estimate | None
    untruncated: Estimate | None


@dataclass(frozen=True, slots=True)
class Part:
    """One benchmark; `kinds` are those that occur, in the taxonomy's order."""

    title: str
    kinds: list[str]
    lines: list[Line]


def parts(titles: Mapping[str, str], runs: Sequence[Run]) -> list[Part]:
    """The benchmarks that any run has answered."""
    found = []
    for name, title in titles.items():
        lines = [_line(run, rows, run.rule(name)) for run in runs if (rows := run.rows(name))]
        if lines:
            occurring = set().union(*(line.kinds for line in lines))
            order = {kind: place for place, kind in enumerate(get_args(Failure))}
            kinds = sorted(occurring, key=lambda kind: (order.get(kind, len(order)), kind))
            found.append(Part(title, kinds, lines))
    return found


def _line(run: Run, rows: Sequence[Row], rule: str) -> Line:
    judged = [row for row in rows if rule in row.verdicts]
    tokens = sorted(row.completion_tokens for row in judged if row.completion_tokens is not None)
    marked = [row.abandoned for row in judged if row.abandoned is not None]
    whole = [row for row in judged if not _truncated(row, rule)]
    return Line(
        run=run,
        outputs=len(judged),
        kinds=Counter(row.verdicts[rule].failure for row in judged),
        truncated=len(judged) - len(whole),
        abandoned=sum(marked) if marked else None,
        tokens_median=statistics.median(tokens) if tokens else None,
        tokens_p95=nearest_rank(tokens, 0.95) if tokens else None,
        all=accuracy(items(judged, rule)),
        untruncated=accuracy(items(whole, rule)),
    )


def _truncated(row: Row, rule: str) -> bool:
    return row.finish_reason == "length" or row.verdicts[rule].failure == "truncated"
