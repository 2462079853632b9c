"""Rules that compare the committed number and differ only in when two numbers agree."""

from __future__ import annotations

from collections.abc import Callable

from evalkit.example import Gold, NumberGold, YesNoGold
from evalkit.scorers.judged import judged, missing
from evalkit.scorers.number_answer import number_answer
from evalkit.scorers.numbers import Quantity
from evalkit.scorers.verdict import Output, Verdict
from evalkit.scorers.yes_no_answer import yes_no_answer


def score_committed(output: Output, gold: Gold, agrees: Callable[[Quantity, float], bool]) -> Verdict | None:
    """The verdict on the committed number, or yes or no; None for choices, labels and text.

    Args:
        agrees: whether the number found agrees with the gold value.
    """
    if isinstance(gold, YesNoGold):
        said = yes_no_answer(output)
        return judged(gold, said[0].text, said[1] is gold.yes, said[0].span) if said else missing(output)
    if not isinstance(gold, NumberGold):
        return None
    found = number_answer(output)
    if found is None or found.quantity is None:
        return missing(output)
    return judged(gold, found.answer.text, agrees(found.quantity, gold.value), found.answer.span)
