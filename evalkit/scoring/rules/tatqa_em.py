"""TAT-QA's exact match: the answer, normalized, is the gold answer, with its scale.

"12.6 million" and "12,600,000" are the same; several spans count in any order, but all of them and no other.
The formula with its source stands in `evalkit.scoring.spans`.

Read at source: NExTplusplus/TAT-QA, tatqa_metric.py and tatqa_utils.py, at
870accc41953dcde885aabeb963d94aabdc0fbc3. None of its code is taken over.
"""

from __future__ import annotations

from evalkit.schema import SHOWN_CHARS, Gold, Output, Score, SpansGold
from evalkit.scoring.spans import compared, outcome_of
from evalkit.scoring.verdicts import missing


def score(output: Output, gold: Gold) -> Score | None:
    """The verdict; None for any gold but spans. Its note says the F1, where that is more than nothing."""
    if not isinstance(gold, SpansGold):
        return None
    found = compared(output, gold)
    if found is None:
        return missing(output)
    answer, em, f1 = found
    note = f"F1 {f1:.2f}" if f1 and not em else ""
    return Score(answer.text[:SHOWN_CHARS], em == 1, em, outcome_of(gold, right=em == 1), note, answer.span)
