"""The code in an output, and whether what it gave is what was expected. Nothing here runs it.

Code is the last fenced block after the reasoning that defines the wanted function, else the last one. Fences
are those of CommonMark: three or more backticks or tildes at most three blanks from the line's start; a block
that is not closed ends with the text. Code without a fence is no answer.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from evalkit.schema import CodeGold, Output
from evalkit.scoring.text import answer_start

MAX_CODE = 20_000
"""Characters of code that are run. What is longer is no answer to a task of a dozen lines."""

_FENCE = re.compile(r"^ {0,3}(`{3,}|~{3,})([^\n]*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Code:
    """A block's content and its place in the raw output. `closed`: its end was written."""

    text: str
    span: tuple[int, int]
    closed: bool


def code_of(output: Output, gold: CodeGold) -> Code | None:
    """The code that answers a task; None where there is none, or only the beginning of some."""
    start = answer_start(output.text)
    if start is None:
        return None
    blocks = _blocks(output.text, start)
    name = re.escape(gold.name)
    defines = re.compile(rf"^(?:def[ \t]{{1,9}}{name}\b|{name}[ \t]{{0,9}}=)", re.MULTILINE)
    defining = [block for block in blocks if defines.search(block.text)]
    found = (defining or blocks)[-1:]
    if not found or not found[0].text.strip() or (output.truncated and not found[0].closed):
        return None
    return found[0]


def _blocks(text: str, start: int) -> list[Code]:
    """The fenced blocks from `start` on, in their order."""
    found, opened, fence = [], 0, ""
    for line in _FENCE.finditer(text, start):
        marks, info = line[1], line[2].strip()
        if not fence:
            if marks[0] == "~" or "`" not in info:
                fence, opened = marks, min(line.end() + 1, len(text))
        elif marks[0] == fence[0] and len(marks) >= len(fence) and not info:
            found.append(Code(text[opened : line.start()], (opened, line.start()), True))
            fence = ""
    if fence:
        found.append(Code(text[opened:], (opened, len(text)), False))
    return found


def agrees(expected: object, value: object, tolerance: float) -> bool:
    """Whether a value that code returned is the expected one; lists element by element, and in depth.

    A number is right within `tolerance` of the expected one's size, or of 1 where that is smaller; a truth
    value is no number.
    """
    if isinstance(expected, list):
        same = isinstance(value, list) and len(value) == len(expected)
        return same and all(agrees(a, b, tolerance) for a, b in zip(expected, value, strict=True))  # type: ignore[call-overload]
    if isinstance(expected, bool) or isinstance(value, bool):
        return expected is value
    if isinstance(expected, int | float) and isinstance(value, int | float):
        try:
            error = abs(float(value) - expected)
        except OverflowError:
            return False
        return math.isfinite(error) and error <= tolerance * max(1.0, abs(expected))
    return type(expected) is type(value) and expected == value
