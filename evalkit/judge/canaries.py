"""Canaries: questions to the judge whose verdict is known, made from the run's own examples.

They are drawn in a stable hash order and their kinds are dealt out evenly: the same run, the same canaries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from evalkit.benchmarks.sampling import rank
from evalkit.example import Example, TextGold
from evalkit.judge.canary_answers import Answers, right_answers, wrong_answers
from evalkit.judge.case import Case, Language
from evalkit.judge.subject import case_of


@dataclass(frozen=True, slots=True)
class Canary:
    """One of them. ``right``: whether a judge must accept it."""

    example: Example
    kind: str
    right: bool
    case: Case


def canaries(
    examples: Sequence[Example], n: int, seed: int, language: Language | None = None
) -> list[Canary]:
    """At most `n` wrong and `n` right ones from the examples of one benchmark; fewer if they give no more.

    Args:
        language: of the judge's instructions; None: each question's own.
    """
    order = sorted(examples, key=lambda each: rank(seed, f"canary\0{each.id}\0{each.turn}"))[:n]
    cases = [_case(each, language) for each in order]
    wrong = [
        wrong_answers(each.gold, case.language, _other_reference(number, order))
        for number, (each, case) in enumerate(zip(order, cases, strict=True))
    ]
    right = [right_answers(each.gold, case.language) for each, case in zip(order, cases, strict=True)]
    return [
        Canary(order[place], kind, is_right, replace(cases[place], answer=answers[place][kind]))
        for is_right, answers in ((False, wrong), (True, right))
        for place, kind in _dealt(answers, n)
    ]


def _case(example: Example, language: Language | None) -> Case:
    case = case_of(example, "")
    return replace(case, language=language) if language else case


def _other_reference(place: int, order: Sequence[Example]) -> str | None:
    """The reference of the next example that has another one."""
    mine = order[place].gold
    if not isinstance(mine, TextGold):
        return None
    for other in (*order[place + 1 :], *order[:place]):
        if isinstance(other.gold, TextGold) and other.gold.reference.strip() != mine.reference.strip():
            return other.gold.reference
    return None


def _dealt(answers: Sequence[Answers], n: int) -> Iterator[tuple[int, str]]:
    """At most `n` of (place, kind): place after place, each time the kind that was dealt least."""
    dealt: Counter[str] = Counter()
    left = [list(kinds) for kinds in answers]
    while any(left) and dealt.total() < n:
        for place, kinds in enumerate(left):
            if kinds and dealt.total() < n:
                kind = min(kinds, key=lambda each: dealt[each])
                kinds.remove(kind)
                dealt[kind] += 1
                yield place, kind
