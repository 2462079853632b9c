"""TAT-QA's F1: how many words the answer and the gold answer have in common; exact match for numbers.

Its mean is the F1 of TAT-QA's tables; an answer is right where it is 1. The formula with its source stands in
`evalkit.scoring.spans`.

Read at source: NExTplusplus/TAT-QA, tatqa_metric.py and tatqa_utils.py, at
870accc41953dcde885aabeb963d94aabdc0fbc3. None of its code is taken over.
"""

from __future__ import annotations

from evalkit.schema import SHOWN_CHARS, Gold, Output, Score, SpansGold
from evalkit.scoring.spans import compared, outcome_of
from evalkit.scoring.verdicts import missing


def score(output: Output, gold: Gold) -> Score | None:
    """The verdict, with F1 as its value; None for any gold but spans."""
    if not isinstance(gold, SpansGold):
        return None
    found = compared(output, gold)
    if found is None:
        return missing(output)
    answer, _, f1 = found
    return Score(answer.text[:SHOWN_CHARS], f1 == 1, f1, outcome_of(gold, right=f1 == 1), "", answer.span)
