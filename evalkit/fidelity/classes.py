"""What kind of token each one of an answer is.

A token may be of several kinds: a digit in `\\boxed{}` is of both. What is of none is `other`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from evalkit.scoring.text import answer_start

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from evalkit.fidelity.plan import ForcedAnswer

TokenClass = Literal["digits", "signs", "options", "boxed", "reasoning", "chinese", "end", "other"]
CLASSES: tuple[TokenClass, ...] = get_args(TokenClass)
TITLES: dict[TokenClass, str] = {
    "digits": "digits",
    "signs": "sign, percent and scale words",
    "options": "option letter or label",
    "boxed": r"inside \boxed{}",
    "reasoning": "reasoning",
    "chinese": "Chinese",
    "end": "end of the answer",
    "other": "other",
}

Span = tuple[int, int]

_DIGITS = re.compile(r"[0-9０-９]+")
_SIGNS = re.compile(
    r"[-+−–%％‰]|(?<![A-Za-z])(?:per ?cent|percentage|basis points?|bps|thousands?|millions?|billions?|"
    r"trillions?|negative|minus)(?![A-Za-z])|百分(?:之|点)?|千分之|[千万亿负]",
    re.IGNORECASE,
)
_CHINESE = re.compile(r"[\u3400-\u9fff\uf900-\ufaff]+")
_BOX = re.compile(r"\\boxed\s?\{")
_BOX_CHARS = 4_000


def token_classes(answer: ForcedAnswer, options: Sequence[str]) -> dict[TokenClass, NDArray[np.bool_]]:
    """For each kind, which of the answer's predicted tokens are of it.

    Args:
        options: what may be answered: letters, or labels.
    """
    text = answer.text
    start = answer_start(text)
    spans: dict[TokenClass, list[Span]] = {
        "digits": [found.span() for found in _DIGITS.finditer(text)],
        "signs": [found.span() for found in _SIGNS.finditer(text)],
        "options": _options(text, start, options),
        "boxed": _boxes(text),
        "reasoning": [(0, len(text) if start is None else start)] if start != 0 else [],
        "chinese": [found.span() for found in _CHINESE.finditer(text)],
    }
    found = {name: tokens_of(answer, some) for name, some in spans.items()}
    end = np.zeros(answer.predicted, dtype=np.bool_)
    end[len(answer.answer) :] = True
    found["end"] = end
    found["other"] = ~np.logical_or.reduce(list(found.values()))
    return found


def tokens_of(answer: ForcedAnswer, spans: Sequence[Span]) -> NDArray[np.bool_]:
    """Which of the predicted tokens hold a byte of some spans of characters of the answer's text."""
    bounds = np.concatenate([[0], np.cumsum(np.asarray(answer.sizes, dtype=np.int64))])
    hit = np.zeros(answer.predicted, dtype=np.bool_)
    places = byte_places(answer.text)
    for first, last in spans:
        low, high = places[first], places[last]
        if high > low:
            one = int(np.searchsorted(bounds, low, side="right")) - 1
            upto = int(np.searchsorted(bounds, high, side="left"))
            hit[one : min(upto, len(answer.answer))] = True
    return hit


def byte_places(text: str) -> NDArray[np.int64]:
    """The byte in UTF-8 at which each character begins, and the number of bytes."""
    points = np.frombuffer(text.encode("utf-32-le"), dtype="<u4")
    sizes = 1 + (points >= 0x80) + (points >= 0x800) + (points >= 0x10000)
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


def _options(text: str, start: int | None, options: Sequence[str]) -> list[Span]:
    """Options named after the reasoning, as words of their own; a letter only as it is written."""
    if start is None or not options:
        return []
    words = "|".join(re.escape(option) for option in sorted(options, key=len, reverse=True) if option)
    if not words:
        return []
    letters = any(len(option) == 1 for option in options)
    # "A company" names no option.
    pattern = re.compile(
        rf"(?<![A-Za-z0-9])(?:{words})(?![A-Za-z0-9]{'| [a-z]' if letters else ''})",
        0 if letters else re.IGNORECASE,
    )
    return [found.span() for found in pattern.finditer(text, start)]


def _boxes(text: str) -> list[Span]:
    """What stands within the braces of each `\\boxed{}`; one that is never closed goes on to the end."""
    spans: list[Span] = []
    for opened in _BOX.finditer(text):
        depth, at = 1, opened.end()
        last = min(len(text), at + _BOX_CHARS)
        while at < last and depth:
            depth += {"{": 1, "}": -1}.get(text[at], 0)
            at += 1
        spans.append((opened.end(), at - 1 if not depth else at))
    return spans
