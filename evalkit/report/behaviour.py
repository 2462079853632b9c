"""The table of what answers do apart from being right, for a comparison's report."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evalkit.behaviour import Behaviour, behaviours
from evalkit.compare.pairs import PairedBenchmark
from evalkit.schema import Estimate
from evalkit.text import change, percent, table

_LEGEND = (
    "Shares of the answers of which it can be told, in per cent, with 95 % intervals; the difference is of "
    "the same examples. *Language*: Chinese or not, of what follows the reasoning. *Refused*: it says that "
    "it cannot answer, and no answer is found in it."
)


def behaviour_parts(pairs: Sequence[PairedBenchmark]) -> list[str]:
    """The section of comparison.md; empty where nothing can be told."""
    rows = [_row(each) for each in _found(pairs) if each.reference or each.candidate]
    if not rows:
        return []
    header = ("Of the answers", "Reference", "Candidate", "Difference [95 %]")
    return ["## How they answer", table(header, rows), _LEGEND]


def behaviour_json(pairs: Sequence[PairedBenchmark]) -> dict[str, Any]:
    """The same for comparison.json: fractions of 1, by name."""
    return {
        each.name: {
            "reference": _numbers(each.reference),
            "candidate": _numbers(each.candidate),
            "difference": _numbers(each.difference),
        }
        for each in _found(pairs)
    }


def _found(pairs: Sequence[PairedBenchmark]) -> list[Behaviour]:
    return behaviours([each for paired in pairs for each in paired.pairs])


def _row(found: Behaviour) -> tuple[str, ...]:
    difference = change(found.difference) if found.difference else "-"
    return (found.name, percent(found.reference), percent(found.candidate), difference)


def _numbers(estimate: Estimate | None) -> dict[str, float | int | None] | None:
    if estimate is None:
        return None
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n}
