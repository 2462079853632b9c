"""Right, then abandoned: the right number was a result in the trace, and another one was committed.

It is counted if all of this holds:

- gold is a number, the output commits to a number (`number_answer`), and `financial` calls it wrong;
- before the committed answer, in the reasoning too, a number stands as a *result*: after =, ≈, → or a word as
  is, equals, gives, about (等于, 约为, 是, 为), in a box, or with a % sign;
- that number agrees with gold as in `financial`, but (on its own scale) without its leniency for rounding,
  and shows two significant digits or more;
- it is not a number that was given: not in the question, in the table or among the gold program's literals.

Limits: a given number that stands only in the page's text is not known here, so "revenue is 1,234" counts if
1234 is the gold of a computation; a right value met by chance counts too; a result of one significant digit
is never counted. Of a trace, the last `TRACE_CHARS` characters are looked at, and in them at most the last
`MAX_RESULTS` numbers that have the gold's digits.
"""

from __future__ import annotations

import math
import re

from evalkit.schema import Gold, NumberGold, Output
from evalkit.scoring.agreement import agreement
from evalkit.scoring.number_answer import number_answer
from evalkit.scoring.numbers import quantities
from evalkit.scoring.programs import ProgramError, number, parse
from evalkit.scoring.text import fold, plain

TRACE_CHARS = 40_000
MAX_RESULTS = 50
_SNIPPET = 60
_TABLE_CELLS = 400

_NUMBER = r"(-?\s?\\?\$?\s?-?[0-9][0-9,]{0,20}(?:\.[0-9]{1,15})?)"
_RESULT = re.compile(
    r"(?:=|≈|→|\\approx|\\boxed\s?\{|等于|约为|约|是|为|"
    r"\b(?:is|was|be|equals?|equal to|gives?|get|yields?|about|approximately|roughly|around))"
    r"[\s:*(]{0,4}(?:about|approximately|roughly|around|约)?[\s(]{0,3}" + _NUMBER,
    re.IGNORECASE,
)
_PERCENT = re.compile(r"(?<![0-9,.])" + _NUMBER + r"\s?\\?%")
_DIGITS = re.compile(r"[0-9]+(?:\.[0-9]+)?")


def right_then_abandoned(output: Output, gold: Gold) -> bool:
    """Whether the right number was a result before another one was committed; see the module."""
    if not isinstance(gold, NumberGold) or not gold.value:
        return False
    found = number_answer(output, gold.question)
    if found is None or found.quantity is None or agreement(found.quantity, gold)[0] == "correct":
        return False
    end = found.answer.span[0]
    trace = fold(output.text[max(0, end - TRACE_CHARS) : end])
    results = _results(trace, gold.value)
    return any(_right(snippet, gold) for snippet in results) and not _given(gold)


def _results(trace: str, target: float) -> list[str]:
    """The results that have the target's digits, each from its number on."""
    starts = [
        match.start(1)
        for pattern in (_RESULT, _PERCENT)
        for match in pattern.finditer(trace)
        if _same_digits(match[1], target)
    ]
    return [plain(trace[start : start + _SNIPPET]) for start in sorted(starts)[-MAX_RESULTS:]]


def _same_digits(shown: str, target: float) -> bool:
    """Whether a number is the target up to a power of ten and a few per cent, and shows two digits."""
    digits = _DIGITS.search(shown.replace(",", ""))
    if not digits or len(digits[0].replace(".", "").strip("0")) < 2:
        return False
    exponent = math.log10(float(digits[0]) / abs(target))
    return abs(exponent - round(exponent)) < 0.03


def _right(snippet: str, gold: NumberGold) -> bool:
    found = quantities(snippet)
    if not found:
        return False
    failure, leniency = agreement(found[0], gold)
    return failure == "correct" and leniency != "rounding"


def _given(gold: NumberGold) -> bool:
    """Whether the gold number itself was there to be read."""
    texts = [gold.question[:2_000]]
    texts += [cell[:_SNIPPET] for row in gold.table for cell in row[1:]][:_TABLE_CELLS]
    given = [quantity.value for text in texts for quantity in quantities(plain(fold(text)))]
    given += _literals(gold.program)
    return any(
        math.isclose(abs(value), abs(gold.value) * scale, rel_tol=1e-3)
        for value in given
        for scale in (1, 100)
    )


def _literals(program: str) -> list[float]:
    """The numbers that a program starts from."""
    literals = []
    try:
        arguments = [a for step in parse(program) for a in step.args] if "(" in program else [program]
    except ProgramError:
        return []
    for argument in arguments:
        try:
            literals.append(number(argument))
        except ProgramError:
            continue
    return literals
