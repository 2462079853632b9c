"""Whether a committed number is the gold number: dress, scale, sign and rounding.

Percent and decimal, and scale words, are read from the answer, the question and the annotator's own string.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from enum import Enum
from functools import lru_cache

from evalkit.schema import NumberGold, Outcome
from evalkit.scoring.numbers import Quantity, quantities
from evalkit.scoring.programs import ProgramError, Step, execute, parse
from evalkit.scoring.text import fold

RELATIVE = 0.01
STRICT_RELATIVE = 0.001
ROUNDING = 0.02  # up to here a wrong value is called a rounding error
HALF_UNIT_CAP = 0.045  # 5 % off is another answer, however coarsely it is shown
FEW_DIGITS = 1e-3  # executed values are rounded to five decimals: below this they carry one or two digits
_FLOAT = 1e-9
_KNOWN = 1_024  # golds and questions whose reading is remembered: each is read by several rules

# What a note of `agreement` says of a right answer: the class of the leniency that it took.
LENIENCY: dict[str, Outcome] = {
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
_FALLS = re.compile(
    r"\b(?:declin|decreas|reduc|drop|fell\b|fall|shr[iau]nk|lower|less\b|loss|lost\b|deficit|outflow)|下降|"
    r"减少|下跌|降低|降幅|跌幅|亏损",
    re.IGNORECASE,
)
# Where a question itself speaks of less, "a decrease of 5" answers it with 5.
_LESS = re.compile(
    r"\b(?:declin|decreas|reduc|drop|fell\b|fall|shr[iau]nk|lower|less\b|loss|lost|below|saving|discount|"
    r"deduct|"
    r"write.?(?:down|off)|impair|depreciat|amorti[sz]|paid|payment|repa|repurchas|outflow|negative|dispos|"
    r"retire|"
    r"contract|cut\b|down\b)|下降|减少|下跌|降低|亏损|降幅|跌幅",
    re.IGNORECASE,
)
_UNIT = r"(thousand|million|billion|trillion)s?"
_ASKED_UNIT = re.compile(
    rf"\bin (?:the )?(?:us ?|u\.s\. ?)?(?:[$€£] ?|dollars? ?)?\(? ?{_UNIT}\b|\bhow many {_UNIT}\b|"
    rf"[$] ?{_UNIT}\b|"
    rf"\((?:in )?(?:us ?)?(?:[$€£] ?)?(?:dollars? in )?{_UNIT}\b|"
    r"(?:单位[:：]?\s?|多少|以)(千|万|百万|千万|亿|十亿)(?:美|港|欧)?元",
    re.IGNORECASE,
)
_UNIT_SIZES = {
    "thousand": 1e3, "million": 1e6, "billion": 1e9, "trillion": 1e12,
    "千": 1e3, "万": 1e4, "百万": 1e6, "千万": 1e7, "亿": 1e8, "十亿": 1e9,
}  # fmt: skip
_PRICE = re.compile(
    r"\b(?:per|a|each) (?:diluted |basic |common )?(?:share|unit)\b|\bprice|\bhow many\b|\bdollars?\b|\$|"
    r"每股|"
    r"单价|多少元",
    re.IGNORECASE,
)
_PER_SHARE = re.compile(r"\bper (?:diluted |basic |common )*(?:share|unit)\b|每股", re.IGNORECASE)

UNIT_DECIDED = "the question's unit"
"""The note on an answer that only the unit which the question names makes wrong."""


def agreement(found: Quantity, gold: NumberGold) -> tuple[Outcome, str]:
    """`("correct", leniency)` or the failure and a note; the keys of `LENIENCY` are the leniencies."""
    unit = unit_of(gold)
    backwards = _backwards(found, gold)
    if not backwards and strictly(found, gold.value) and not _scaled_away(found, unit, gold):
        return "correct", ""
    either = (asks_size(gold.question) and found.direction != "up") or found.direction == "loss"
    minus = found.direction == "down" and found.value > 0
    for target in _targets(gold):
        for value, half_unit, how in readings(found, gold):
            if not backwards and _agrees(value, half_unit, found, target, how):
                return "correct", how or "rounding"
            if (either or minus) and _agrees(-value, half_unit, found, target, how):
                return "correct", "size"
    return _failure(found, gold, unit)


def _backwards(found: Quantity, gold: NumberGold) -> bool:
    """Whether the words around a positive number make it a decrease, and nobody asked for one."""
    if not (found.direction in ("down", "loss") and found.value > 0 and gold.value > 0):
        return False
    asked = _FALLS if _SIGNED.search(gold.question) else _LESS
    return not asked.search(gold.question)


@lru_cache(maxsize=_KNOWN)
def asked_unit(question: str) -> float | None:
    """The unit that a question names for its answer (1e6 for "in millions", 1 for "per share"), or None."""
    match = _ASKED_UNIT.search(question)
    if match:
        return _UNIT_SIZES[next(filter(None, match.groups())).lower()]
    return 1.0 if _PER_SHARE.search(question) else None


@lru_cache(maxsize=_KNOWN)
def stated_unit(answer: str) -> float | None:
    """The unit of a gold answer that is written with a scale word (1e6 for "1,234.5 million"), or None."""
    found = quantities(fold(answer)[:100])
    return found[0].scale if len(found) == 1 and found[0].scale != 1 else None


def unit_of(gold: NumberGold) -> float | None:
    """The unit in which an answer is wanted: the question's, else the gold answer's, else None."""
    return asked_unit(gold.question) or stated_unit(gold.answer)


def _scaled_away(found: Quantity, unit: float | None, gold: NumberGold) -> bool:
    """Whether the unit of an answer, a scale word or %, is not the one that the question names."""
    if found.scale != 1:
        return unit is not None and found.scale != unit
    return found.percent and _asks_amount(gold.question)


@lru_cache(maxsize=_KNOWN)
def _asks_amount(question: str) -> bool:
    """Whether a question asks for money or a count, of which no percentage is an answer."""
    named = _PRICE.search(question) or _ASKED_UNIT.search(question)
    return bool(named) and not (_SHARE.search(question) or _RATE.search(question))


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
        exact = execute(gold.program)
    except ProgramError:
        return (gold.value,)
    same = not isinstance(exact, bool) and round(exact, 5) == gold.value
    return (gold.value, exact) if same else (gold.value,)


@lru_cache(maxsize=_KNOWN)
def asks_size(question: str) -> bool:
    """Whether a question asks for a size: how much something declined or varied, not how it changed."""
    return bool(_SIZE.search(question)) and not _SIGNED.search(question)


def readings(found: Quantity, gold: NumberGold) -> Iterator[tuple[float, float, str]]:
    """The values that an answer may mean on the gold's scale, with the half unit of each."""
    value, half, scale = found.value, found.half_unit, gold_scale(gold)
    if found.percent:
        yield value / 100, half / 100, ""
        if scale is not Scale.DECIMAL and not _asks_amount(gold.question):
            yield value, half, "percent"
    elif found.scale == 1:
        yield value, half, ""
        if scale is Scale.DECIMAL:
            yield value / 100, half / 100, "percent"
        if scale is Scale.PERCENT:
            yield value * 100, half * 100, "percent"
        if stated := stated_unit(gold.answer):  # 1,234,500,000 for 1,234.5 million
            yield value / stated, half / stated, "scale word"
    if found.scale != 1 and scale not in (Scale.DECIMAL, Scale.PERCENT):
        for size in _units(found, unit_of(gold)):
            yield value * found.scale / size, half * found.scale / size, "scale word"


