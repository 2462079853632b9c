"""Program of Thoughts: both numbers rounded to the coarser decimals, also for gold x 100 and gold / 100.

The chain-of-thought variant of the repository, because outputs here are text: the last number after the last
"answer is" (in the whole output), without the characters '"\\$€£¥%(),[]; a missing or zero number gives way
to "yes"/"true" or "no"/"false" anywhere in that text. A number is right if it is within 0.1 % of gold, gold
/ 100 or gold x 100, or equal after rounding both to the smaller number of decimals (of Python's `str`; 5
without a point).

Faults kept: 0.0 agrees with 0.04 and 0.1 with 0.14; % is dropped and a factor 100 is free, so 1 agrees with
100; "not" contains "no"; a number before the last "answer is" is ignored, any number after it counts.

Read at source: TIGER-AI-Lab/Program-of-Thoughts, tool.py (`finqa_equal`), run_finqa_cot.py,
eval_tatqa/tatqa_utils.py (`extract_one_num_from_str`). The code variant executes model code and is not
offered.
"""

from __future__ import annotations

import math
import re

from evalkit.schema import Gold, NumberGold, Output, Score, YesNoGold
from evalkit.scoring.text import tail
from evalkit.scoring.verdicts import judged, missing

_DROPPED = str.maketrans("", "", "'\"\\$€£¥%(),[]")
_NUMBER = re.compile(r"([+-]?[0-9]+(?:\.[0-9]+)?)|[+-]?\.[0-9]+")


def score(output: Output, gold: Gold) -> Score | None:
    """The verdict; None for choices, labels and text."""
    if not isinstance(gold, NumberGold | YesNoGold):
        return None
    said = tail(output.text).rsplit("answer is", 1)[-1].strip()
    prediction = _prediction(said)
    if prediction is None:
        return missing(output)
    if isinstance(gold, YesNoGold):
        return judged(gold, str(prediction), prediction == ("yes" if gold.yes else "no"))
    right = isinstance(prediction, float) and _equal(prediction, gold.value)
    return judged(gold, str(prediction), right)


def _prediction(said: str) -> float | str | None:
    last = None
    for match in _NUMBER.finditer(said.translate(_DROPPED)):
        last = match[1]
    if last and float(last):
        return float(last)
    lowered = said.lower()
    if "yes" in lowered or "true" in lowered:
        return "yes"
    if "no" in lowered or "false" in lowered:
        return "no"
    return float(last) if last else None


def _equal(prediction: float, reference: float) -> bool:
    for item in (reference / 100, reference, reference * 100):
        if math.isclose(item, prediction, rel_tol=0.001):
            return True
        digits = min(_precision(prediction), _precision(item))
        if round(prediction, digits) == round(item, digits):
            return True
    return False


def _precision(number: float) -> int:
    shown = str(number)
    return len(shown.split(".")[-1]) if "." in shown else 5
