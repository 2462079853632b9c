"""FinanceReasoning: within 0.2 % of gold, sign included, no leniency of scale.

Upstream a model extracts the number; here it is the committed answer. % signs, currency and scale words are
dropped without converting: "7.87%" is 7.87, which is wrong against 0.0787 (their golds stand on the scale
the question asks for). Yes and no compare as booleans. A gold of 0 admits only 0.

Read at source: `within_eps`, `normalize`, `get_acc` of utils/evaluation_utils.py, in a copy whose repository
was not shown, that fits evaluation.py of Staudinger0325/FinanceReasoning. Its `eval` is not taken over.
"""

from __future__ import annotations

from evalkit.example import Gold, NumberGold, YesNoGold
from evalkit.scorers.judged import judged, missing
from evalkit.scorers.number_answer import number_answer
from evalkit.scorers.verdict import Output, Verdict
from evalkit.scorers.yes_no_answer import yes_no_answer

_EPS = 0.002


def score(output: Output, gold: Gold) -> Verdict | None:
    """The verdict; None for choices, labels and text."""
    if isinstance(gold, YesNoGold):
        said = yes_no_answer(output)
        return judged(gold, said[0].text, said[1] is gold.yes, said[0].span) if said else missing(output)
    if not isinstance(gold, NumberGold):
        return None
    found = number_answer(output)
    if found is None or found.quantity is None:
        return missing(output)
    right = gold.value - abs(gold.value) * _EPS <= found.quantity.value <= gold.value + abs(gold.value) * _EPS
    return judged(gold, found.answer.text, right, found.answer.span)
