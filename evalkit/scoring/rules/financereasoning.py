"""FinanceReasoning: within 0.2 % of gold, sign included, no leniency of scale.

Upstream a model extracts the number; here it is the committed answer. % signs, currency and scale words are
dropped without converting: "7.87%" is 7.87, which is wrong against 0.0787 (their golds stand on the scale
the question asks for). Yes and no compare as booleans, which equal 1 and 0 in Python: "1" and "0" are yes and
no, as upstream. A gold of 0 admits only 0.

Read at source: `within_eps`, `normalize`, `get_acc` of utils/evaluation_utils.py, in a copy whose repository
was not shown, that fits evaluation.py of Staudinger0325/FinanceReasoning and the verdicts published at
BUPT-Reasoning-Lab/FinanceReasoning b0fe6455396f831955e4eb988472b4a563403bc5. Its `eval` is not taken over.
"""

from __future__ import annotations

from evalkit.schema import Gold, Output, Score, YesNoGold
from evalkit.scoring.number_answer import number_answer
from evalkit.scoring.numbers import Quantity
from evalkit.scoring.verdicts import judged, score_committed
from evalkit.scoring.yes_no import yes_no_answer

_EPS = 0.002


def score(output: Output, gold: Gold) -> Score | None:
    """The verdict; None for choices, labels and text."""
    if isinstance(gold, YesNoGold) and (yes_no_answer(output, gold.question) or (None, None))[1] is None:
        found = number_answer(output)
        if found and found.quantity and found.quantity.value in (0, 1):
            right = found.quantity.value == float(gold.yes)
            return judged(gold, found.answer.text, right, found.answer.span)
    return score_committed(output, gold, _agrees)


def _agrees(found: Quantity, value: float) -> bool:
    return value - abs(value) * _EPS <= found.value <= value + abs(value) * _EPS
