"""Whether a number that a model committed to agrees with a gold number, and if not, in what it differs.

This is the numeric part of the rule `financial`; its definition stands there.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from evalkit.example import NumberGold
from evalkit.scorers.gold_scale import Scale, gold_scale
from evalkit.scorers.numbers import Quantity
from evalkit.scorers.verdict import Failure

RELATIVE = 0.01
ROUNDING = 0.02  # up to here a wrong value is called a rounding error
HALF_UNIT_CAP = 0.125  # half a unit of a digit from 4 to 9 is at most this part of it
GOLD_STEP = 5e-6  # executed values are rounded to five decimals
_FLOAT = 1e-9

_WESTERN_UNITS = (1.0, 1e3, 1e6, 1e9)
_CHINESE_UNITS = (1.0, 1e4, 1e8, 1e3, 1e6)

_SIZE = re.compile(
    r"\bhow much (?:did|does|do|has|have|will|would|is|was|were|are) [^?]{0,120}\b(?:vary|varied|differ)|"
    r"\b(?:declin|decreas|reduc|drop|fell\b|fall\b|shr[iau]nk)",
    re.IGNORECASE,
)
_SIGNED = re.compile(r"\b(?:change|difference|increas|growth|grew|rise|rose|gain)", re.IGNORECASE)


def agreement(found: Quantity, gold: NumberGold) -> tuple[Failure, str]:
    """`("correct", how)` or the failure and a note."""
    size_only = asks_size(gold.question) or (found.down and found.value > 0)
    for value, half_unit, how in _readings(found, gold_scale(gold)):
        if _agrees(value, half_unit, found, gold.value, how):
            return "correct", how
        if size_only and _agrees(-value, half_unit, found, gold.value, how):
            return "correct", "size"
    return _failure(found, gold)


def asks_size(question: str) -> bool:
    """Whether a question asks for a size: how much something declined or varied, not how it changed."""
    return bool(_SIZE.search(question)) and not _SIGNED.search(question)


def _readings(found: Quantity, scale: Scale) -> Iterator[tuple[float, float, str]]:
    """The values that an answer may mean on the gold's scale, with the half unit of each."""
    value, half = found.value, found.half_unit
    if not (found.percent and scale is Scale.DECIMAL):
        yield value, half, ""
    if found.percent or (scale is Scale.DECIMAL and found.scale == 1):
        yield value / 100, half / 100, "percent"
    if scale is Scale.PERCENT and not found.percent and found.scale == 1:
        yield value * 100, half * 100, "percent"
    if found.scale != 1:
        units = _CHINESE_UNITS if found.scale in (1e4, 1e5, 1e7, 1e8, 1e10, 1e11) else _WESTERN_UNITS
        for unit in units:
            yield value * found.scale / unit, half * found.scale / unit, "scale word"


def _agrees(value: float, half_unit: float, found: Quantity, gold: float, how: str) -> bool:
    error = abs(value - gold)
    if error <= RELATIVE * abs(gold) + _FLOAT * max(1e-3, abs(gold)):
        return True
    if value == 0 or gold == 0 or value * gold < 0:
        return False
    if error <= GOLD_STEP and abs(gold) < 1e-2:
        return True
    # "1" for 1.111 names another quantity; "6%" for 0.0568 rounds it.
    if found.one_digit and how != "percent" and not found.percent:
        return False
    return error <= half_unit * (1 + 1e-6) + _FLOAT and error <= HALF_UNIT_CAP * abs(gold)


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
