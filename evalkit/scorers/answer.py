"""The final answer that an output commits to: its text, its place, and how it was found.

Looked for only after the reasoning (see `reasoning`), in this order; the first that holds an answer of the
wanted kind counts:

1. the last `\\boxed{}` with any content; a box is final, so nothing else is tried;
2. the content of the last `<answer>` tag, in which 3 to 5 are then tried (its closing tag may be cut off);
3. the text after the last "final answer is", "Answer:", 答案是, 故选 and the like;
4. the last bold text of the last lines;
5. the last lines, if the model stopped by itself: a cut-off text has not come to its end.

Places 3 to 5 are looked for in the last `TAIL_CHARS` characters, the others in the whole answer part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from evalkit.scorers.boxed import last_box
from evalkit.scorers.normalize import SNIPPET_CHARS, plain
from evalkit.scorers.reasoning import answer_part, answer_start
from evalkit.scorers.verdict import Output

How = Literal["box", "phrase", "bold", "tail"]

TAIL_CHARS = 6_000

_ANSWER_TAG = re.compile(r"<(/?)answer\s{0,3}>", re.IGNORECASE)
_CUT_TAG = re.compile(r"<(?:/(?:a(?:n(?:s(?:w(?:er?)?)?)?)?)?)?\Z|<\|[a-z_]{1,20}\|>\s{0,9}\Z", re.IGNORECASE)
_PHRASE = re.compile(
    r"\banswer(?: to the question)?(?:\*\*)? ?(?:is|would be|should be|=|:|-(?= ))(?:\*\*)?|"
    r"\bfinal answer(?:\*\*)?(?=\s)(?! ?(?:is|would be|should be|to the question|=|:|-))|####|"
    r"(?:答案|回答|结论|选项)(?:应该|应当|应)?(?:是|为|选择|选|:)|"
    r"(?:故|应|因此|所以|可|正确)选(?:择|项)?(?:是|为|:)?",
    re.IGNORECASE,
)
_LEADING = " \t\r\n:*#"  # between such a phrase and the answer
_BOLD = re.compile(r"\*\*([^*\n]{1,300})\*\*")
_UNIT = re.compile(r"\s?(?:%|percent\b|thousand\b|million\b|billion\b|trillion\b|万亿|亿|万)")
_SENTENCE_END = re.compile(r"[。！!？?\n;；]|\.(?=\s|\Z)")
_ABSTAIN = re.compile(
    r"\bn/a\b|\bnot (?:available|applicable|provided|given|disclosed|possible|enough|sufficient)\b|"
    r"\bnot (?:determinable|specified)\b|"
    r"\b(?:cannot|can ?not|can't|could not|unable to) (?:be )?"
    r"(?:determine|calculate|compute|answer|provide|derive|find)|"
    r"\binsufficient\b|\bunknown\b|\bundetermined\b|\bno (?:data|answer|information)\b|"
    r"无法|不适用|未提供|没有提供|数据不足|信息不足",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Answer:
    """A candidate. ``text`` is plain (no LaTeX, no markdown), ``span`` its place in the raw output."""

    text: str
    span: tuple[int, int]
    how: How


def answers(output: Output) -> Iterator[Answer]:
    """The places where a final answer may stand, most binding first; nothing if the reasoning never ends."""
    part = answer_part(output.text)
    if part is None:
        return
    for text, (start, end), how in _places(part.text, output.truncated):
        yield Answer(text, (part.offset + start, part.offset + end), how)


def _places(text: str, truncated: bool) -> Iterator[tuple[str, tuple[int, int], How]]:
    """`answers`, in the folded text of the answer part."""
    box = last_box(text)
    start, end = _tagged(text)
    if box and (box.closed or not truncated) and not start > box.end:
        yield plain(box.content), (box.start, box.end), "box"
        return
    end = max(start, end)
    start = max(start, end - TAIL_CHARS)
    phrase = _phrase(text, start, end)
    if phrase and not (truncated and phrase[1] >= end):
        yield plain(text[slice(*phrase)]), phrase, "phrase"
    if truncated:
        return
    lines = _last_lines(text, start, end)
    for bold in reversed(list(_BOLD.finditer(text, *lines))):
        place = _with_unit(text, bold)
        yield plain(text[slice(*place)]), place, "bold"
    yield plain(text[slice(*lines)]), lines, "tail"


def abstains(text: str) -> bool:
    """Whether the words of an answer say that there is none, as in "N/A - fiscal 2014 is not available"."""
    return _ABSTAIN.search(text) is not None


def unfinished(output: Output) -> bool:
    """Whether the output ends inside its reasoning or was cut off: without an answer it is `truncated`."""
    return output.truncated or answer_start(output.text) is None


def _tagged(text: str) -> tuple[int, int]:
    """The content of the last `<answer>` tag, or everything."""
    end = len(text)
    opened = closed = None
    for tag in _ANSWER_TAG.finditer(text):
        if not tag[1]:
            opened, closed = tag, None
        elif closed is None:
            closed = tag
    if closed:
        end = closed.start()
    elif cut := _CUT_TAG.search(text, max(0, end - 40)):
        end = cut.start()
    return (opened.end() if opened else 0), end


def _phrase(text: str, start: int, end: int) -> tuple[int, int] | None:
    """The rest of the sentence after the last phrase that announces an answer."""
    filled = start + len(text[start:end].rstrip(_LEADING))
    for match in reversed(list(_PHRASE.finditer(text, start, end))):
        begin = match.end()
        if begin >= filled:
            continue
        while text[begin] in _LEADING:
            begin += 1
        stop = _SENTENCE_END.search(text, begin, min(end, begin + SNIPPET_CHARS))
        return begin, stop.start() if stop else min(end, begin + SNIPPET_CHARS)
    return None


def _last_lines(text: str, start: int, end: int) -> tuple[int, int]:
    """The last three lines that are not blank."""
    position, lines = end, 0
    while position > start and lines < 3:
        line_start = max(text.rfind("\n", start, position) + 1, start)
        if text[line_start:position].strip():
            lines += 1
        begin, position = line_start, line_start - 1
    begin = begin if lines else start
    return max(begin, end - SNIPPET_CHARS), end


def _with_unit(text: str, bold: re.Match[str]) -> tuple[int, int]:
    """Bold text, with a unit that follows it: `**31** million`."""
    unit = _UNIT.match(text, bold.end())
    return bold.start(), unit.end() if unit else bold.end()
