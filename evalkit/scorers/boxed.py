r"""`\boxed{...}` with nested braces, and the unit or sign that stands directly outside it."""

from __future__ import annotations

import re
from dataclasses import dataclass

_TOKEN = re.compile(r"\\{1,4}f?boxed\s{0,3}\{|\\.|[{}]|(?<!\\)\bboxed\{", re.DOTALL)
_CUT = re.compile(r"[\n<]|\$\$")
_GAP = r"\s{0,3}(?:\\\)|\\\]|\$\$?|\*\*)?\s{0,3}"
_SUFFIX = re.compile(
    _GAP + r"(?:\\?%|percent(?:age)?\b|basis points?\b|(?:US |U\.S\. )?(?:\\text\{\s?)?"
    r"(?:thousand|million|billion|trillion|mn|bn)\b|万亿|亿|百万|千万|万|千)",
    re.IGNORECASE,
)
_PREFIX = re.compile(r"(?:^|[\s=(:≈*])([-+](?:\s?\\?\$)?|\\?\$\s?-)\s?\Z")


@dataclass(frozen=True, slots=True)
class Box:
    """One box: its content, with a sign before it and a unit after it if they stand directly outside.

    ``start`` and ``end`` delimit the content in the text; ``closed`` is False if its brace never closes.
    """

    content: str
    start: int
    end: int
    closed: bool


def last_box(text: str) -> Box | None:
    """The last outermost box that has any content; one linear scan."""
    found: tuple[int, int, bool] | None = None
    stack: list[int | None] = []  # content position of an open box, None for an ordinary brace
    first = text.find("boxed")
    if first < 0:
        return None
    for token in _TOKEN.finditer(text, max(0, first - 5)):
        mark = token[0]
        if mark == "}":
            opened = stack.pop() if stack else None
            enclosed = any(position is not None for position in stack[-8:])
            if opened is not None and not enclosed and text[opened : token.start()].strip():
                found = (opened, token.start(), True)
        elif mark == "{":
            stack.append(None)
        elif mark.endswith("{"):
            stack.append(token.end())
    unclosed = _unclosed(text, stack, found)
    if unclosed:
        found = unclosed
    return _with_surroundings(text, *found) if found else None


def _unclosed(
    text: str, stack: list[int | None], found: tuple[int, int, bool] | None
) -> tuple[int, int, bool] | None:
    """A box whose brace was forgotten or cut off, if nothing complete comes after it."""
    opened = next((position for position in stack if position is not None), None)
    if opened is None or (found and found[0] > opened):
        return None
    stop = _CUT.search(text, opened)
    end = stop.start() if stop else len(text)
    return (opened, end, False) if text[opened:end].strip() else None


def _with_surroundings(text: str, start: int, end: int, closed: bool) -> Box:
    content = text[start:end]
    if not closed:
        return Box(content, start, end, closed)
    suffix = _SUFFIX.match(text, end + 1)
    if suffix:
        content += " " + suffix[0].replace("\\)", "").replace("\\]", "").lstrip(" $*\n")
    before = text[max(0, start - 24) : start]
    prefix = _PREFIX.search(before[: before.rfind("\\")].rstrip()) if "\\" in before else None
    if prefix:
        content = prefix[1].replace(" ", "") + content
    return Box(content, start, end, closed)
