"""table.csv of a sweep: one row a member, raw values, everything that the record says of it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping

from evalkit.compare.comparison import Comparison
from evalkit.report.curves.texts import panels
from evalkit.report.spreadsheet import safe
from evalkit.report.sweep_cells import fronts
from evalkit.sweep.record import Member, Sweep

_WEIGHTS = ("file", "sha256", "size_bytes", "bits_per_weight", "claimed", "found", "requantized_from")
_COST = (
    *(
        "context",
        "slots",
        "peak_memory_bytes",
        "gpu_memory_bytes",
        "load_seconds",
        "prefill_tokens_per_second",
    ),
    *("decode_tokens_per_second", "first_token_seconds", "throughput_tokens_per_second", "tokens_per_answer"),
    *("energy_joules", "wall_seconds"),
)


def table(sweep: Sweep) -> str:
    """The table as CSV. Bytes, seconds and joules; accuracies and differences are fractions of 1."""
    best, holm = fronts(sweep), mcnemar_holm(sweep)
    rows = [
        _member(member) | {"pareto_front": best[member.name]} | _scores(sweep, member, holm)
        for member in sweep.members
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]) if rows else ["member"], lineterminator="\n")
    writer.writeheader()
    writer.writerows({key: safe(value) for key, value in row.items()} for row in rows)
    return text.getvalue()


def mcnemar_holm(sweep: Sweep) -> dict[tuple[str, str], float | None]:
    """(member, benchmark) -> McNemar's p after Holm's correction over all members and benchmarks."""
    from evalkit.stats.family import holm

    tests = {
        (member.name, found.benchmark): found.p_mcnemar
        for member in sweep.members
        for found in member.comparisons
    }
    return dict(zip(tests, holm(list(tests.values())), strict=True))


def _member(member: Member) -> dict[str, object]:
    weights, cost = member.weights, member.cost
    return {
        "member": member.name,
        "title": member.title,
        "status": member.status,
        "reason": member.reason,
        **{key: getattr(weights, key, None) for key in _WEIGHTS},
        **{key: getattr(cost, key, None) for key in _COST},
        "predicted_memory_bytes": cost.predicted.total if cost and cost.predicted else None,
        "truncated": member.truncated,
    }


def _scores(sweep: Sweep, member: Member, holm: Mapping[tuple[str, str], float | None]) -> dict[str, object]:
    cells: dict[str, object] = {}
    for name, _ in panels(sweep):
        estimate, found = member.accuracy.get(name), member.compared(name)
        for key in ("value", "error", "low", "high", "n"):
            cells[f"{name}_accuracy_{key}"] = getattr(estimate, key, None)
        cells |= {f"{name}_{key}": value for key, value in _difference(found).items()}
        cells[f"{name}_p_mcnemar_holm"] = holm.get((member.name, name))
    return cells


def _difference(found: Comparison | None) -> dict[str, object]:
    difference, flips = (found.difference, found.flips) if found else (None, None)
    return {
        **{f"difference_{key}": getattr(difference, key, None) for key in ("value", "low", "high")},
        "verdict": found.verdict.kind if found else None,
        "needed_n": found.verdict.needed_n if found else None,
        **{
            key: getattr(flips, key, None)
            for key in ("right_to_wrong", "wrong_to_right", "wrong_to_other_wrong")
        },
        **{
            key: getattr(found, key, None)
            for key in ("p_mcnemar", "adjusted_p_difference", "adjusted_p_non_inferior", "detectable")
        },
    }
