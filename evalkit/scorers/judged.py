"""Short ways to a verdict, for rules that only say right or wrong."""

from __future__ import annotations

from evalkit.example import Gold, NumberGold, YesNoGold
from evalkit.scorers.answer import unfinished
from evalkit.scorers.verdict import Failure, Output, Verdict

SHOWN_CHARS = 200


def judged(
    gold: Gold, extracted: str, right: bool, span: tuple[int, int] | None = None, note: str = ""
) -> Verdict:
    """A verdict on an answer that was found."""
    wrong: Failure = "wrong_number" if isinstance(gold, NumberGold) else "wrong_choice"
    return Verdict(extracted[:SHOWN_CHARS], right, float(right), "correct" if right else wrong, note, span)


def missing(output: Output) -> Verdict:
    """The verdict on an output in which a rule finds no answer."""
    return Verdict(None, False, 0.0, "truncated" if unfinished(output) else "no_final_answer")


def yes_no_word(gold: YesNoGold) -> str:
    """The gold word: 是/否 where the question is Chinese, else yes/no."""
    chinese = any("\u4e00" <= character <= "\u9fff" for character in gold.question)
    return ("是" if gold.yes else "否") if chinese else ("yes" if gold.yes else "no")
