"""The part of an output that the rules of other projects look at, so that their cost does not grow with it.

Upstream they read the whole output. Longer ones than `WINDOW_CHARS`, several times the longest answer that
these benchmarks allow, are looked at from the end at which the rule begins.

Bring model text to plain characters: full-width forms, dashes, LaTeX and markdown dress.

`fold` keeps every position, so that spans found in folded text are spans of the raw output; it runs over
the whole output. `plain` changes lengths and runs only over a snippet, an answer already found.

Where the reasoning ends and the answer begins.

An answer is looked for only after the reasoning. `<think>` that is never closed means no answer: the last
number of a cut-off trace is not an answer. A template that prefills `<think>` leaves only `</think>` in
the text.

The cost does not grow with the output: in the last `ANSWER_CHARS` characters every spelling of the tags is
seen (`</Thinking >`), before them only the plain ones, by string search, and those at most `SEARCH_CHARS`
back. An answer part that is longer than `ANSWER_CHARS` is read from its end.

`\\boxed{...}` with nested braces, and the unit or sign that stands directly outside it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

WINDOW_CHARS = 65_536


def head(text: str) -> str:
    """The first `WINDOW_CHARS` characters."""
    return text[:WINDOW_CHARS]


def tail(text: str) -> str:
    """The last `WINDOW_CHARS` characters."""
    return text[-WINDOW_CHARS:]


# Answers are short; what is longer is prose, and only its beginning is looked at.
SNIPPET_CHARS = 2_000

_FOLD = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)}  # full-width ASCII
_FOLD |= dict.fromkeys(map(ord, "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\u2796"), ord("-"))
_FOLD |= dict.fromkeys(map(ord, "\u00a0\u2002\u2003\u2007\u2009\u200a\u202f\u3000\u200b\ufeff"), ord(" "))
_FOLD |= {ord("\ufe6a"): ord("%"), ord("\u066a"): ord("%"), ord("\u2236"): ord(":"), ord("\u2044"): ord("/")}
_FOLD |= {ord("\uffe5"): ord("\u00a5"), ord("\u2019"): ord("'")}

_THIN_IN_NUMBER = re.compile(r"(?<=[0-9])(?:,?\\[,!;: ]|\{,\}|\\\{,\\\}|,\\!)(?=[0-9]{3})")
# A tie between a number and its unit or after a sign; elsewhere "~" is "about".
_TIE = re.compile(r"(?<=[0-9A-Za-z%)}$+-])~")
_ESCAPED = re.compile(r"\\([%$()\[\]!,;: #&_{}|\\])")
_ESCAPED_AS = dict(
    zip("%$()[]!,;: #&_{}|\\", ("%", "$", *"    ", "", *"    ", "#", "&", "_", *"  ", "", " "), strict=True)
)
# Commands whose first argument is no text: a colour, a width, an environment.
_WITHOUT_TEXT = re.compile(
    r"\\(?:(?:text|page|cell|f)?color(?:box)?|[hv]space|[hv]?phantom|label|tag|begin|end|rule)\*?"
    r"\s{0,3}(?:\[[^\[\]]{0,20}\])?\{[^{}]{0,40}\}"
)
_COMMAND = re.compile(r"\\([A-Za-z]{1,40})\*?(\s{0,3}(?=\{))?")
_FRACTIONS = frozenset({"frac", "dfrac", "tfrac", "cfrac", "sfrac", "nicefrac", "xfrac"})
_NAMED = {
    "times": "×", "cdot": "×", "ast": "×", "div": "÷", "percent": "%", "dollar": "$", "textdollar": "$",
    "euro": "€", "texteuro": "€", "pounds": "£", "textsterling": "£", "textyen": "¥", "yen": "¥",
    "approx": "≈", "simeq": "≈", "sim": "≈", "cong": "≈", "textasciitilde": "≈", "pm": "±",
    "neq": "≠", "ne": "≠", "neg": "¬", "lnot": "¬", "to": "→", "rightarrow": "→", "Rightarrow": "→",
    "implies": "→", "checkmark": "√", "left": "", "right": "", "colon": ":", "textminus": "-",
    "textpercent": "%", "downarrow": "↓", "uparrow": "↑", "searrow": "↓", "nearrow": "↑",
    "slash": "/", "lor": " or ", "vee": " or ",
}  # fmt: skip
_INNER = re.compile(r"(?<![a-z}])\{([^{}]{0,200})\}")  # braces that are no argument of a fraction
_FRACTION = re.compile(r"\\[a-z]{0,4}frac\s{0,3}\{([^{}\\]{1,60})\}\s{0,3}\{([^{}\\]{1,60})\}")
_SHORT_FRACTION = re.compile(r"\\[a-z]{0,4}frac\s{0,3}([0-9])\s{0,3}([0-9])(?![0-9])")
_POWER = re.compile(r"\^\s{0,3}\{\s{0,3}([+-]?[0-9]{1,3})\s{0,3}\}")
_DRESS = ("**", "__", "`", "{", "}")


def fold(text: str) -> str:
    """Full-width characters, exotic dashes and blanks as ASCII; same length, so positions are kept."""
    return text if text.isascii() else text.translate(_FOLD)


def plain(snippet: str) -> str:
    """A folded snippet without LaTeX and markdown: `\\text{C}` is `C`, `\\frac{3}{4}` is `3/4`.

    A command that is not known vanishes and its argument stays.
    """
    text = snippet[:SNIPPET_CHARS]
    if "~" in text:
        text = _TIE.sub(" ", text).replace("~", "≈")
    if "\\" in text or "{," in text:
        text = _without_commands(_THIN_IN_NUMBER.sub(",", text))
    for dress in _DRESS:
        text = text.replace(dress, "")
    return text.strip()


def _without_commands(text: str) -> str:
    text = _ESCAPED.sub(lambda match: _ESCAPED_AS[match[1]], text)
    text = _COMMAND.sub(_named, _WITHOUT_TEXT.sub("", text))
    text = _INNER.sub(r"\1", _INNER.sub(r"\1", text))
    text = _SHORT_FRACTION.sub(r" \1/\2", text)
    text = _FRACTION.sub(r" \1/\2", text)
    return _POWER.sub(r"^\1", text).replace("\\", " ")


def _named(command: re.Match[str]) -> str:
    name = command[1]
    if name in _FRACTIONS:
        return command[0]
    return _NAMED.get(name, " " if command[2] is None else "")


ANSWER_CHARS = 32_768
SEARCH_CHARS = 4_000_000

_REASONING = (
    r"(?:(?:\w{1,12}[_-])?(?:deep)?(?:think(?:ing)?|thoughts?)(?:[_-]\w{1,12})?|reason(?:ing)?|reflection|"
    r"analysis|"
    r"scratchpad|inner_\w{1,12}|monologue|cot|chain_of_thought|seed:think)"
)
# All that open with "<", which is fast to look for, and the others.
_ANGLE_TAG = re.compile(
    rf"<(?=[/|A-Za-z])(?:(?P<a>/?){_REASONING}\s{{0,3}}>|\|(?:(?:begin|start)_?(?:of_)?)?(?:think(?:ing)?|"
    rf"thoughts?)\|>|"
    r"\|channel\|>analysis<\|message\|>|"
    r"(?P<b>\|(?:end_?(?:of_)?|/)(?:think(?:ing)?|thoughts?)\|>|\|channel\|>final<\|message\|>))",
    re.IGNORECASE,
)
_OTHER_TAG = re.compile(
    r"(?:\[(?P<a>/?)(?:THINK|THINKING|THOUGHT|REASONING|[Tt]hink(?:ing)?)\]|◁(?P<b>/?)think▷)"
)
_HAS_OTHER = ("THINK]", "THINKING]", "THOUGHT]", "REASONING]", "think▷", "hinking]", "hink]")
_OPENED = ("<think>", "<thinking>", "<thought>", "[THINK]")
_CLOSED = ("</think>", "</thinking>", "</thought>", "[/THINK]")
_COMMITS = re.compile(r"boxed\s?\{|<answer|\banswer(?:\*\*)?(?: is|:)|答案", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class AnswerPart:
    """The folded text after the reasoning, at most its last `ANSWER_CHARS`; it starts at ``offset`` of the
    raw output, so a span in it plus the offset is a span of the output."""

    text: str
    offset: int


@lru_cache(maxsize=1)  # several rules read the same output one after the other
def answer_part(output: str) -> AnswerPart | None:
    """The part of an output that may hold its answer; None if the reasoning never ends."""
    span = _answer_span(output)
    if span is None:
        return None
    start = max(span[0], span[1] - ANSWER_CHARS)
    text = output[start : span[1]]
    return AnswerPart(fold(_without_tags(text)), start)


def answer_start(text: str) -> int | None:
    """Position where the part after the reasoning begins (0 without reasoning); None if it never ends."""
    span = _answer_span(text)
    return None if span is None else span[0]


def _tags(text: str, start: int) -> list[re.Match[str]]:
    tags = list(_ANGLE_TAG.finditer(text, start))
    if _may_hold_other(text, start):
        tags = sorted([*tags, *_OTHER_TAG.finditer(text, start)], key=lambda tag: tag.start())
    return tags


def _without_tags(text: str) -> str:
    """The same text with blanks in place of stray tags."""
    text = _ANGLE_TAG.sub(_blank, text) if "<" in text else text
    return _OTHER_TAG.sub(_blank, text) if _may_hold_other(text, 0) else text


def _may_hold_other(text: str, start: int) -> bool:
    """Whether a tag that does not open with "<" may stand there: all of those end in one of two signs."""
    if text.find("]", start) < 0 and text.find("▷", start) < 0:
        return False
    return any(text.find(name, start) >= 0 for name in _HAS_OTHER)


def _blank(tag: re.Match[str]) -> str:
    return " " * len(tag[0])


@lru_cache(maxsize=1)
def _answer_span(text: str) -> tuple[int, int] | None:
    tail = max(0, len(text) - ANSWER_CHARS)
    tags = _tags(text, tail)
    if tags:
        return _after_reasoning(text, tail, tags)
    if not tail:
        return 0, len(text)
    first = max(0, tail - SEARCH_CHARS)
    opened = max(text.rfind(tag, first, tail) for tag in _OPENED)
    closed, tag = max((text.rfind(tag, first), tag) for tag in _CLOSED)
    if opened > closed:
        return None
    return (closed + len(tag) if closed >= 0 else 0), len(text)


def _after_reasoning(text: str, start: int, tags: list[re.Match[str]]) -> tuple[int, int] | None:
    """The last part that is not blank and follows reasoning that has ended; None if there is none and the
    reasoning never ends. A closing tag with nothing to close is passed over.

    Text before a first closing tag is reasoning that the template opened, unless it commits to an answer and
    nothing comes after it.
    """
    closing = [any(tag.group("a", "b")) for tag in tags]
    inside, ended = closing[0], False
    begin, parts = start, [(start, start)]
    for tag, closes in zip(tags, closing, strict=True):
        if closes and inside:
            inside, ended, begin = False, True, tag.end()
        elif not closes and not inside:
            inside = True
            if ended:
                parts.append((begin, tag.start()))
    if not inside:
        parts.append((begin, len(text)))
    for part in reversed(parts):
        if _without_tags(text[slice(*part)]).strip():
            return part
    lead = text[start : tags[0].start()]
    if closing[0] and not start and _COMMITS.search(lead):
        return start, tags[0].start()
    return None if inside else parts[-1]


_TOKEN = re.compile(r"\\{1,4}f?boxed\s{0,3}\{|\\.|[{}]|(?<!\\)\bboxed\{", re.DOTALL)
_CUT = re.compile(r"[\n<]|\$\$")
_GAP = r"(?:[\s~]|\\[,;:! ]|\\q?quad(?![a-z])|\\\)|\\\]|\$\$?(?!\s?[0-9])|\*\*){0,8}"
_SUFFIX = re.compile(
    _GAP + r"(?P<unit>\\?%|percent(?:age)?\b|basis points?\b|(?:US |U\.S\. )?(?:\{?\\[a-z]{4,8}\{[\s~]?)?"
    r"(?:percent\b|thousand\b|million\b|billion\b|trillion\b|mn\b|bn\b|\\?%)|万亿|亿|百万|千万|万|千)",
    re.IGNORECASE,
)
_PREFIX = re.compile(r"(?:^|[\s=(:≈*])([-+](?:\s?\\?\$)?|\\?\$\s?-)\s?\Z")


@dataclass(frozen=True, slots=True)
class Box:
    """One box: its content, with a sign before it and a unit after it if they stand directly outside.

    ``start`` and ``end`` delimit the content in the text, ``outer`` is where its command begins; ``closed``
    is False if its brace never closes.
    """

    content: str
    start: int
    end: int
    outer: int
    closed: bool


def boxes(text: str) -> list[BoxPlace]:
    """The last outermost boxes that have any content, in order; one linear scan."""
    found: list[BoxPlace] = []
    stack: list[tuple[int, int] | None] = []  # an open box (content, command), None for an ordinary brace
    first = text.find("boxed")
    if first < 0:
        return []
    for token in _TOKEN.finditer(text, max(0, first - 5)):
        mark = token[0]
        if mark == "}":
            opened = stack.pop() if stack else None
            if opened is None or any(position is not None for position in stack[-8:]):
                continue
            if text[opened[0] : token.start()].strip():
                found.append((opened[0], token.start(), opened[1], True))
        elif mark == "{":
            stack.append(None)
        elif mark.endswith("{"):
            stack.append((token.end(), token.start()))
    unclosed = _unclosed(text, stack, found[-1] if found else None)
    return [*found[-MAX_BOXES:], *([unclosed] if unclosed else [])]


MAX_BOXES = 8

BoxPlace = tuple[int, int, int, bool]
"""Start and end of a box's content, where its command begins, and whether its brace closes."""


def _unclosed(text: str, stack: list[tuple[int, int] | None], found: BoxPlace | None) -> BoxPlace | None:
    """A box whose brace was forgotten or cut off, if nothing complete comes after it."""
    opened = next((position for position in stack if position is not None), None)
    if opened is None or (found and found[0] > opened[0]):
        return None
    stop = _CUT.search(text, opened[0])
    end = stop.start() if stop else len(text)
    return (opened[0], end, opened[1], False) if text[opened[0] : end].strip() else None


def box_at(text: str, place: BoxPlace) -> Box:
    """The box at a place, with a sign before it and a unit after it."""
    start, end, outer, closed = place
    content = text[start:end]
    if not closed:
        return Box(content, start, end, outer, closed)
    suffix = _SUFFIX.match(text, end + 1)
    if suffix:
        content += f" {suffix['unit'].replace('~', ' ')}"
    before = text[max(0, outer - 24) : outer]
    prefix = _PREFIX.search(before.rstrip())
    if prefix:
        content = prefix[1].replace(" ", "") + content
    return Box(content, start, end, outer, closed)
