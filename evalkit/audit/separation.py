"""How far apart published scores are, when all that is known of them is a percentage and a number of items.

Independent right-or-wrong items are assumed, one sample each, and rows that answered independently. Items
that belong together (turns of a dialogue, questions of a page) make the true error larger; rows that answered
the same items make that of their difference smaller, but a table says nothing of single items.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator
from dataclasses import dataclass
from decimal import Decimal

from evalkit.audit.table import PrintedRow, PublishedTable, mean
from evalkit.stats.error import wilson

Z = 1.96


@dataclass(frozen=True, slots=True)
class Interval:
    """The 95 % interval that a published score implies at its n, in per cent; None where n is not stated."""

    row: str
    benchmark: str
    score: Decimal
    n: int | None
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Pair:
    """Two rows whose averages are `difference` points and `z` standard errors apart, the better one first."""

    first: str
    second: str
    difference: Decimal
    z: float


def implied(score: Decimal, n: int | None) -> tuple[float, float] | None:
    """Wilson's 95 % interval of a percentage of n items, in per cent; None without n."""
    if n is None:
        return None
    low, high = wilson(round(score * n / 100), n)
    return 100 * low, 100 * high


def intervals(table: PublishedTable) -> Iterator[Interval]:
    """Every score of the table with the interval that it implies."""
    for row in table.rows:
        for name, column in table.benchmarks.items():
            bounds = implied(row.scores[name], column.n)
            low, high = bounds if bounds is not None else (None, None)
            yield Interval(row.title, name, row.scores[name], column.n, low, high)


def score_z(one: Decimal, other: Decimal, n: int | None) -> float | None:
    """The difference of two scores in standard errors; None without n, or if both are 0 or 100."""
    if n is None:
        return None
    error = math.sqrt(_variance(one, n) + _variance(other, n))
    return float(one - other) / 100 / error if error else None


def assumed_n(table: PublishedTable) -> int | None:
    """What is taken for n where it is not stated: the smallest that is stated."""
    return min((column.n for column in table.benchmarks.values() if column.n is not None), default=None)


def average_error(table: PublishedTable, row: PrintedRow) -> float | None:
    """Standard error of a row's average, in points; None if no n is stated at all."""
    fallback = assumed_n(table)
    if fallback is None:
        return None
    variances = (
        _variance(row.scores[name], column.n or fallback) for name, column in table.benchmarks.items()
    )
    return 100 * math.sqrt(math.fsum(variances)) / len(table.benchmarks)


def unseparated(table: PublishedTable) -> Iterator[Pair]:
    """Pairs of rows whose averages, as recomputed, differ by less than 1.96 standard errors.

    Each pair by itself, without a correction for how many there are: with one, more would be.
    """
    ranked = sorted(table.rows, key=lambda row: mean(table, row.scores), reverse=True)
    for first, second in itertools.combinations(ranked, 2):
        errors = average_error(table, first), average_error(table, second)
        if errors[0] is None or errors[1] is None:
            continue
        difference = mean(table, first.scores) - mean(table, second.scores)
        error = math.hypot(errors[0], errors[1])
        z = float(difference) / error if error else math.inf
        if z < Z:
            yield Pair(first.title, second.title, difference, z)


def _variance(score: Decimal, n: int) -> float:
    p = float(score) / 100
    return p * (1 - p) / n
