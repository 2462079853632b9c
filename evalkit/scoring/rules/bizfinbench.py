"""BizFinBench's financial calculation: equal to gold within 1e-6, absolute.

Upstream's prompt asks for JSON: the whole output is parsed as JSON and its "answer" taken, else the text
after the first `"answer":` up to a comma, brace or blank. What is no number is compared as text. An output
without any such JSON, which upstream scores 0, comes from another prompt here, so its committed number is
compared.

Faults kept: no rounding is allowed, no unit understood: "7.87%" is text, and 0.0787 for 0.07874 is wrong.

Read at source: HiThink-Research/BizFinBench, benchmark_code/BizFinBench/eval_financial_calculation.py.
"""

from __future__ import annotations

import json
import re

from evalkit.schema import Gold, NumberGold, Output, Score
from evalkit.scoring.number_answer import number_answer
from evalkit.scoring.text import head
from evalkit.scoring.verdicts import judged, missing

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_ANSWER = re.compile(r'"answer"\s*:\s*([^,}\s]+)')


def score(output: Output, gold: Gold) -> Score | None:
    """The verdict; None for all but numbers."""
    if not isinstance(gold, NumberGold):
        return None
    said = _json_answer(_CONTROL.sub("", head(output.text)))
    if said is not None:
        return judged(gold, said, _equals(said, gold.value), note="json")
    found = number_answer(output, gold.question)
    if found is None or found.quantity is None:
        return missing(output)
    right = abs(found.quantity.value - gold.value) < 1e-6
    return judged(gold, found.answer.text, right, found.answer.span)


def _json_answer(text: str) -> str | None:
    if text.lstrip().startswith("{"):
        try:
            parsed = json.loads(text)
        except (ValueError, RecursionError):
            parsed = None
        if isinstance(parsed, dict) and "answer" in parsed:
            return _shown(parsed["answer"])
    match = _ANSWER.search(text)
    if not match:
        return None
    quoted = match[1].startswith('"') and match[1].endswith('"')
    return match[1][1:-1] if quoted else match[1]


def _shown(value: object) -> str:
    return str(value) if isinstance(value, str | float | bool) or _short_integer(value) else ""


def _short_integer(value: object) -> bool:
    return isinstance(value, int) and value.bit_length() < 1_000


def _equals(said: str, target: float) -> bool:
    try:
        return abs(float(said) - target) < 1e-6
    except ValueError:
        return said.strip() == str(target)
