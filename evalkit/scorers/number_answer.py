"""The number that an answer commits to, of all those in its text."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from evalkit.scorers.answer import Answer, abstains, answers
from evalkit.scorers.numbers import Quantity, quantities
from evalkit.scorers.verdict import Output

_EQUALS = re.compile(r"[=≈]")
_RANGE = re.compile(r"\s{0,3}(?:-|--|to|≈|至|到)\s{0,3}[$€£¥]?\s?\Z")
_BETWEEN = re.compile(r"\b(?:between|from)\s{1,3}[$€£¥]?\s?\Z", re.IGNORECASE)
_BETWEEN_CHARS = 16  # what that pattern can match
_LIST = re.compile(r"\s{0,3}(?:,|;|、|and|or|,\s?and|和|或)\s{0,3}[$€£¥]?\s?\Z", re.IGNORECASE)
_SENTENCE = re.compile(r"[。！!？?\n;；]|\.(?=\s|\Z)")
_WORD = re.compile(r"[A-Za-z\u4e00-\u9fff]")


@dataclass(frozen=True, slots=True)
class NumberAnswer:
    """What was found. ``quantity`` is None where the answer is an abstention or names no single number."""

    answer: Answer
    quantity: Quantity | None
    missing: Literal["", "abstains", "no number", "several numbers"] = ""


@lru_cache(maxsize=1)  # half of the rules read the same output one after the other
def number_answer(output: Output) -> NumberAnswer | None:
    """The committed number of an output; None if it commits to nothing at all."""
    for answer in answers(output):
        read = _read(answer)
        if read.quantity or read.missing in ("abstains", "several numbers") or answer.how == "box":
            return read
    return None


def _read(answer: Answer) -> NumberAnswer:
    if answer.how == "tail":
        return _read_tail(answer)
    text, found = _right_side(answer.text)
    chosen = [q for q in found if not q.year]
    if abstains(text) and not (chosen and not abstains(text[: chosen[0].start])):
        return NumberAnswer(answer, None, "abstains")
    if not chosen and not (found and not _WORD.search(text)):
        return NumberAnswer(answer, None, "no number")
    pool = chosen or found
    if len(pool) > 1 and _several(text, pool):
        return NumberAnswer(answer, None, "several numbers")
    return NumberAnswer(answer, pool[0])


def _read_tail(answer: Answer) -> NumberAnswer:
    """The last number of the last sentence that has one; a lone year is none."""
    for sentence in reversed(_SENTENCE.split(answer.text)):
        text, found = _right_side(sentence)
        chosen = [q for q in found if not q.year] or ([] if _WORD.search(text) else found)
        if abstains(sentence):
            return NumberAnswer(answer, None, "abstains")
        chosen = list(_without_ranges(text, chosen))
        if chosen:
            return NumberAnswer(answer, chosen[-1])
    return NumberAnswer(answer, None, "no number")


def _right_side(text: str) -> tuple[str, list[Quantity]]:
    """The part after the last = or ≈ that has a number, and its numbers."""
    for side in reversed(_EQUALS.split(text)):
        if found := quantities(side):
            return side, found
    return text, []


def _several(text: str, found: list[Quantity]) -> bool:
    """Whether the answer is a range or a bare list of numbers."""
    before, after = text[: found[0].start], text[found[1].end :]
    gap = text[found[0].end : found[1].start]
    if _RANGE.match(gap) or _BETWEEN.search(before):
        return True
    return bool(_LIST.match(gap.rstrip("-+"))) and not _WORD.search(before + after)


def _without_ranges(text: str, found: Iterable[Quantity]) -> Iterable[Quantity]:
    """Leaves out the two numbers of "from 5 to 7"."""
    closes = False
    for quantity in found:
        near = max(0, quantity.start - _BETWEEN_CHARS)
        opens = _BETWEEN.search(text, near, quantity.start) is not None
        if not opens and not closes:
            yield quantity
        closes = opens
