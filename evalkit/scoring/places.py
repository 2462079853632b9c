"""The places of an output where its final answer may stand.

Looked for only after the reasoning (see `evalkit.scoring.text`), in this order; the first that holds an
answer of the wanted kind counts:

1. the last `\\boxed{}` with any content that is not a placeholder and not an echo of the prompt;
2. the content of the last `<answer>` tag, in which 3 to 6 are then tried (its closing tag may be cut off);
3. the `"answer"` of a JSON object;
4. the text after "final answer is", "Answer:", 答案是, 故选 and the like, the last one first. A sentence
   *about* the answer ("this answer is rounded to ...") announces none;
5. bold text of the last lines, the last one first;
6. the last lines, if the model stopped by itself: a cut-off text has not come to its end.

Where the model goes on after its answer with a question that nobody asked, the text ends before it.
Places 3 to 6 are looked for in the last `TAIL_CHARS` characters, the others in the whole answer part.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from evalkit.schema import Output
from evalkit.scoring.stance import REFUSAL, SENTENCE_END, in_prompt, quoted, supposed
from evalkit.scoring.text import SNIPPET_CHARS, Box, BoxPlace, answer_part, answer_start, box_at, boxes, plain

How = Literal["box", "phrase", "bold", "tail"]

TAIL_CHARS = 6_000
MAX_PHRASES = 8
LAST_LINES = 3

_ANSWER_TAG = re.compile(r"<(/?)answer\s{0,3}>", re.IGNORECASE)
_CUT_TAG = re.compile(r"<(?:/(?:a(?:n(?:s(?:w(?:er?)?)?)?)?)?)?\Z|<\|[a-z_]{1,20}\|>\s{0,9}\Z", re.IGNORECASE)
_PHRASE = re.compile(
    r"\banswer(?: to (?:the|this|your) question| option| choice| label)?(?:\*\*)? ?"
    r"(?:is|would be|should be|must be|=|:|-(?= ))(?:\*\*)?|"
    r"\bfinal answer(?:\*\*)?(?=\s)(?! ?(?:is|would be|should be|to the question|=|:|-))|(?<!#)####(?!#)|"
    r"(?:答案|回答|结论|选项)(?:应该|应当|应)?(?:是(?!否[则认])|为|选择|选|:)|答案(?=\s?[A-Za-z①-⑤])|"
    r"(?:故|应|因此|所以|可|正确)选(?:择|项)?(?:是|为|:)?",
    re.IGNORECASE,
)
_LEADING = " \t\r\n:*#"  # between such a phrase and the answer
# What a sentence about the answer says of it.
_ABOUT_BEFORE = re.compile(
    r"(?:\b(?:this|that|above|same|your|my)(?: final)?\s|[该此本上述以上这个的]{1,2})\Z", re.IGNORECASE
)
_ABOUT = re.compile(
    r"\s?(?:then |also |simply |only |therefore |already |now )?(?:rounded|derived|based|obtained|"
    r"calculated|computed|"
    r"expressed|shown|stated|found|taken|supported|consistent|approximate\b|approximated|verified|confirmed|"
    r"reported|"
    r"presented|determined|subject to|accurate\b|assum\w+|us(?:es|ing)\b|relies|depends|checked|includes|"
    r"excludes|refers|correct\b|right\b|as follows|given (?:in|as|by|to)|in (?:line|"
    r"accordance|percent|decimal|millions|thousands|billions|dollars|usd\b)|from\b|"
    r"according|保留|根据|基于|由|依据|按照?|四舍五入|近似|经过|通过)",
    re.IGNORECASE,
)
_MARKED = re.compile(  # what stands after #### is an answer and not a heading
    r"[ \t]*(?:(?:[-+(]|[$€£¥]|≈)*\s?\.?[0-9](?![0-9]{0,2}[.)、:]\s)(?![0-9]{0,3}\s+[A-Z])|"
    r"\(?[A-Ea-e]\)?\s*(?:[.\n]|\Z)|(?:yes|no|true|false|是|否)\b|[a-z]{4,12}[.\s]*(?:\n|\Z))",
    re.IGNORECASE,
)
_BOLD = re.compile(r"\*\*([^*\n]{1,300})\*\*")
_UNIT = re.compile(r"\s?(?:%|percent\b|thousand\b|million\b|billion\b|trillion\b|万亿|亿|万)")
_JSON = re.compile(
    r"[\"'](?P<key>final[_ ]?answer|answer|result|prediction|答案|label|sentiment|choice|verdict|"
    r"value)[\"']\s{0,9}:\s{0,9}"
    r"(?:\"(?P<double>(?:[^\"\\\n]|\\.){0,300})\"|'(?P<single>[^'\n]{0,300})'|"
    r"(?P<bare>[^\s,}{\]\[\"']{1,60}))",
    re.IGNORECASE,
)
_JSON_KEYS = ("final", "answer", "答案", "result", "prediction")
# It begins at the last line's end before it: blanks that are no line ends keep a megabyte of those linear.
_NEXT_QUESTION = re.compile(
    r"\n(?:#{1,6}\s?(?:next )?(?:question|problem|exercise|问题|题目)[^\n]{0,12}\n|"
    r"(?P<role>[ \t\u3000>*#]{0,6}(?:user|human|用户)\s?(?:\*\*)?[:：])|"
    r"[ \t\u3000>*#-]{0,6}(?:(?:next |another |new |follow-up )?(?:question|problem|exercise|example|query|"
    r"q)\s?[0-9]{0,3}\s?"
    r"(?:\*\*)?[:：.]|(?:input|instruction|prompt|passage|tweet|text)\s?(?:\*\*)?:|\[INST\]|"
    r"(?:下一)?(?:问题|题目|例题|提问|输入|问|例)\s?[0-9一二三四]{0,2}\s?(?:\*\*)?[:：]))",
    re.IGNORECASE,
)
_TURN_ENDS = re.compile(r"<(?:\|(?:im_start|im_end|eot_id|endoftext|user|end)\|>|/s>)")
_COMMITTED = re.compile(r"</answer|####|\banswer(?:\*\*)?(?: is|:)|答案|故选", re.IGNORECASE)
_PLACEHOLDER = re.compile(
    r"(?:字母|选项|选项字母|答案|最终答案|数字|数值|your answer|your final answer|the answer|final answer|"
    r"answer|letter|label|"
    r"the label|number|result|value|option|\.{2,}|…+|_+|x|\?+|#|)\s?[.。]?",
    re.IGNORECASE,
)
_ALTERNATIVE = re.compile(
    r"[\s`$*]*(?:,|，|、|/|;)?[\s`$*]*(?:or|或者?|and/or)?[\s`$*]*(?:写|写成|写为)?[\s`$*]*", re.IGNORECASE
)
_ABSTAIN = re.compile(
    r"\bn/a\b|\bnot (?:available|applicable|provided|given|disclosed|possible|enough|sufficient|stated|"
    r"reported|"
    r"determinable|specified|known|shown|mentioned|found|calculable|answerable|listed|present|included)\b|"
    r"\binsufficient\b|\bunknown\b|\bundetermined\b|\bno (?:data|answer|information|value|figure|result)\b|"
    r"\bmissing\b|"
    r"^\W*(?:none|null|nan|nil|na|undefined|unanswerable|unclear|no answer|-{1,3}|无|没有|未知|不详|空)\W*$|"
    r"不适用|未提供|没有提供|未披露|未说明|未给出|没有给出|数据不足|信息不足|不可得|缺失",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class FinalAnswer:
    """A candidate. ``text`` is plain (no LaTeX, no markdown), ``span`` its place in the raw output.

    ``before`` and ``after`` are what its line says around a box or bold text, as it stands.
    """

    text: str
    span: tuple[int, int]
    how: How
    before: str = ""
    after: str = ""


Place = tuple[int, int, How, str]
"""Start and end in the answer part, how it was found, and its plain text."""


def answers(output: Output, lines: int = LAST_LINES) -> Iterator[FinalAnswer]:
    """The places where a final answer may stand, most binding first; nothing if the reasoning never ends."""
    part = answer_part(output.text)
    if part is None:
        return
    text = part.text[: _next_question(part.text, output.prompt)]
    for start, end, how, said in _places(text, output, lines):
        before, after = _around(text, start, end) if how in ("box", "bold") else ("", "")
        yield FinalAnswer(said, (part.offset + start, part.offset + end), how, before, after)


def _places(text: str, output: Output, count: int) -> Iterator[Place]:
    """`answers`, in the folded text of the answer part."""
    box = _box(text, output.prompt)
    start, end = _tagged(text)
    if box and (box.closed or not output.truncated) and not start > box.end:
        yield box.start, box.end, "box", plain(box.content.removesuffix(_OTHERS))
    end = max(start, end)
    start = max(start, end - TAIL_CHARS)
    if field := _json(text, start, end):
        yield field
    for begin, stop in _phrases(text, start, end):
        if output.truncated and stop >= end:
            return  # the last announcement was cut off: what came before it is no longer the answer
        yield begin, stop, "phrase", plain(text[begin:stop])
    if output.truncated:
        return
    lines = _last_lines(text, start, end, count)
    for bold in reversed(list(_BOLD.finditer(text, *lines))[-MAX_PHRASES:]):
        begin, stop = _with_unit(text, bold)
        yield begin, stop, "bold", plain(text[begin:stop])
    yield *lines, "tail", plain(text[slice(*lines)])


def abstains(text: str) -> bool:
    """Whether the words of an answer say that there is none, as in "N/A - fiscal 2014 is not available"."""
    return _ABSTAIN.search(text) is not None or REFUSAL.search(text) is not None


def unfinished(output: Output) -> bool:
    """Whether the output ends inside its reasoning or was cut off: without an answer it is `truncated`."""
    return output.truncated or answer_start(output.text) is None


def echoes(output: Output) -> bool:
    """Whether what the output ends with are words of its prompt."""
    part = answer_part(output.text) if output.prompt else None
    if part is None:
        return False
    found = boxes(part.text)
    if found and quoted(part.text, found[-1][2], found[-1][1], output.prompt):
        return True
    lines = [line for line in part.text[-SNIPPET_CHARS:].splitlines() if line.strip()]
    return any(in_prompt(said, output.prompt) for said in (" ".join(lines[-1:]), " ".join(lines[-3:])))


def in_echoed_box(output: Output, answer: FinalAnswer) -> bool:
    """Whether an answer is read out of a box of the prompt's own, which the output only repeats.

    Such a box is no answer, and the line that it stands in is none either.
    """
    part = answer_part(output.text) if output.prompt else None
    if part is None:
        return False
    first, last = (place - part.offset for place in answer.span)
    return any(
        outer < last and first < end and quoted(part.text, outer, end, output.prompt)
        for _, end, outer, _ in boxes(part.text)
    )


def _next_question(text: str, prompt: str) -> int:
    """Where the text goes on with a question that is not the prompt's, after an answer; else its end."""
    end = len(text)
    for turn in _TURN_ENDS.finditer(text):
        if text[: turn.start()].strip():
            end = turn.start()
            break
    for match in _NEXT_QUESTION.finditer(text, 0, end):
        before = text[: match.start()]
        if not before.strip():
            continue
        line = text[match.end() : match.end() + 200].strip().partition("\n")[0]
        if match["role"] or (not in_prompt(line[:80], prompt) and _commits(before, prompt)):
            return match.start()
    return end


