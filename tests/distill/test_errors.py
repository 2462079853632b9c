"""The share of wrong answers in the set, with the judge's own error."""

from __future__ import annotations

import random
from collections.abc import Iterable

from evalkit.distill.errors import WrongShare, wrong_shares
from evalkit.run.judgements import Entry, JudgeFacts, Ledger, NamedJudge


def entry(correct: bool, expected: bool | None = None, audit: bool = False) -> Entry:
    canary = None if expected is None else "sign"
    return Entry(
        key="k",
        benchmark="finqa",
        id="1",
        turn=None,
        sample=0,
        task="answer",
        canary=canary,
        expected=expected,
        score=float(correct),
        correct=correct,
        audit=audit,
        detail="",
        reply="",
        error=None,
        generation=None,
        prompt_tokens=0,
        completion_tokens=0,
        cost=0.0,
    )


def shares(entries: Iterable[Entry], by_rule: int = 0, by_judge: int = 0) -> tuple[WrongShare, ...]:
    ledger = Ledger({}, JudgeFacts(NamedJudge("scripted")), {}, {}, list(entries))
    return wrong_shares(ledger, "finqa", by_rule, by_judge)


def canaries(accepts_wrong: int, refuses_right: int, of: int = 40) -> list[Entry]:
    wrong = [entry(number < accepts_wrong, expected=False) for number in range(of)]
    return wrong + [entry(number >= refuses_right, expected=True) for number in range(of)]


def test_what_a_judge_accepted_is_wrong_as_often_as_its_error_says() -> None:
    # Of 1,000 answers 600 are right; the judge accepts 90 % of these and 10 % of the 400 wrong ones.
    draw = random.Random(0)
    judged = [entry(draw.random() < (0.9 if number < 600 else 0.1)) for number in range(1000)]
    [found] = shares([*canaries(40, 40, 400), *judged], by_judge=580)
    assert found.value is not None
    assert abs(found.value - 40 / 580) < 0.02
    assert found.low < 40 / 580 < found.high


def test_few_canaries_without_a_mistake_still_leave_doubt() -> None:
    [found] = shares([*canaries(0, 0, 20), *(entry(number < 70) for number in range(100))], by_judge=70)
    assert found.value == 0
    assert found.low == 0
    assert 0.02 < found.high < 0.2


def test_a_judge_that_cannot_tell_says_nothing() -> None:
    [found] = shares([*canaries(20, 20), *(entry(number < 50) for number in range(100))], by_judge=50)
    assert (found.value, found.low, found.high) == (None, 0.0, 1.0)
    assert "do not tell right from wrong" in found.why


def test_what_a_rule_accepted_is_known_by_an_audit_only() -> None:
    [unknown] = shares(canaries(1, 1), by_rule=300)
    assert unknown.value is None
    assert "judge.when=audit" in unknown.why
    audited = [entry(number < 95, audit=True) for number in range(100)]
    [found] = shares([*canaries(1, 1), *audited], by_rule=300)
    assert found.value is not None
    assert found.low <= found.value <= found.high
    assert 0.0 <= found.value < 0.06
