"""The tables of what answers do apart from being right, for a comparison's report and a sweep's."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evalkit.behaviour import Behaviour, behaviours
from evalkit.compare.pairs import PairedBenchmark
from evalkit.schema import Estimate
from evalkit.sweep.record import Sweep
from evalkit.text import change, percent, plain, table

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


def sweep_behaviour(sweep: Sweep) -> str:
    """A section of a sweep's report: shares by member, differences to the reference on the same examples.

    Empty where nothing can be told, as of older records.
    """
    of = {member.name: {each.name: each for each in member.behaviours} for member in sweep.members}
    told = [each.name for member in sweep.members for each in member.behaviours if each.candidate]
    names = list(dict.fromkeys(told))
    if not names:
        return ""
    shares, differences = [], []
    for member in sweep.members:
        found = [of[member.name].get(name) for name in names]
        shares.append((plain(member.title), *(percent(each.candidate if each else None) for each in found)))
        if any(each and each.difference for each in found):
            cells = [change(each.difference) if each and each.difference else "-" for each in found]
            differences.append((plain(member.title), *cells))
    header = ("Member", *(plain(name) for name in names))
    parts = ["## How they answer", table(header, shares)]
    if differences:
        parts += ["Difference to the reference, in points:", table(header, differences)]
    return "\n\n".join([*parts, _LEGEND])


def _found(pairs: Sequence[PairedBenchmark]) -> list[Behaviour]:
    return behaviours([each for paired in pairs for each in paired.pairs])


def _row(found: Behaviour) -> tuple[str, ...]:
    difference = change(found.difference) if found.difference else "-"
    return (found.name, percent(found.reference), percent(found.candidate), difference)


def _numbers(estimate: Estimate | None) -> dict[str, float | int | None] | None:
    if estimate is None:
        return None
    return {"value": estimate.value, "low": estimate.low, "high": estimate.high, "n": estimate.n}
