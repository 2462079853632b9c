"""Flips, and when two wrong answers are the same answer."""

from __future__ import annotations

import pytest

from evalkit.compare.comparison import Flips
from evalkit.compare.flips import count_flips, flips_of, said
from evalkit.compare.pairing import PairedBenchmark
from evalkit.example import ChoiceGold, Example, Gold, LabelGold, NumberGold, YesNoGold
from evalkit.report.items import items_of
from evalkit.runner.scoring import Score
from evalkit.scorers.rules.financial import score as financial
from evalkit.scorers.verdict import Output
from tests.compare.helpers import paired
from tests.report.helpers import LABELS, score

NUMBER = NumberGold(5.0)
LABEL = LabelGold("neutral", LABELS)
CHOICE = ChoiceGold("A", {"A": "one", "B": "two", "C": "three"})


def judged(text: str, gold: Gold = NUMBER) -> Score:
    """What the default rule says of a real output."""
    verdict = financial(Output(text), gold)
    assert verdict is not None
    made = score("x", None, gold=gold, text=text)
    return Score(made.record, Example("finqa", "x", (), gold, "x"), "financial", verdict)


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
    assert said(judged(one, gold)) == said(judged(other, gold))
    assert flips_of(paired((judged(one, gold), judged(other, gold)))) == []


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
    [flip] = flips_of(paired((judged(one, gold), judged(other, gold))))
    assert flip.kind == "wrong_to_other_wrong"
    assert (flip.candidate.record.text, flip.reference.record.text) == (one, other)


def test_rules_that_extract_something_else_are_taken_at_their_word() -> None:
    first, second = (
        score("x", 0.0, rule="helm_convfinqa", text="in 2014 it was \\boxed{3}", extracted=text)
        for text in ("2014", "3")
    )
    assert (said(first), said(second)) == (2014.0, 3.0)


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
    found = paired(*((judged(a), judged(b)) for a, b in pairs))
    assert count_flips(found) == Flips(2, 1, 1, 6)
    assert [flip.kind for flip in flips_of(found)] == [
        *("right_to_wrong", "right_to_wrong", "wrong_to_right", "wrong_to_other_wrong")
    ]


def test_several_samples_have_no_flips() -> None:
    sampled = items_of([score("x", 1.0), score("x", 0.0, sample=1)])[0]
    single = items_of([score("y", 1.0)])[0]
    assert count_flips(PairedBenchmark("finqa", "FinQA", [(sampled, sampled)], 0, 0, 0, 0)) is None
    mixed = PairedBenchmark("finqa", "FinQA", [(sampled, sampled), (single, single)], 0, 0, 0, 0)
    assert count_flips(mixed) == Flips(0, 0, 0, 1)
