"""Flips: answers whose verdict or content changed (arXiv 2407.09141), between two runs or two rules.

Accuracy can stay the same while many answers change, so they are counted one by one: right to wrong, wrong to
right, and wrong to another wrong answer. Wrong answers are the same if they say the same: the same number
("1,234" and "1234.0"; "7.5%" and "0.075"), label, letter or word, else the same text without case, LaTeX and
blanks. No answer at all is an answer of its own here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from evalkit.schema import SHOWN_CHARS, ChoiceGold, Flips, Item, Sample, Score
from evalkit.scoring.answer import label_answer
from evalkit.scoring.choices import choice_answer
from evalkit.scoring.number_answer import number_answer
from evalkit.scoring.numbers import Quantity, quantities
from evalkit.scoring.places import FinalAnswer
from evalkit.scoring.text import fold, plain
from evalkit.scoring.yes_no import yes_no_answer

Meaning = str | float | bool | None
FlipKind = Literal["right_to_wrong", "wrong_to_right", "wrong_to_other_wrong"]

_DIGITS = 10  # of a number, so that 0.1 + 0.2 is 0.3


@dataclass(frozen=True, slots=True)
class GradedAnswer:
    """One answer to an example under one rule."""

    item: Item
    sample: Sample
    score: Score


@dataclass(frozen=True, slots=True)
class Flip:
    """An answer that flipped, and what it flipped from (the reference's)."""

    kind: FlipKind
    reference: GradedAnswer
    candidate: GradedAnswer


def graded(item: Item, rule: str) -> list[GradedAnswer]:
    """The answers of an example that are judged right or wrong."""
    return [
        GradedAnswer(item, sample, score)
        for sample in item.samples
        if (score := sample.scores.get(rule)) is not None and score.correct is not None
    ]


def only_answer(item: Item, rule: str) -> GradedAnswer | None:
    """The answer to an example that has one, judged right or wrong; None otherwise."""
    return next(iter(graded(item, rule)), None) if len(item.samples) == 1 else None


def flip_kind(reference: GradedAnswer, candidate: GradedAnswer, *, wrong: bool = True) -> FlipKind | None:
    """How the second answer differs from the first; None if it does not, or one is not judged.

    Args:
        wrong: whether two wrong answers are told apart, for which both are read: milliseconds each.
    """
    before, after = reference.score.correct, candidate.score.correct
    if before is None or after is None or (before and after):
        return None
    if after:
        return "wrong_to_right"
    if before:
        return "right_to_wrong"
    if not wrong:
        return None
    if reference.sample is candidate.sample and reference.score.extracted == candidate.score.extracted:
        return None  # two rules that took the same text: reading it twice would tell nothing
    return None if meaning(reference) == meaning(candidate) else "wrong_to_other_wrong"


def flips_of(pairs: Iterable[tuple[GradedAnswer, GradedAnswer]], *, wrong: bool = True) -> list[Flip]:
    """The flips among pairs of reference and candidate, in their order. `wrong`: as for `flip_kind`."""
    return [
        Flip(kind, reference, candidate)
        for reference, candidate in pairs
        if (kind := flip_kind(reference, candidate, wrong=wrong))
    ]


def count_flips(pairs: Iterable[tuple[GradedAnswer, GradedAnswer]], *, wrong: bool = True) -> Flips:
    """How many pairs of reference and candidate flipped, of those in which both are judged.

    Args:
        wrong: as for `flip_kind`; without it none of them are counted as `wrong_to_other_wrong`.
    """
    judged = [
        (reference, candidate)
        for reference, candidate in pairs
        if reference.score.correct is not None and candidate.score.correct is not None
    ]
    kinds = Counter(flip.kind for flip in flips_of(judged, wrong=wrong))
    return Flips(
        right_to_wrong=kinds["right_to_wrong"],
        wrong_to_right=kinds["wrong_to_right"],
        wrong_to_other_wrong=kinds["wrong_to_other_wrong"],
        n=len(judged),
    )


def meaning(answer: GradedAnswer) -> Meaning:
    """What an answer says, in a form in which equal answers are equal; None without an answer.

    What the rule extracted is read as the default rule reads it, if that found the same text in the output.
    """
    extracted = answer.score.extracted
    if extracted is None:
        return None
    found, said = _read(answer)
    if found and found.text[:SHOWN_CHARS] == extracted and said is not None:
        return said
    text = plain(fold(extracted))
    numbers = quantities(text) if answer.item.gold_kind == "number" else []
    return _number(numbers[0]) if len(numbers) == 1 else " ".join(text.casefold().split())


def _read(answer: GradedAnswer) -> tuple[FinalAnswer | None, Meaning]:
    """The answer that the output commits to, and its meaning where gold is a number or of a closed kind."""
    item, sample = answer.item, answer.sample
    output = sample.output
    found: tuple[FinalAnswer, Meaning] | None = None
    if item.gold_kind == "number":
        number = number_answer(output, item.question)
        if number:
            found = number.answer, _number(number.quantity) if number.quantity else None
    elif item.gold_kind == "yes_no":
        found = yes_no_answer(output)
    elif item.gold_kind == "choice" and item.choices:  # older records have none
        found = choice_answer(output, ChoiceGold(item.gold, item.choices))
    elif item.gold_kind == "label" and item.choices:
        found = label_answer(output, tuple(item.choices))
    return found or (None, None)


def _number(quantity: Quantity) -> float:
    value = quantity.value * quantity.scale / (100 if quantity.percent else 1)
    return float(f"{value:.{_DIGITS}g}")
