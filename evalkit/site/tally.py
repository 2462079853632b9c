"""Accuracies from a record's rows: per example the mean over its samples, with clustered intervals."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from evalkit.compare.comparison import Estimate
from evalkit.records.record import Row


@dataclass(frozen=True, slots=True)
class Item:
    """A scored example under one rule: the mean score of its samples, its cluster and its facets."""

    value: float
    group: str
    facets: dict[str, Any]


def items(rows: Iterable[Row], rule: str) -> list[Item]:
    """The examples of one benchmark that `rule` scores, in the order of the rows."""
    samples: dict[tuple[str, int | None], list[tuple[Row, float]]] = defaultdict(list)
    for row in rows:
        verdict = row.verdicts.get(rule)
        if verdict is not None and verdict.score is not None:
            samples[row.id, row.turn].append((row, verdict.score))
    return [
        Item(statistics.fmean(score for _, score in each), each[0][0].group, each[0][0].facets)
        for each in samples.values()
    ]


def accuracy(found: Sequence[Item], clustered: bool = True) -> Estimate | None:
    """The mean with its interval, clustered by group; None without items.

    ``clustered=False`` is for items of one given group (a task's file): then its rows are the sample.
    """
    from evalkit.stats.paired import mean_estimate

    if not found:
        return None
    clusters = [item.group if clustered else str(number) for number, item in enumerate(found)]
    return mean_estimate([item.value for item in found], clusters)
