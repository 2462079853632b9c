"""Why an answer is right or wrong, in a line: by the default rule's own reading."""

from __future__ import annotations

import pytest

from evalkit.schema import ChoiceGold, Gold, LabelGold, NumberGold, Output, TextGold, YesNoGold
from evalkit.scoring import get_rule
from evalkit.scoring.reason import reason

TAX = NumberGold(0.328, "what was the highest effective tax rate in percent?", "32.8%", "divide(32.8, 100)")
PRINTED = "; the dataset prints 32.8%"
OPTIONS = ChoiceGold("B", {"A": "rises", "B": "falls"})
LABEL = LabelGold("neutral", ("bearish", "bullish", "neutral"))


def why(text: str, gold: Gold, *, truncated: bool = False) -> str:
    output = Output(text, truncated)
    score = get_rule("financial")(output, gold)
    assert score is not None
    return reason(output, gold, score)


@pytest.mark.parametrize(
    ("text", "gold", "said"),
    [
        ("The highest rate was 31.8%.", TAX, f"read 0.318, right is 0.328: 3.0 % off, 1 % allowed{PRINTED}"),
        ("\\boxed{5}", TAX, f"read 0.05, right is 0.328: 84.8 % off, 1 % allowed{PRINTED}"),
        ("\\boxed{-32.8\\%}", TAX, f"read -0.328, right is 0.328: the sign differs{PRINTED}"),
        ("\\boxed{900}", TAX, f"read 9, right is 0.328: far off, 1 % allowed{PRINTED}"),
        ("\\boxed{32.8\\%}", TAX, "read 0.328"),
        ("\\boxed{33\\%}", TAX, "read 0.33, right is 0.328"),
        ("\\boxed{1 or 2}", TAX, "no answer could be read: several numbers"),
        ("I would have to look.", TAX, "no final answer was found"),
        ("\\boxed{3}", NumberGold(0.0, "what was the change?"), "read 3, right is 0: only 0 is right"),
        ("\\boxed{A}", OPTIONS, "read A, right is B"),
        ("\\boxed{B}", OPTIONS, "read B"),
        ("\\boxed{bullish}", LABEL, "read bullish, right is neutral"),
        ("\\boxed{no}", YesNoGold(True, "did it rise?"), "read no, right is yes"),
        ("Money.", TextGold("Money is what banks have."), ""),
    ],
)
def test_a_line_says_what_was_read_and_how_far_off_that_is(text: str, gold: Gold, said: str) -> None:
    assert why(text, gold) == said


def test_a_decrease_in_words_is_read_as_a_minus() -> None:
    grown = NumberGold(-0.05, "what was the growth rate?", "-5%")
    assert why("\\boxed{a decrease of 7\\%}", grown).startswith("read -0.07, right is -0.05: 40.0 % off")


def test_what_is_cut_off_has_no_answer() -> None:
    assert why("<think>so far", TAX, truncated=True) == "cut off before an answer"


def test_the_unit_of_the_gold_answer_counts_in_the_reason_as_in_the_rule() -> None:
    gold = NumberGold(1234.5, "What was revenue?", "1,234.5 million")
    output = Output(r"\boxed{1,234.5 billion}")
    score = get_rule("financial")(output, gold)
    assert score is not None
    assert score.correct is False
    assert reason(output, gold, score).startswith("read 1.2345e+06, right is 1234.5: ")