def _commits(text: str, prompt: str) -> bool:
    """Whether a text has come to an answer."""
    if _COMMITTED.search(text):
        return True
    box = _box(text, prompt)
    return box is not None and not box.content.endswith(_OTHERS)


_OTHERS = "\0"  # ends the content of a box that is one of several alternatives


def _box(text: str, prompt: str) -> Box | None:
    """The last box that is an answer: no placeholder, no echo; one of several alternatives holds them all."""
    found = boxes(text)
    while found:
        start, end, outer, closed = place = found.pop()
        said = plain(text[start:end])
        if _PLACEHOLDER.fullmatch(said) or quoted(text, outer, end, prompt):
            continue
        if not (found and closed and _alternatives(text, found[-1], place)):
            return box_at(text, place)
        other_start, other_end, other_outer, _ = found.pop()
        echoed = quoted(text, other_outer, other_end, prompt) or in_prompt(
            text[other_outer : end + 1], prompt
        )
        if not echoed:
            content = f"{text[other_start:other_end]} or {text[start:end]}{_OTHERS}"
            return Box(content, other_start, end, other_outer, True)
        found.clear()
    return None


def _alternatives(text: str, one: BoxPlace, other: BoxPlace) -> bool:
    """Whether two boxes stand side by side as alternatives."""
    gap = text[one[1] + 1 : other[2]]
    differ = text[slice(*one[:2])].strip() != text[slice(*other[:2])].strip()
    return differ and len(gap) < 24 and bool(gap.strip()) and _ALTERNATIVE.fullmatch(gap) is not None


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


