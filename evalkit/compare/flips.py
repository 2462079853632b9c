"""Flips: items whose verdict or answer changed between two runs (arXiv 2407.09141).

Accuracy can stay the same while many answers change, so they are counted one by one: right to wrong, wrong to
right, and wrong to another wrong answer. Wrong answers are the same if they say the same: the same number
("1,234" and "1234.0"; "7.5%" and "0.075"), label, letter or word, else the same text without case, LaTeX and
blanks. No answer at all is an answer of its own here.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from evalkit.compare.comparison import Flips
from evalkit.compare.pairing import Pair, PairedBenchmark
from evalkit.example import ChoiceGold, LabelGold, NumberGold, YesNoGold
from evalkit.runner.scoring import Score, output_of
from evalkit.scorers.answer import Answer
from evalkit.scorers.choice_answer import choice_answer
from evalkit.scorers.judged import SHOWN_CHARS
from evalkit.scorers.label_answer import label_answer
from evalkit.scorers.normalize import fold, plain
from evalkit.scorers.number_answer import number_answer
from evalkit.scorers.numbers import Quantity, quantities
from evalkit.scorers.yes_no_answer import yes_no_answer

Said = str | float | bool | None
FlipKind = Literal["right_to_wrong", "wrong_to_right", "wrong_to_other_wrong"]

_DIGITS = 10  # of a number, so that 0.1 + 0.2 is 0.3


@dataclass(frozen=True, slots=True)
class Flip:
    """One item that flipped, with what each side was judged to say."""

    kind: FlipKind
    reference: Score
    candidate: Score


def comparable_pairs(pairs: Iterable[Pair]) -> list[tuple[Score, Score]]:
    """Candidate's and reference's verdict of each item with one right-or-wrong sample on both sides."""
    return [
        (a.scores[0], b.scores[0])
        for a, b in pairs
        if len(a.scores) == len(b.scores) == 1
        and a.scores[0].verdict.correct is not None
        and b.scores[0].verdict.correct is not None
    ]


def flips_of(paired: PairedBenchmark) -> list[Flip]:
    """The items that flipped, in the reference's order."""
    found = []
    for candidate, reference in comparable_pairs(paired.pairs):
        kind = _kind(candidate, reference)
        if kind:
            found.append(Flip(kind, reference, candidate))
    return found


def count_flips(paired: PairedBenchmark) -> Flips | None:
    """How many items flipped; None if no item has one right-or-wrong sample on both sides."""
    n = len(comparable_pairs(paired.pairs))
    if not n:
        return None
    kinds = [flip.kind for flip in flips_of(paired)]
    return Flips(
        right_to_wrong=kinds.count("right_to_wrong"),
        wrong_to_right=kinds.count("wrong_to_right"),
        wrong_to_other_wrong=kinds.count("wrong_to_other_wrong"),
        n=n,
    )


def _kind(candidate: Score, reference: Score) -> FlipKind | None:
    if candidate.verdict.correct and reference.verdict.correct:
        return None
    if candidate.verdict.correct:
        return "wrong_to_right"
    if reference.verdict.correct:
        return "right_to_wrong"
    return None if said(candidate) == said(reference) else "wrong_to_other_wrong"


def said(score: Score) -> Said:
    """What an output says, in a form in which equal answers are equal; None without an answer.

    What the rule extracted is read as the default rule reads it, if that found the same text in the output.
    """
    extracted = score.verdict.extracted
    if extracted is None:
        return None
    answer, meaning = _read(score)
    if answer and answer.text[:SHOWN_CHARS] == extracted and meaning is not None:
        return meaning
    text = plain(fold(extracted))
    numbers = quantities(text) if isinstance(score.example.gold, NumberGold) else []
    return _number(numbers[0]) if len(numbers) == 1 else " ".join(text.casefold().split())


def _read(score: Score) -> tuple[Answer | None, Said]:
    """The answer that the output commits to, and its meaning where gold is a number or of a closed kind."""
    output, gold = output_of(score.record), score.example.gold
    found: tuple[Answer, Said] | None = None
    if isinstance(gold, NumberGold):
        number = number_answer(output)
        if number:
            found = number.answer, _number(number.quantity) if number.quantity else None
    elif isinstance(gold, YesNoGold):
        found = yes_no_answer(output)
    elif isinstance(gold, ChoiceGold):
        found = choice_answer(output, gold)
    elif isinstance(gold, LabelGold):
        found = label_answer(output, gold.labels)
    return found or (None, None)


def _number(quantity: Quantity) -> float:
    value = quantity.value * quantity.scale / (100 if quantity.percent else 1)
    return float(f"{value:.{_DIGITS}g}")
