"""Where the reasoning ends and the answer begins.

An answer is looked for only after the reasoning. `<think>` that is never closed means no answer: the last
number of a cut-off trace is not an answer. A template that prefills `<think>` leaves only `</think>` in
the text.

The cost does not grow with the output: in the last `ANSWER_CHARS` characters every spelling of the tags is
seen (`</Thinking >`), before them only the plain ones, by string search, and those at most `SEARCH_CHARS`
back. An answer part that is longer than `ANSWER_CHARS` is read from its end.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from evalkit.scorers.normalize import fold

ANSWER_CHARS = 32_768
SEARCH_CHARS = 4_000_000

_TAG = re.compile(r"<(/?)think(?:ing)?\s{0,3}>", re.IGNORECASE)
_OPENED = ("<think>", "<thinking>")
_CLOSED = ("</think>", "</thinking>")


@dataclass(frozen=True, slots=True)
class AnswerPart:
    """The folded text after the reasoning, at most its last `ANSWER_CHARS`; it starts at ``offset`` of the
    raw output, so a span in it plus the offset is a span of the output."""

    text: str
    offset: int


def answer_part(output: str) -> AnswerPart | None:
    """The part of an output that may hold its answer; None if the reasoning never ends."""
    start = answer_start(output)
    if start is None:
        return None
    start = max(start, len(output) - ANSWER_CHARS)
    return AnswerPart(fold(output[start:]), start)


def answer_start(text: str) -> int | None:
    """Position where the part after the reasoning begins (0 without reasoning); None if it never ends."""
    tail = max(0, len(text) - ANSWER_CHARS)
    last = None
    for last in _TAG.finditer(text, tail):  # noqa: B007  the last match is wanted
        pass
    if last is not None:
        return last.end() if last[1] else None
    if not tail:
        return 0
    first = max(0, tail - SEARCH_CHARS)
    opened = max(text.rfind(tag, first) for tag in _OPENED)
    closed, tag = max((text.rfind(tag, first), tag) for tag in _CLOSED)
    if opened > closed:
        return None
    return closed + len(tag) if closed >= 0 else 0