def _json(text: str, start: int, end: int) -> Place | None:
    """The value of an object's "answer", or of the first key like it."""
    if text.find("{", start, end) < 0:
        return None
    fields = list(_JSON.finditer(text, start, end))
    if not fields:
        return None
    named = [f for key in _JSON_KEYS for f in fields if f["key"].lower().startswith(key)]
    field = named[0] if named else fields[0]
    group = "double" if field["double"] is not None else "single" if field["single"] is not None else "bare"
    return field.start(group), field.end(group), "phrase", plain(field[group])


def _phrases(text: str, start: int, end: int) -> Iterator[tuple[int, int]]:
    """The rests of the sentences after the phrases that announce an answer, the last one first."""
    filled = start + len(text[start:end].rstrip(_LEADING))
    for match in reversed(list(_PHRASE.finditer(text, start, end))[-MAX_PHRASES:]):
        begin = match.end()
        if begin >= filled or _about(text, match):
            continue
        while text[begin] in _LEADING:
            begin += 1
        limit = min(end, begin + SNIPPET_CHARS)
        stop = SENTENCE_END.search(text, begin, limit)
        yield begin, stop.start() if stop else limit


def _about(text: str, phrase: re.Match[str]) -> bool:
    """Whether such a phrase speaks about an answer, or heads a section, and announces none."""
    if phrase[0] == "####":
        return _MARKED.match(text, phrase.end()) is None
    if _ABOUT.match(text, phrase.end()):
        return True
    before = text[max(0, phrase.start() - 12) : phrase.start()]
    if supposed(text, phrase.start()):
        return True
    if before[-1:] in tuple("不未别没非") or before[-2:] == "不能":
        return True
    return phrase[0][:1] != "故" and _ABOUT_BEFORE.search(before) is not None


def _last_lines(text: str, start: int, end: int, count: int) -> tuple[int, int]:
    """The last lines that are not blank."""
    position, lines = end, 0
    while position > start and lines < count:
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


_AROUND_CHARS = 100


def _around(text: str, start: int, end: int) -> tuple[str, str]:
    """What the line says before and after a box or bold text."""
    before = text[max(text.rfind("\n", 0, start) + 1, start - _AROUND_CHARS) : start]
    after = text[end : end + _AROUND_CHARS].partition("\n")[0]
    command = before.rfind("\\", -10)
    return (before[:command] if command >= 0 else before), after
