r"""On what scale a gold number stands: decimal ratio, percent, or amount.

Between 7.87 % and 0.0787 an answer may move; between amounts a factor 100 is an error. The record does not
say which it is, so it is inferred, from the strongest evidence down:

- the annotator's string with %: it shows the scale by its own number (7.87% for 0.0787: decimal; 47.4% for
  47.4: percent);
- the program. `divide` of two page values is a ratio, and so are a percent literal and a sum or difference
  with a ratio; a ratio times const_100 is a percent; a product with a page value is an amount; divided by
  a count it stays what it was. A ratio counts as a decimal share only if the question speaks of one (percent,
  proportion, ratio, rate, ...), or if it is small and the question asks for no amount (price per share, cost,
  how many, million, ...): 23.35 for a price per share is `divide` too;
- the question alone, for look-ups and differences: "what percentage" with 47.4 is on the percent scale.

Counted on 688 FinQA test records: of the quotients without % in the annotator's string, 48 under a question
that speaks of a share are ratios below 10 and one an amount, while all 21 under other questions are amounts
or amounts per unit (13 of them 10 or more).
"""

from __future__ import annotations

import re
from enum import Enum

from evalkit.example import NumberGold
from evalkit.scorers import dsl
from evalkit.scorers.normalize import fold
from evalkit.scorers.numbers import quantities


class Scale(Enum):
    """DECIMAL: 0.0787 for 7.87 %. PERCENT: 7.87. AMOUNT: neither. UNKNOWN: a page value of unknown unit."""

    DECIMAL = "decimal"
    PERCENT = "percent"
    AMOUNT = "amount"
    UNKNOWN = "unknown"


_SHARE = re.compile(r"percent|%|\bproportion|\bratio\b|\bfraction\b|百分|比例|占比|比率", re.IGNORECASE)
_RATE = re.compile(
    r"\brates?\b|\bmargin|\breturn\b|\bgrowth\b|\byield\b|\bportion\b|\bshare of\b|\bin relation\b|率",
    re.IGNORECASE,
)
_AMOUNT = re.compile(
    r"\bper\b|\bprices?\b|\bhow many\b|\bhow much\b|\bdollars?\b|\bcosts?\b|\$|\baverage\b|"
    r"\bmillions?\b|\bbillions?\b|\bthousands?\b",
    re.IGNORECASE,
)


def gold_scale(gold: NumberGold) -> Scale:
    """The scale on which `gold.value` stands; see the module for the evidence used."""
    shown = _annotated(gold)
    if shown is not None:
        return shown
    kind = _program_scale(gold.program)
    share = _SHARE.search(gold.question) is not None
    asks_amount = _AMOUNT.search(gold.question) is not None
    if kind is Scale.DECIMAL:
        small = abs(gold.value) < 10 and not asks_amount
        rate = _RATE.search(gold.question) is not None and not asks_amount
        return Scale.DECIMAL if share or rate or small else Scale.AMOUNT
    if kind is Scale.UNKNOWN and share:
        # Below 1 it may be either (0.5 for 0.5 % or for 50 %); beyond 100 the gold is more often defective.
        return Scale.PERCENT if 1 <= abs(gold.value) <= 100 else Scale.UNKNOWN
    return kind


def _annotated(gold: NumberGold) -> Scale | None:
    if "%" not in gold.answer:
        return None
    found = quantities(fold(gold.answer)[:100])
    if not found or not found[0].value:
        return None
    ratio = abs(gold.value / found[0].value)
    if 0.5 < ratio < 2:
        return Scale.PERCENT
    return Scale.DECIMAL if 0.005 < ratio < 0.02 else None


def _program_scale(program: str) -> Scale:
    """What the program's last step yields; UNKNOWN for a look-up, a sum or difference of page values."""
    try:
        steps = dsl.parse(program) if "(" in program else []
    except dsl.ProgramError:
        return Scale.UNKNOWN
    if not steps:
        return Scale.DECIMAL if program.strip().endswith("%") else Scale.UNKNOWN
    scales: list[Scale] = []
    for step in steps:
        scales.append(_step_scale(step, scales))
    return scales[-1]


def _step_scale(step: dsl.Step, scales: list[Scale]) -> Scale:
    left, right = (_argument_scale(arg, scales) for arg in step.args)
    hundred = step.args[1] == "const_100"
    if step.op == "divide":
        if right is None:
            return Scale.DECIMAL if hundred and left is not Scale.AMOUNT else left or Scale.UNKNOWN
        if left is None or right is Scale.DECIMAL:
            return left if left in (Scale.DECIMAL, Scale.PERCENT) else Scale.AMOUNT
        return Scale.DECIMAL
    if step.op == "multiply":
        if left is Scale.DECIMAL and (hundred or right is Scale.DECIMAL):
            return Scale.PERCENT if hundred else Scale.DECIMAL
        return left or Scale.UNKNOWN if right is None else Scale.AMOUNT
    known = [scale for scale in (left, right) if scale not in (None, Scale.UNKNOWN)]
    return known[0] if known else Scale.UNKNOWN


def _argument_scale(arg: str, scales: list[Scale]) -> Scale | None:
    """None for a pure count (a constant)."""
    if arg.startswith("#") and arg[1:].isdecimal() and int(arg[1:]) < len(scales):
        return scales[int(arg[1:])]
    if arg.startswith("const_") or arg == "none":
        return None
    return Scale.DECIMAL if arg.endswith("%") else Scale.UNKNOWN
