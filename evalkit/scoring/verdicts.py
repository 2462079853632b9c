"""Short ways to a verdict, for rules that only say right or wrong.

Rules that compare the committed number and differ only in when two numbers agree.
"""

from __future__ import annotations

from collections.abc import Callable

from evalkit.schema import SHOWN_CHARS, Gold, NumberGold, Outcome, Output, Score, YesNoGold
from evalkit.scoring.number_answer import number_answer
from evalkit.scoring.numbers import Quantity
from evalkit.scoring.places import unfinished
from evalkit.scoring.yes_no import yes_no_answer


def judged(
    gold: Gold, extracted: str, right: bool, span: tuple[int, int] | None = None, note: str = ""
) -> Score:
    """A verdict on an answer that was found."""
    wrong: Outcome = "wrong_number" if isinstance(gold, NumberGold) else "wrong_choice"
    return Score(extracted[:SHOWN_CHARS], right, float(right), "correct" if right else wrong, note, span)


def missing(output: Output) -> Score:
    """The verdict on an output in which a rule finds no answer."""
    return Score(None, False, 0.0, "truncated" if unfinished(output) else "no_final_answer")


def yes_no_word(gold: YesNoGold) -> str:
    """The gold word: 是/否 where the question is Chinese, else yes/no."""
    chinese = any("\u4e00" <= character <= "\u9fff" for character in gold.question)
    return ("是" if gold.yes else "否") if chinese else ("yes" if gold.yes else "no")


def score_committed(output: Output, gold: Gold, agrees: Callable[[Quantity, float], bool]) -> Score | None:
    """The verdict on the committed number, or yes or no; None for choices, labels and text.

    Args:
        agrees: whether the number found agrees with the gold value.
    """
    if isinstance(gold, YesNoGold):
        said = yes_no_answer(output, gold.question)
        return judged(gold, said[0].text, said[1] is gold.yes, said[0].span) if said else missing(output)
    if not isinstance(gold, NumberGold):
        return None
    found = number_answer(output, gold.question)
    if found is None or found.quantity is None:
        return missing(output)
    return judged(gold, found.answer.text, agrees(found.quantity, gold.value), found.answer.span)
