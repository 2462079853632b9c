r"""The strict rule of the hand labels: the number as it stands, without any change of scale.

The committed number (divided by 100 if it carries %) is within 0.1 % of gold or within half a unit of its
last digit, sign included. The half-unit rule has the bounds that it has in `financial`. A ratio `127:81`
and a fraction count as their quotient; scale words do not help; "47.4%" against a looked-up 47.4 is wrong.
Yes and no ignore case.

Beside `financial` it shows how much of a score is leniency; beside `finqa_official`, how much that rule
loses to rounding alone (7.87% for 0.07874).

Source: this project's definition, the one by which its hand labels of FinQA and ConvFinQA outputs say
`correct_strict`.
"""

from __future__ import annotations

from evalkit.example import Gold
from evalkit.scorers.agreement import strictly
from evalkit.scorers.committed import score_committed
from evalkit.scorers.verdict import Output, Verdict


def score(output: Output, gold: Gold) -> Verdict | None:
    """The verdict; None for choices, labels and text."""
    return score_committed(output, gold, strictly)
