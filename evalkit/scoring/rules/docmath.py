"""DocMath-Eval's numeric rule, also used by Fino1: 0.15 % relative, and any power of ten.

Upstream a model (gpt-3.5-turbo) extracts a number; here it is the committed answer. % signs, currency and
scale words are dropped without converting. With v1 the larger and v2 the smaller of the two sizes, right is

- v1 / v2 an exact power of ten;
- v2 x 100, x 1,000 or x 100,000 within 0.15 % of v1 (from v1 / 50, / 500, / 50,000 down);
- both sizes equal when rounded up to three decimals;
- the answer within 0.15 % of gold.

Faults kept: the sign is ignored by all but the last, so -5 agrees with 5; 1 agrees with 100 and 0.0001 with
0.0009. Yes and no compare as booleans.

Read at source: yale-nlp/DocMath-Eval, utils/evaluation_utils.py (`normalize`, `compare_two_numbers`,
`within_eps`, `get_acc`). Its `eval` of the extracted text is not taken over.
"""

from __future__ import annotations

import math

from evalkit.schema import Gold, Output, Score
from evalkit.scoring.verdicts import score_committed

_EPS = 0.0015


def score(output: Output, gold: Gold) -> Score | None:
    """The verdict; None for choices, labels and text."""
    return score_committed(output, gold, lambda found, value: compare_two_numbers(found.value, value))


def compare_two_numbers(prediction: float, target: float) -> bool:
    """Upstream's function of that name, for finite floats."""
    large, small = max(abs(target), abs(prediction)), min(abs(target), abs(prediction))
    if small and math.isfinite(large / small):
        exponent = math.log10(large / small)
        if int(exponent) == exponent:
            return True
    for factor in (100, 1_000, 100_000):
        if small <= large / (factor / 2) and _within(small * factor, large):
            return True
    if max(large, small) < 1e300 and math.ceil(large * 1000) == math.ceil(small * 1000):
        return True
    return _within(prediction, target)


def _within(prediction: float, target: float) -> bool:
    return abs(prediction - target) <= abs(target) * _EPS
