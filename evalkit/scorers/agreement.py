"""Whether a number that a model committed to agrees with a gold number, and if not, in what it differs.

This is the numeric part of the rule `financial`; its definition stands there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from evalkit.example import NumberGold
from evalkit.scorers import dsl
from evalkit.scorers.gold_scale import Scale, gold_scale
from evalkit.scorers.numbers import Quantity
from evalkit.scorers.verdict import Failure

RELATIVE = 0.01
STRICT_RELATIVE = 0.001
ROUNDING = 0.02  # up to here a wrong value is called a rounding error
HALF_UNIT_CAP = 0.045  # 5 % off is another answer, however coarsely it is shown
FEW_DIGITS = 1e-3  # executed values are rounded to five decimals: below this they carry one or two digits
_FLOAT = 1e-9

# What a note of `agreement` says of a right answer: the class of the leniency that it took.
LENIENCY: dict[str, Failure] = {
    "": "correct",
    "rounding": "rounding",
    "percent": "scale_x100",
    "scale word": "scale_thousand",
    "size": "sign",
}

_WESTERN_UNITS = (1.0, 1e3, 1e6, 1e9)
_CHINESE_UNITS = (1.0, 1e4, 1e8, 1e3, 1e6)

_SIZE = re.compile(
    r"\bhow much (?:did|does|do|has|have|will|would|is|was|were|are) [^?]{0,120}\b(?:vary|varied|differ)|"
    r"\b(?:declin|decreas|reduc|drop|fell\b|fall\b|shr[iau]nk)",
    re.IGNORECASE,
)
_SIGNED = re.compile(r"\b(?:change|difference|increas|growth|grew|rise|rose|gain)", re.IGNORECASE)


def agreement(found: Quantity, gold: NumberGold) -> tuple[Failure, str]:
    """`("correct", leniency)` or the failure and a note; the keys of `LENIENCY` are the leniencies."""
    if strictly(found, gold.value):
        return "correct", ""
    size_only = asks_size(gold.question) or (found.down and found.value > 0)
    for target in _targets(gold):
        for value, half_unit, how in _readings(found, gold_scale(gold)):
            if _agrees(value, half_unit, found, target, how):
                return "correct", how or "rounding"
            if size_only and _agrees(-value, half_unit, found, target, how):
                return "correct", "size"
    return _failure(found, gold)


def strictly(found: Quantity, target: float) -> bool:
    """Whether a number agrees as it stands: within 0.1 % or half a unit of its last digit, with its sign.

    A number with % is divided by 100; scale words do not help. This is `strict` of the hand labels.
    """
    unit = 0.01 if found.percent else 1.0
    if abs(found.value * unit - target) <= STRICT_RELATIVE * abs(target) + _FLOAT * max(1e-3, abs(target)):
        return True
    return _rounds_to(found.value * unit, found.half_unit * unit, found, target, "")


def _targets(gold: NumberGold) -> tuple[float, ...]:
    """The gold value, and its program's unrounded one where rounding to five decimals left few digits."""
    if not 0 < abs(gold.value) < FEW_DIGITS or not gold.program:
        return (gold.value,)
    try:
        exact = dsl.execute(gold.program)
    except dsl.ProgramError:
        return (gold.value,)
    same = not isinstance(exact, bool) and round(exact, 5) == gold.value
    return (gold.value, exact) if same else (gold.value,)


def asks_size(question: str) -> bool:
    """Whether a question asks for a size: how much something declined or varied, not how it changed."""
    return bool(_SIZE.search(question)) and not _SIGNED.search(question)


def _readings(found: Quantity, scale: Scale) -> Iterator[tuple[float, float, str]]:
    """The values that an answer may mean on the gold's scale, with the half unit of each."""
    value, half = found.value, found.half_unit
    if found.percent:
        yield value / 100, half / 100, ""
        if scale is not Scale.DECIMAL:
            yield value, half, "percent"
    else:
        yield value, half, ""
        if scale is Scale.DECIMAL and found.scale == 1:
            yield value / 100, half / 100, "percent"
        if scale is Scale.PERCENT and found.scale == 1:
            yield value * 100, half * 100, "percent"
    if found.scale != 1:
        units = _CHINESE_UNITS if found.scale in (1e4, 1e5, 1e7, 1e8, 1e10, 1e11) else _WESTERN_UNITS
        for unit in units:
            yield value * found.scale / unit, half * found.scale / unit, "scale word"


def _agrees(value: float, half_unit: float, found: Quantity, target: float, how: str) -> bool:
    if abs(value - target) <= RELATIVE * abs(target) + _FLOAT * max(1e-3, abs(target)):
        return True
    return _rounds_to(value, half_unit, found, target, how)


def _rounds_to(value: float, half_unit: float, found: Quantity, target: float, how: str) -> bool:
    """Whether the target, rounded to the digits that are shown, is the value."""
    if value == 0 or target == 0 or value * target < 0:
        return False
    # "1" for 1.031 names another quantity; "6%" for 0.0588 rounds it.
    if found.one_digit and how != "percent" and not found.percent:
        return False
    error = abs(value - target)
    return error <= half_unit * (1 + 1e-6) + _FLOAT and error <= HALF_UNIT_CAP * abs(target)


def _failure(found: Quantity, gold: NumberGold) -> tuple[Failure, str]:
    value, target = found.value, gold.value
    if not value or not target:
        return "wrong_number", ""
    ratio = value / target

    def near(factor: float, tolerance: float = RELATIVE) -> bool:
        return abs(abs(ratio) / factor - 1) <= tolerance

    readings = [reading for reading, _, _ in _readings(found, gold_scale(gold))]
    if ratio < 0 and any(abs(-reading / target - 1) <= RELATIVE for reading in readings):
        return "sign", "the size agrees"
    if any(abs(reading / target - 1) <= ROUNDING for reading in readings):
        return "rounding", "off by 1 to 2 %"
    if ratio > 0 and (near(100) or near(0.01) or near(1) or (near(1e4) and found.percent)):
        return "scale_x100", ""
    if ratio > 0 and any(near(1000.0**power) for power in (-3, -2, -1, 1, 2, 3)):
        return "scale_thousand", ""
    return "wrong_number", ""
