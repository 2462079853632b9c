"""Accuracy per benchmark and rule from a record's rows."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from evalkit.compare.comparison import Estimate
from evalkit.exports.common.values import count
from evalkit.leaderboard.board import Cell
from evalkit.records.record import Record, Row
from evalkit.scorers import DEFAULT

Example = Sequence[Row]
"""The samples of one example, in order."""

_DIGITS = 6  # what lies beyond is the processor's, and bytes must not depend on it


def examples_of(record: Record) -> dict[str, list[Example]]:
    """The examples of every benchmark of a run, in the run's order; empty where nothing was answered."""
    found: dict[tuple[str, str, int | None], list[Row]] = defaultdict(list)
    for row in record.rows:
        found[row.benchmark, row.id, row.turn].append(row)
    by_benchmark: dict[str, list[Example]] = {name: [] for name in record.head.benchmarks}
    for (benchmark, _, _), rows in found.items():
        by_benchmark[benchmark].append(sorted(rows, key=lambda row: row.sample))
    return by_benchmark


def rules_of(examples: Iterable[Example]) -> list[str]:
    """The default rule, then the others that judged any of the examples, sorted."""
    found = {rule for rows in examples for row in rows for rule in row.verdicts}
    return [DEFAULT, *sorted(found - {DEFAULT})]


def score(example: Example, rule: str) -> float | None:
    """The mean score of an example's samples under a rule, None where none is scored."""
    verdicts = (row.verdicts.get(rule) for row in example)
    scores = [verdict.score for verdict in verdicts if verdict is not None and verdict.score is not None]
    return statistics.fmean(scores) if scores else None


def cell(examples: Sequence[Example], rule: str, benchmark: Mapping[str, object]) -> Cell:
    """One benchmark under one rule; `benchmark` is its block in the record's head."""
    scores = [score(rows, rule) for rows in examples]
    return Cell(
        estimate=_estimate(examples, scores),
        covered=count(benchmark.get("covered")) or 0,
        unscored=sum(each is None and not _failed(rows) for each, rows in zip(scores, examples, strict=True)),
        failed=sum(each is None and _failed(rows) for each, rows in zip(scores, examples, strict=True)),
        truncated=sum(any(row.finish_reason == "length" for row in rows) for rows in examples),
    )


def _failed(example: Example) -> bool:
    return any(row.error is not None for row in example)


def _estimate(examples: Sequence[Example], scores: Sequence[float | None]) -> Estimate | None:
    from evalkit.stats.paired import mean_estimate

    scored = [(each, rows[0].group) for each, rows in zip(scores, examples, strict=True) if each is not None]
    if not scored:
        return None
    found = mean_estimate([value for value, _ in scored], [group for _, group in scored])
    return Estimate(
        value=round(found.value, _DIGITS),
        error=None if found.error is None else round(found.error, _DIGITS),
        low=round(found.low, _DIGITS),
        high=round(found.high, _DIGITS),
        n=found.n,
        clusters=found.clusters,
    )
