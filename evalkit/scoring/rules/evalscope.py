"""evalscope's math metric: relative 1e-4 to gold, gold / 100 or gold x 100.

The answer, in the whole output: the content of the last `boxed{}`; else the text after the last "he answer
is", "final answer is"; after the first 答案是 up to a blank line; after the last "ANSWER:"; else the last
number. It is cleaned of `\\text{}` units, $, %, blanks and the like, and read as a number, a fraction or a
letter; otherwise it must be the gold string. For letters the last single A to E counts.

Faults kept: 1 agrees with 100; % is dropped; inside an unclosed `<think>` a box counts too.

Read at source: modelscope/evalscope, evalscope/metrics/math_parser.py, `extract_answer` and `math_equal`
(borrowed there from Qwen2.5-Math). Left out: everything symbolic (sympy and LaTeX parsing of model text,
matrices, intervals) and number words.
"""

from __future__ import annotations

import math
import re

from evalkit.schema import ChoiceGold, Gold, LabelGold, NumberGold, Output, Score, YesNoGold
from evalkit.scoring.text import tail
from evalkit.scoring.verdicts import judged, missing, yes_no_word

_ANSWER_CHARS = 2_000
_NUMBER = re.compile(r"-?(?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)")
_UNIT = re.compile(r"\\text\{[^}]{0,200}\}\Z")
_TEXT = re.compile(r"\\text\{([^}]{0,200})\}")
_FRACTION = re.compile(r"(-?)\\?[dt]?frac\{(-?[0-9.]{1,30})\}\{(-?[0-9.]{1,30})\}\Z")
_SLASH = re.compile(r"(-?)(-?[0-9]{1,30})/(-?[0-9]{1,30})\Z")
_LETTER = re.compile(r"\b[ABCDE]\b")
_DELETED = ("\\!", "\\left", "\\right", "^{\\circ}", "^\\circ", "\\$", "$", "\\(", "\\)", "\\%", "%", "and")


def score(output: Output, gold: Gold) -> Score | None:
    """The verdict; None for text."""
    if isinstance(gold, NumberGold):
        reference = repr(float(gold.value))
    elif isinstance(gold, YesNoGold):
        reference = yes_no_word(gold)
    elif isinstance(gold, ChoiceGold):
        reference = gold.letter
    elif isinstance(gold, LabelGold):
        reference = gold.label
    else:
        return None
    said = strip_answer(extract(tail(output.text)))
    if not said:
        return missing(output)
    return judged(gold, said, _math_equal(said, reference))


def extract(text: str) -> str:
    """Upstream's choice of the answer, before cleaning."""
    if "boxed" in text:
        return _boxed(text.rsplit("boxed", 1)[-1][:_ANSWER_CHARS])
    for phrase in ("he answer is", "final answer is"):
        if phrase in text:
            return text.rsplit(phrase, 1)[-1].strip()[:_ANSWER_CHARS]
    if "答案是" in text:
        return text.split("答案是")[1].strip().split("\n\n")[0].strip()[:_ANSWER_CHARS]
    if "ANSWER:" in text:
        return text.rsplit("ANSWER:", 1)[-1].strip()[:_ANSWER_CHARS]
    last = ""
    for match in _NUMBER.finditer(text.replace(",", "")):
        last = match[0]
    return last


def _boxed(rest: str) -> str:
    if not rest.startswith("{"):
        return rest.split("$")[0].strip()
    depth = 0
    for position, character in enumerate(rest):
        depth += (character == "{") - (character == "}")
        if depth == 0:
            return rest[1:position]
    return rest[1:]


def strip_answer(said: str) -> str:
    """Upstream's cleaning, as far as numbers, words and letters go."""
    said = re.sub(r"\n\s{0,50}", "", said).removeprefix(":").removesuffix(".").removesuffix("/").strip()
    without_unit = _UNIT.sub("", said).strip()
    said = _TEXT.sub(r"\1", without_unit or said)
    for deleted in _DELETED:
        said = said.replace(deleted, "")
    said = said.strip().rstrip(".")
    head, equals, tail = said.partition("=")
    if equals and len(head) <= 2 and "=" not in tail:
        said = tail
    return said.replace(" ", "")


def _math_equal(said: str, reference: str) -> bool:
    if said.lower() == reference.lower():
        return True
    if reference in ("A", "B", "C", "D", "E"):
        letters = _LETTER.findall(said.upper())
        return bool(letters) and letters[-1] == reference
    prediction, gold = _digits(said), _digits(reference)
    if prediction is None or gold is None:
        return False
    return any(math.isclose(item, prediction, rel_tol=1e-4) for item in (gold / 100, gold, gold * 100))


def _digits(text: str) -> float | None:
    fraction = _FRACTION.match(text) or _SLASH.match(text)
    try:
        if fraction:
            value = float(fraction[2]) / float(fraction[3])
            return -value if fraction[1] else value
        return float(text.replace(",", ""))
    except (ValueError, ZeroDivisionError):
        return None
