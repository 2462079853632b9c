"""HELM's ConvFinQACalc: the first number in the completion equals gold within 1e-6.

The first match of `[-+]?(digits with or without a point)(exponent)?` in the whole completion, the reasoning
included.

Faults kept: no commas, so "1,234" is 1; no %, so "7.87%" is 7.87; the first number of a trace counts; a
yes/no gold can never be right.

Read at source: stanford-crfm/helm, src/helm/benchmark/metrics/conv_fin_qa_calc_metrics.py (`float_equiv`).
"""

from __future__ import annotations

import re

from evalkit.schema import Gold, NumberGold, Output, Score, YesNoGold
from evalkit.scoring.text import head
from evalkit.scoring.verdicts import judged, missing

_NUMBER = re.compile(r"[-+]?(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:[Ee][+-]?[0-9]+)?")


def score(output: Output, gold: Gold) -> Score | None:
    """The verdict; None for choices, labels and text."""
    if not isinstance(gold, NumberGold | YesNoGold):
        return None
    match = _NUMBER.search(head(output.text))
    if not match:
        return missing(output)
    right = isinstance(gold, NumberGold) and abs(float(match[0]) - gold.value) < 1e-6
    return judged(gold, match[0], right, match.span())
