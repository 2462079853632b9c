"""A pairwise comparison as pairwise.json and pairwise.md."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evalkit.compare.comparison import Estimate
from evalkit.judge.pairwise import Judged, Tally, finding
from evalkit.report.markdown import code, plain, table

SCHEMA = 1
HEADER = (
    "Benchmark",
    "Pairs",
    "Win",
    "Tie",
    "Loss",
    "Inconsistent",
    "Errors",
    "Win rate",
    "p",
    "First wins",
)


@dataclass(frozen=True, slots=True)
class Pairwise:
    """What is said of two runs. ``judge`` is the judge's name and identity, ``settings`` n and seed."""

    a: str
    b: str
    judge: Mapping[str, Any]
    settings: Mapping[str, Any]
    tallies: Sequence[Tally]
    played: Sequence[Judged]

    @property
    def errors(self) -> int:
        return sum(found.error for found in self.tallies)


def to_json(found: Pairwise) -> str:
    content = {
        "schema": SCHEMA,
        "a": found.a,
        "b": found.b,
        "judge": found.judge,
        "settings": found.settings,
        "benchmarks": {each.benchmark: asdict(each) for each in found.tallies},
        "pairs": [_pair(each) for each in found.played],
    }
    return json.dumps(content, ensure_ascii=False, indent=2) + "\n"


def _pair(each: Judged) -> dict[str, Any]:
    benchmark, id_, turn, sample = each.match.name
    place = {"benchmark": benchmark, "id": id_, "turn": turn, "sample": sample}
    return {**place, "outcome": each.outcome, "judged": each.judged, "first_won": each.first_won}


def to_markdown(found: Pairwise) -> str:
    rows = [[code(row[0]), *row[1:]] for row in rows_of(found)]
    parts = [
        f"# {plain(found.a)} against {plain(found.b)}",
        f"Judge: {plain(str(found.judge['name']))}. A is {plain(found.a)}.",
        *(plain(line, cap=400) for line in findings(found)),
        table(HEADER, rows),
        "\n".join(f"- {line}" for line in notes(found)),
    ]
    return "\n\n".join(parts) + "\n"


def rows_of(found: Pairwise) -> list[list[str]]:
    """The table's rows as text; counts and rates are those of the first run."""
    return [
        [
            each.benchmark,
            *(str(count) for count in (each.pairs, each.win, each.tie, each.loss, each.inconsistent)),
            str(each.error),
            _rate(each.rate),
            f"{each.p_sign:.3g}",
            _rate(each.first_rate),
        ]
        for each in found.tallies
    ]


def findings(found: Pairwise) -> list[str]:
    return [finding(found.a, found.b, each) for each in found.tallies]


def notes(found: Pairwise) -> list[str]:
    unjudged = sum(each.unjudged for each in found.tallies)
    return [
        "Each pair was judged in both orders; it is won only if both say so. Inconsistent: the order changed "
        "the verdict; such pairs count as ties.",
        "Win rate: wins plus half the ties, with a 95 % interval clustered by group. p: exact sign test of "
        "wins against losses.",
        "First wins: share of verdicts for the answer shown first, ties left out; 50 % without a position "
        "bias.",
        f"{unjudged} pairs needed no judge (equal answers, or no answer after the reasoning, which loses); "
        f"{found.errors} have no verdict in an order and are left out.",
        "A judge prefers longer and more confident answers, and those of its own family: a win rate is the "
        "judge's taste until it was calibrated.",
    ]


def _rate(found: Estimate | None) -> str:
    if found is None:
        return "-"
    return f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"
