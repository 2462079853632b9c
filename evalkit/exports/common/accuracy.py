"""A benchmark of a run as exports write it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from evalkit.compare.comparison import Estimate
from evalkit.exports.common.values import count
from evalkit.records import accuracy
from evalkit.records.accuracy import Cell, Example

_DIGITS = 6  # what lies beyond is the processor's, and bytes must not depend on it


def cell(examples: Sequence[Example], rule: str, benchmark: Mapping[str, object]) -> Cell:
    """One benchmark under one rule; `benchmark` is its block in the record's head."""
    found = accuracy.cell(examples, rule, count(benchmark.get("covered")) or 0)
    return replace(found, estimate=_rounded(found.estimate) if found.estimate else None)


def _rounded(estimate: Estimate) -> Estimate:
    return replace(
        estimate,
        value=round(estimate.value, _DIGITS),
        error=None if estimate.error is None else round(estimate.error, _DIGITS),
        low=round(estimate.low, _DIGITS),
        high=round(estimate.high, _DIGITS),
    )
