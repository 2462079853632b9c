"""Pairs of answers under plain-function judges with known tastes and biases."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest

from evalkit.judge.pairwise import Match, Pairwise, Tally, drawn, finding, play, tally, to_json, to_markdown
from evalkit.judge.prompt import Case
from evalkit.schema import Judgement, Ruling

Judge = Callable[[Sequence[Case]], list[Judgement]]


def pair(number: int, a: str = "long answer", b: str = "short") -> Match:
    case = Case("pairwise", f"question {number}", "reference", answer=a, other=b)
    return Match(("finance_instruct", f"id-{number}", None, 0), f"id-{number}", case)


def judge(score: Callable[[Case], float | None]) -> Judge:
    def ask(cases: Sequence[Case]) -> list[Judgement]:
        said = [score(case) for case in cases]
        return [
            Judgement("k", None, "broken_reply") if each is None else Judgement("k", Ruling(each))
            for each in said
        ]

    return ask


def longer(case: Case) -> float:
    """Prefers the longer answer, wherever it stands."""
    return 0.5 if len(case.answer) == len(case.other) else float(len(case.answer) > len(case.other))


def counted(pairs: Sequence[Match], ask: Judge) -> Tally:
    return tally("finance_instruct", play(pairs, ask))


def test_a_consistent_judge_wins_and_loses() -> None:
    pairs = [pair(i) for i in range(30)] + [pair(i, "brief", "much longer") for i in range(30, 40)]
    found = counted(pairs, judge(longer))
    assert (found.win, found.tie, found.loss, found.inconsistent) == (30, 0, 10, 0)
    assert found.rate is not None
    assert found.rate.value == 0.75
    assert found.rate.low < 0.75 < found.rate.high
    assert found.p_sign == pytest.approx(0.00222, rel=0.01)  # two-sided Bin(40, ½): 30 against 10
    assert found.first_rate is not None
    assert found.first_rate.value == 0.5
    assert finding("A", "B", found).startswith("finance_instruct: A is preferred")


def test_a_judge_that_takes_the_first_decides_nothing() -> None:
    found = counted([pair(i) for i in range(40)], judge(lambda _case: 1.0))
    assert (found.win, found.tie, found.loss, found.inconsistent) == (0, 0, 0, 40)
    assert found.rate is not None
    assert found.rate.value == 0.5
    assert found.p_sign == 1
    assert found.first_rate is not None
    assert found.first_rate.value == 1
    said = finding("A", "B", found)
    assert "cannot be told apart" in said
    assert "favours the answer shown first" in said


def test_a_tie_in_one_order_is_no_win() -> None:
    found = counted([pair(1)], judge(lambda case: 0.5 if case.answer == "short" else 1.0))
    assert (found.win, found.tie, found.inconsistent) == (0, 0, 1)


def test_ties_in_both_orders_are_ties() -> None:
    found = counted([pair(i) for i in range(5)], judge(lambda _case: 0.5))
    assert (found.tie, found.inconsistent) == (5, 0)
    assert found.first_rate is None


def test_a_verdict_missing_in_one_order_leaves_the_pair_out() -> None:
    def ask(case: Case) -> float | None:
        return None if case.answer == "short" and case.question == "question 0" else longer(case)

    found = counted([pair(i) for i in range(4)], judge(ask))
    assert (found.pairs, found.win, found.error) == (4, 3, 1)
    assert found.rate is not None
    assert found.rate.n == 3


def test_nothing_judged_gives_no_rate() -> None:
    found = counted([pair(1)], judge(lambda _case: None))
    assert (found.rate, found.first_rate, found.p_sign) == (None, None, 1)
    assert "could be judged" in finding("A", "B", found)


def test_what_needs_no_judge_is_not_put_before_it() -> None:
    asked: list[Case] = []

    def ask(cases: Sequence[Case]) -> list[Judgement]:
        asked.extend(cases)
        return [Judgement("k", Ruling(longer(case))) for case in cases]

    pairs = [
        pair(0, "the same", " the same\n"),
        pair(1, "something", "<think>never ends"),
        pair(2, "<think>done</think>", "something"),
        pair(3, "", "  "),
        pair(4),
    ]
    played = play(pairs, ask)
    assert [each.outcome for each in played] == ["tie", "win", "loss", "tie", "win"]
    assert [each.judged for each in played] == [False, False, False, False, True]
    assert {case.question for case in asked} == {"question 4"}
    assert [(case.answer, case.other) for case in asked] == [
        ("long answer", "short"),
        ("short", "long answer"),
    ]


def test_the_sample_is_stable_and_speaks_the_judges_language() -> None:
    pairs = [pair(i) for i in range(50)]
    assert drawn(pairs, 10, 0, "auto") == drawn(list(reversed(pairs)), 20, 0, "auto")[:10]
    assert {each.case.language for each in drawn(pairs, None, 0, "zh")} == {"zh"}
    assert len(drawn(pairs, None, 0, "zh")) == 50


def test_reports_hold_the_counts_and_no_markup_of_others() -> None:
    played = play([pair(i) for i in range(3)], judge(longer))
    title = "<script>|[x](javascript:1)"
    about = {"name": "scripted", "identity": {}}
    found = Pairwise(title, "B", about, {"n": 3}, [tally("finance_instruct", played)], played)
    content = json.loads(to_json(found))
    assert content["benchmarks"]["finance_instruct"]["win"] == 3
    assert [each["outcome"] for each in content["pairs"]] == ["win"] * 3
    text = to_markdown(found)
    assert "| `finance_instruct` | 3 | 3 | 0 | 0 | 0 | 0 |" in text
    assert f"`{title.replace('|', '¦')}`" in text
    assert title not in text
