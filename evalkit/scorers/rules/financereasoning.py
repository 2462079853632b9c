"""FinanceReasoning: within 0.2 % of gold, sign included, no leniency of scale.

Upstream a model extracts the number; here it is the committed answer. % signs, currency and scale words are
dropped without converting: "7.87%" is 7.87, which is wrong against 0.0787 (their golds stand on the scale
the question asks for). Yes and no compare as booleans. A gold of 0 admits only 0.

Read at source: `within_eps`, `normalize`, `get_acc` of utils/evaluation_utils.py, in a copy whose repository
was not shown, that fits evaluation.py of Staudinger0325/FinanceReasoning. Its `eval` is not taken over.
"""

from __future__ import annotations

from evalkit.example import Gold
from evalkit.scorers.committed import score_committed
from evalkit.scorers.numbers import Quantity
from evalkit.scorers.verdict import Output, Verdict

_EPS = 0.002


def score(output: Output, gold: Gold) -> Verdict | None:
    """The verdict; None for choices, labels and text."""
    return score_committed(output, gold, _agrees)


def _agrees(found: Quantity, value: float) -> bool:
    return value - abs(value) * _EPS <= found.value <= value + abs(value) * _EPS
