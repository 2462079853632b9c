"""Accuracy per benchmark and rule from a record's rows."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evalkit.compare.comparison import Estimate
from evalkit.judge.verdicts import JUDGED
from evalkit.records.record import Record, Row
from evalkit.scorers import DEFAULT

Example = Sequence[Row]
"""The samples of one example, in order."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One benchmark of a run under one `rule`. `estimate` is None where nothing is scored (free text).

    `covered` examples were asked, `unscored` have no rule, `failed` no answer, `truncated` were cut off.
    """

    estimate: Estimate | None
    covered: int
    unscored: int
    failed: int
    truncated: int
    rule: str = DEFAULT


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


def counting_rule(examples: Iterable[Example]) -> str:
    """The rule whose number counts: the default one, or `judged` where it scores nothing and a judge does.

    Rows have verdicts under `judged` only where the judge is fit, or its scores were asked for by force.
    """
    scored = {
        rule
        for rows in examples
        for row in rows
        for rule, verdict in row.verdicts.items()
        if verdict.score is not None
    }
    return JUDGED if JUDGED in scored and DEFAULT not in scored else DEFAULT


def score(example: Example, rule: str) -> float | None:
    """The mean score of an example's samples under a rule, None where none is scored."""
    verdicts = (row.verdicts.get(rule) for row in example)
    scores = [verdict.score for verdict in verdicts if verdict is not None and verdict.score is not None]
    return statistics.fmean(scores) if scores else None


def cell(examples: Sequence[Example], rule: str, covered: int) -> Cell:
    """One benchmark under one rule, of which `covered` examples were asked."""
    from evalkit.stats.paired import mean_estimate

    values: list[float] = []
    clusters: list[str] = []
    failed = 0
    for rows in examples:
        value = score(rows, rule)
        if value is not None:
            values.append(value)
            clusters.append(rows[0].group)
        else:
            failed += any(row.error is not None for row in rows)
    return Cell(
        estimate=mean_estimate(values, clusters) if values else None,
        covered=covered,
        unscored=len(examples) - len(values) - failed,
        failed=failed,
        truncated=sum(any(row.finish_reason == "length" for row in rows) for rows in examples),
        rule=rule,
    )
