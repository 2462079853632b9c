"""Canaries are what they claim to be, and a judge is fit or not as their verdicts say."""

from __future__ import annotations

from collections import Counter

import pytest

from evalkit.judge.canaries import Canary, CanaryResult, Rate, canaries, fitness, right_answers, wrong_answers
from evalkit.schema import (
    ChoiceGold,
    Example,
    Gold,
    LabelGold,
    Message,
    NumberGold,
    Output,
    TextGold,
    YesNoGold,
)
from evalkit.scoring import get_rule

from .judges import examples

ALL = "benchmark=[finqa,convfinqa,ant_finance,tfns,finance_instruct]"
RATIO = NumberGold(0.0787, question="what was the growth rate?", answer="7.87%", program="divide(1, 2)")


def made(n: int) -> dict[str, list[Canary]]:
    by_benchmark: dict[str, list[Example]] = {}
    for example in examples(ALL):
        by_benchmark.setdefault(example.benchmark, []).append(example)
    return {name: canaries(each, n, seed=0) for name, each in by_benchmark.items()}


def test_every_benchmark_gives_as_many_wrong_as_right_ones_of_every_kind() -> None:
    for name, found in made(24).items():
        sides = Counter(canary.right for canary in found)
        assert sides[False] == 24, name
        assert sides[True] in (24, 18), name  # nine free texts have two dresses each
        kinds = Counter(canary.kind for canary in found if not canary.right)
        assert {
            "colon",
            "solution",
            "thought_process",
            "empty",
            "command",
            "truncated_reasoning",
        } <= kinds.keys()
    kinds_of_numbers = {canary.kind for canary in made(60)["finqa"]}
    assert {"sign", "x10", "x100", "off_5_percent", "percent", "boxed"} <= kinds_of_numbers


def test_they_are_the_same_each_time_and_depend_on_the_seed() -> None:
    assert made(10) == made(10)
    every = [each for each in examples(ALL) if each.benchmark == "finqa"]
    assert canaries(every, 10, seed=0) == canaries(every[::-1], 10, seed=0)
    assert canaries(every, 10, seed=0) != canaries(every, 10, seed=1)


def test_the_rule_agrees_with_every_one_that_it_can_decide() -> None:
    for found in made(60).values():
        for canary in found:
            if not isinstance(canary.example.gold, TextGold):
                verdict = get_rule("financial")(Output(canary.case.answer), canary.example.gold)
                assert verdict is not None
                assert bool(verdict.correct) is canary.right, canary


@pytest.mark.parametrize(
    ("gold", "wrong", "right"),
    [
        (RATIO, {"sign": "-7.87%", "x10": "78.7%", "x100": "787%", "off_5_percent": "8.2635%"}, "0.0787"),
        (
            NumberGold(1140, question="what is the total in millions?", program="multiply(2, 570)"),
            {"sign": "-1140", "x10": "11400", "x100": "114000", "off_5_percent": "1197"},
            "1140",
        ),
        (NumberGold(-3.5, question="by how much did it decline?"), {"x10": "-35"}, "-3.5"),
        (YesNoGold(True), {"other_answer": "no"}, "yes"),
        (ChoiceGold("B", {"A": "x", "B": "y"}), {"other_answer": "A"}, "B"),
        (LabelGold("neutral", ("bearish", "neutral")), {"other_answer": "bearish"}, "neutral"),
    ],
)
def test_wrong_by_a_known_step(gold: Gold, wrong: dict[str, str], right: str) -> None:
    found = wrong_answers(gold, "en", None)
    for kind, said in wrong.items():
        assert f"\\boxed{{{said}}}" in found[kind]
    assert right_answers(gold, "en")["plain"] == right


def test_a_hundredfold_is_left_out_where_it_could_be_a_percentage() -> None:
    """A look-up of 47.4 may be 47.4 %, for which 4740 % would be wrong and 0.474 not."""
    assert "x100" not in wrong_answers(NumberGold(47.4, question="what was it?"), "en", None)


def test_nobody_asks_for_the_sign_of_a_decline() -> None:
    assert "sign" not in wrong_answers(NumberGold(3.5, question="by how much did it decline?"), "en", None)


def test_zero_has_no_multiples() -> None:
    assert not {"x10", "x100", "sign"} & wrong_answers(NumberGold(0.0), "en", None).keys()


def test_a_text_alone_has_no_other_reference() -> None:
    one = Example("finance_instruct", "a", (Message("user", "What is money?"),), TextGold("Coins."), "a")
    same = Example("finance_instruct", "b", (Message("user", "And now?"),), TextGold("Coins. "), "b")
    assert "other_reference" not in {canary.kind for canary in canaries([one, same], 20, seed=0)}


def test_chinese_questions_have_chinese_canaries() -> None:
    found = [canary for canary in made(24)["ant_finance"] if canary.kind == "sentence"]
    assert found
    assert all(canary.case.language == "zh" and "最终答案" in canary.case.answer for canary in found)


def outcomes(accepted_wrong: int, refused_right: int, lost: int = 0, n: int = 20) -> list[CanaryResult]:
    wrong = [CanaryResult("colon", False, number < accepted_wrong) for number in range(n)]
    right = [CanaryResult("plain", True, number >= refused_right) for number in range(n)]
    return [
        *[
            CanaryResult(each.kind, each.right, None, "broken_reply") if i < lost else each
            for i, each in enumerate(wrong)
        ],
        *right,
    ]


@pytest.mark.parametrize(
    ("accepted", "refused", "reason"),
    [
        (0, 0, None),
        (2, 4, None),  # exactly at the limits
        (3, 0, "accepts 15 % of wrong answers"),
        (0, 5, "refuses 25 % of right answers"),
        (20, 20, "accepts 100 % of wrong answers"),
    ],
)
def test_fit_within_the_limits(accepted: int, refused: int, reason: str | None) -> None:
    found = fitness(outcomes(accepted, refused), 0.1, 0.2)
    assert found.reason == reason
    assert (found.false_positive, found.false_negative) == (Rate(accepted, 20), Rate(refused, 20))
    assert found.kinds == {"colon": Rate(accepted, 20), "right: plain": Rate(refused, 20)}


def test_errors_are_in_no_rate_and_too_many_make_a_judge_unfit() -> None:
    few = fitness(outcomes(0, 0, lost=10), 0.1, 0.2)
    assert (few.reason, few.false_positive.n, few.errors) == (None, 10, {"broken_reply": 10})
    many = fitness(outcomes(0, 0, lost=11), 0.1, 0.2)
    assert many.reason == "gives no verdict on 55 % of canaries (broken_reply)"
    none = fitness(outcomes(0, 0, lost=20), 0.1, 0.2)
    assert none.false_positive.value is None
    assert "gives no verdict on 100 %" in none.sentence()


def test_without_canaries_nothing_is_known() -> None:
    assert fitness([], 0.1, 0.2).reason == "no canaries could be made"
