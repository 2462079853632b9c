"""Flips, and when two wrong answers are the same answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from evalkit.compare.comparison import comparisons
from evalkit.compare.pairs import PairedBenchmark
from evalkit.flips import GradedAnswer, count_flips, flips_of, meaning
from evalkit.schema import ChoiceGold, Flips, Gold, Item, LabelGold, NumberGold, Output, YesNoGold
from evalkit.scoring.rules.financial import score as financial
from tests.report.helpers import LABELS, merged, score

NUMBER = NumberGold(5.0)
LABEL = LabelGold("neutral", LABELS)
CHOICE = ChoiceGold("A", {"A": "one", "B": "two", "C": "three"})


def judged(text: str, gold: Gold = NUMBER) -> GradedAnswer:
    """What the default rule says of a real output."""
    verdict = financial(Output(text), gold)
    assert verdict is not None
    item = score("x", None, gold=gold, text=text)
    return GradedAnswer(item, item.samples[0], verdict)


def graded(item: Item, rule: str) -> GradedAnswer:
    return GradedAnswer(item, item.samples[0], item.samples[0].scores[rule])


@pytest.mark.parametrize(
    ("one", "other", "gold"),
    [
        ("\\boxed{1,234}", "So the final answer is 1234.0", NUMBER),
        ("\\boxed{7.5%}", "\\boxed{0.075}", NUMBER),
        ("\\boxed{\\$2 million}", "\\boxed{2,000,000}", NUMBER),
        ("\\boxed{bullish}", "The sentiment is bullish.", LABEL),
        ("\\boxed{B}", "答案是B", CHOICE),
        ("\\boxed{no}", "The answer is no.", YesNoGold(True)),
        ("nothing", "<think>5 is it", NUMBER),
        ("\\boxed{Not  SURE}", "\\boxed{not sure}", LABEL),
    ],
)
def test_the_same_wrong_answer(one: str, other: str, gold: Gold) -> None:
    assert meaning(judged(one, gold)) == meaning(judged(other, gold))
    assert flips_of([(judged(other, gold), judged(one, gold))]) == []


@pytest.mark.parametrize(
    ("one", "other", "gold"),
    [
        ("\\boxed{1234}", "\\boxed{1235}", NUMBER),
        ("\\boxed{7.5%}", "\\boxed{7.5}", NUMBER),
        ("\\boxed{3}", "\\boxed{-3}", NUMBER),
        ("\\boxed{3}", "no idea", NUMBER),
        ("\\boxed{bullish}", "\\boxed{bearish}", LABEL),
        ("\\boxed{B}", "\\boxed{C}", CHOICE),
    ],
)
def test_another_wrong_answer(one: str, other: str, gold: Gold) -> None:
    [flip] = flips_of([(judged(other, gold), judged(one, gold))])
    assert flip.kind == "wrong_to_other_wrong"
    assert (flip.candidate.sample.text, flip.reference.sample.text) == (one, other)


def test_rules_that_extract_something_else_are_taken_at_their_word() -> None:
    rule = "helm_convfinqa"
    first, second = (
        graded(score("x", 0.0, rule=rule, text="in 2014 it was \\boxed{3}", extracted=text), rule)
        for text in ("2014", "3")
    )
    assert (meaning(first), meaning(second)) == (2014.0, 3.0)


def test_counts() -> None:
    right, wrong = "\\boxed{5}", "\\boxed{6}"
    pairs = [
        (right, right),
        (wrong, right),
        (wrong, right),
        (right, wrong),
        (wrong, wrong),
        (wrong, "\\boxed{7}"),
    ]
    found = [(judged(reference), judged(candidate)) for candidate, reference in pairs]
    assert count_flips(found) == Flips(2, 1, 1, 6)
    assert [flip.kind for flip in flips_of(found)] == [
        *("right_to_wrong", "right_to_wrong", "wrong_to_right", "wrong_to_other_wrong")
    ]


def test_pairs_of_which_one_is_not_judged_do_not_count() -> None:
    open_ = replace(judged("\\boxed{5}"), score=replace(judged("\\boxed{5}").score, correct=None))
    assert count_flips([(open_, judged("\\boxed{5}")), (judged("\\boxed{6}"), open_)]) == Flips(0, 0, 0, 0)


def test_several_samples_have_no_flips() -> None:
    [sampled] = merged([score("x", 1.0), score("x", 0.0, sample=1)])
    single = score("y", 1.0)

    def flips(*items: Item) -> Flips | None:
        pairs = [(item, item) for item in items]
        return comparisons([PairedBenchmark("finqa", "FinQA", "financial", pairs, 0, 0, 0, 0)], 0.02)[0].flips

    assert flips(sampled) is None
    assert flips(sampled, single) == Flips(0, 0, 0, 1)