def _units(found: Quantity, unit: float | None) -> tuple[float, ...]:
    """The units that the gold may stand in, for an answer with a scale word."""
    if unit is not None:
        return (unit,)
    return _CHINESE_UNITS if found.scale in (1e4, 1e5, 1e7, 1e8, 1e10, 1e11) else _WESTERN_UNITS


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


def _failure(found: Quantity, gold: NumberGold, unit: float | None) -> tuple[Outcome, str]:
    value, target = found.value, gold.value
    if not value or not target:
        return "wrong_number", ""
    decided = _scaled_away(found, unit, gold) and math.isclose(abs(value), abs(target), rel_tol=RELATIVE)
    if found.scale != 1 and unit is not None:
        value *= found.scale / unit
    ratio = value / target
    values = [reading for reading, _, _ in readings(found, gold)]
    turned = ratio > 0 and found.direction == "down"
    if (ratio < 0 or turned) and any(abs(abs(reading / target) - 1) <= RELATIVE for reading in values):
        return "sign", "the size agrees"
    if any(abs(reading / target - 1) <= ROUNDING for reading in values):
        return "rounding", "off by 1 to 2 %"
    if ratio > 0 and _is_near(ratio, _THOUSANDS):
        return "scale_thousand", UNIT_DECIDED if decided else ""
    if ratio > 0 and _is_near(ratio, _HUNDREDS_OF_PERCENT if found.percent else _HUNDREDS):
        return "scale_x100", UNIT_DECIDED if decided else ""
    return "wrong_number", ""


_THOUSANDS = tuple(1000.0**power for power in (-4, -3, -2, -1, 1, 2, 3, 4))
_HUNDREDS = (100.0, 0.01, 1.0)
_HUNDREDS_OF_PERCENT = (*_HUNDREDS, 1e4)


def _is_near(ratio: float, factors: Sequence[float]) -> bool:
    """Whether a positive ratio is one of the factors, within `RELATIVE`."""
    return any(abs(ratio / factor - 1) <= RELATIVE for factor in factors)


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


@lru_cache(maxsize=_KNOWN)
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
        steps = parse(program) if "(" in program else []
    except ProgramError:
        return Scale.UNKNOWN
    if not steps:
        return Scale.DECIMAL if program.strip().endswith("%") else Scale.UNKNOWN
    scales: list[Scale] = []
    for step in steps:
        scales.append(_step_scale(step, scales))
    return scales[-1]


def _step_scale(step: Step, scales: list[Scale]) -> Scale:
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
