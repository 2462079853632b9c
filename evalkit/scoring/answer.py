"""The label or the program that an output commits to.

In running text a label counts where it is said of something ("the sentiment is bullish", "so neutral"), or
leads or fills its line: the text that is classified may hold label words itself ("Baird bullish on ...",
"carbon-neutral"). What is denied, left open or quoted is no answer (`evalkit.scoring.stance`).

Programs are in FinQA's language.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

from evalkit.schema import Output
from evalkit.scoring.places import FinalAnswer, answers
from evalkit.scoring.programs import OPERATIONS, ProgramError, closing
from evalkit.scoring.stance import (
    REFUSAL,
    denied,
    quoted,
    stance,
)

# Stand for a label only if they are the whole answer or said of a sentiment: "positive" speaks of anything.
SYNONYMS = {
    "bullish": frozenset({"positive", "看涨", "看多", "利好", "积极", "正面", "乐观"}),
    "bearish": frozenset({"negative", "看跌", "看空", "利空", "消极", "负面", "悲观"}),
    "neutral": frozenset({"中性", "中立"}),
}
_DEGREE = (
    r"(?:(?:a|an|the|clearly|strongly|slightly|mildly|moderately|overall|rather|best|likely|probably|most|"
    r"more|very|"
    r"generally|mostly|somewhat|fairly|largely|predominantly|essentially|broadly|cautiously|quite|decidedly|"
    r"definitely|actually|really|truly|ultimately|in fact|simply|just|purely|mainly|primarily|inherently|as|"
    r"be|to be)\s){0,4}"
)
_SAID = re.compile(
    r"(?:[:=→>]\s{0,2}(?:(?:clearly|strongly|slightly|mildly|overall|rather|best|likely|probably|"
    r"very)\s)?[\s\"'*_(`“]{0,3}\Z)|"
    r"(?:\s-{1,2}\s|\b(?:label|call|rate|deem|consider|makes?|mark|classify) (?:it|this|that|"
    r"the tweet)(?: as)?\b|"
    r"\b(?:is|are|was|as|so|but|thus|hence|therefore|overall|conclusion|(?:would|should|to) be|remains?|"
    r"seems?|"
    r"appears?|looks?|sounds?|feels?|considered|deemed|falls? (?:under|into)|leans? (?:to|towards?)|leans?|"
    r"leaning|express(?:es|ing)?|indicat(?:es|ing)|suggest(?:s|ing)|"
    r"convey(?:s|ing)|"
    r"reflect(?:s|ing)|show(?:s|ing)|signal(?:s|ing)|impl(?:ies|ying)|carries|has|towards?|i\.e\.|say|"
    r"label(?:led)?|call|"
    r"choose|pick|go(?:ing)? with|classif(?:y|ied)|it's|that's|sentiment|label|class|category|stance|tone|"
    r"verdict)\b,?|"
    r"是|为|属于|偏|呈|倾向于?|表现出?|表达了?|情绪)"
    rf"\s{{0,2}}{_DEGREE}(?:比较|非常|明显|一种|明显的|整体)?[\s\"'*_(`“]{{0,3}}\Z",
    re.IGNORECASE,
)
_SAID_CHARS = 60
_LEADS = re.compile(rf"(?:^|\n|[.。!！]\s|[,，])[\s\"'*_(`“#>-]{{0,4}}{_DEGREE}\Z", re.IGNORECASE)
_LED = re.compile(
    r"[\"'*_)`”]{0,3}(?:[\s]{0,3}(?:\Z|\n|[.,:;!。(-](?!\w))|\s(?:because|since|due)\b|(?:的)?(?:情绪|态度|"
    r"倾向|"
    r"信号)|"
    r"\s(?:for|on) (?:the )?(?:stock|shares|company|asset|market|\$))"
)
_ATTRIBUTE = re.compile(
    r"\s(?:sentiment|tone|stance|outlook|label|class|category|classification|view|bias)\b", re.IGNORECASE
)
_STRIP = " \t\n\r\"'“”.。!,*():[]"
_ALTERNATIVES = re.compile(
    r"[\s\"'`*]{0,3}(?:,|/|、|,?\s?\b(?:or|and|and/or|versus|vs\.?)\b|或|和|还是)[\s\"'`*]{0,3}(?:or\s|a\s|"
    r"an\s)?",
    re.IGNORECASE,
)
_OPENS_WITH = re.compile(
    r"[\s\"'“*(]{0,4}(?:(?:slightly|mildly|strongly|clearly|moderately|very|somewhat)\s)?\Z", re.IGNORECASE
)
_REASON = re.compile(
    r"\s?[:(,;.。，—-]|\s(?:because|since|as|due|given|with|but not|not|rather)\b|\s?[\u4e00-\u9fff]"
)


def label_answer(output: Output, labels: Sequence[str]) -> tuple[FinalAnswer, str | None] | None:
    """The answer and its label (None: none, or several in one box); None without an answer."""
    first: FinalAnswer | None = None
    for answer in answers(output):
        first = first or answer
        label = _read_label(answer, labels, output.prompt)
        if label:
            return answer, label
        if answer.how == "box":
            return answer, None
    return (first, None) if first and first.how != "tail" and not REFUSAL.search(first.text) else None


def _read_label(answer: FinalAnswer, labels: Sequence[str], prompt: str) -> str | None:
    whole = answer.text.strip(_STRIP).lower()
    synonym = next((name for name in labels if whole in SYNONYMS.get(name.lower(), ())), None)
    if synonym:
        return synonym
    said, undecided = _affirmed(answer, tuple(labels), prompt)
    if not said or (answer.how == "tail" and undecided > said[-1][1][0]):
        return None
    if answer.how == "box" and len({label for label, _ in said}) > 1:
        start, end = said[0][1]
        leads = _OPENS_WITH.match(answer.text[:start]) and _REASON.match(answer.text, end)
        return said[0][0] if leads else None
    # After "the answer is" the label comes first and reasons follow; in running text the last one counts.
    return said[-1][0] if answer.how == "tail" else said[0][0]


@lru_cache(maxsize=32)
def _label_pattern(labels: tuple[str, ...]) -> tuple[re.Pattern[str], dict[str, str]] | None:
    names = {label.lower(): label for label in labels if label}
    if not names:
        return None
    said = {word: label for name, label in names.items() for word in SYNONYMS.get(name, ())}
    words = "|".join(re.escape(word) for word in sorted({*names, *said}, key=len, reverse=True))
    return re.compile(rf"(?<![A-Za-z0-9])(?:{words})(?![A-Za-z0-9])", re.IGNORECASE), said | names


_MOST_LABELS = 64

Said = tuple[str, tuple[int, int]]


def _affirmed(answer: FinalAnswer, labels: tuple[str, ...], prompt: str) -> tuple[list[Said], int]:
    """The labels that an answer asserts, and where; and the last place where it leaves several open or takes
    the last one back, or -1."""
    known = _label_pattern(labels)
    if known is None:
        return [], -1
    pattern, by_word = known
    text = answer.text
    matches = list(pattern.finditer(text))[-_MOST_LABELS:]
    listed = _listed(text, matches, by_word) if answer.how != "box" else set()
    said = [
        (by_word[match[0].lower()], match.span())
        for place, match in enumerate(matches)
        if place not in listed
        and stance(text, match.start(), match.end()) == "asserted"
        and (answer.how != "tail" or _committed(text, match))
        and (match[0].lower() in map(str.lower, labels) or _of_sentiment(text, match))
        and not (answer.how == "tail" and quoted(text, match.start(), match.end(), prompt))
    ]
    back = [
        m.start()
        for m in matches
        if said and by_word[m[0].lower()] == said[-1][0] and denied(text, m.start())
    ]
    return said, max([*(matches[place].start() for place in listed), *back], default=-1)


def _listed(text: str, matches: list[re.Match[str]], by_word: dict[str, str]) -> set[int]:
    """The places of labels that stand beside another one as its alternative."""
    listed = set()
    for place in range(1, len(matches)):
        one, other = matches[place - 1], matches[place]
        differ = by_word[one[0].lower()] != by_word[other[0].lower()]
        beside = differ and _ALTERNATIVES.fullmatch(text, one.end(), other.start())
        if beside and not (denied(text, one.start()) or denied(text, other.start())):
            listed |= {place - 1, place}
    return listed


_SENTIMENT = re.compile(
    r"(?:\b(?:sentiment|tone|stance|outlook|label|class|category|classification|rating|answer|"
    r"verdict)\b[^.\n]{0,30}|"
    r"(?:推文|情绪|态度|倾向|观点|判断|分类|标签|文本|内容|信号|消息|结论)[^。\n]{0,16}|\btweet (?:is|seems|"
    r"appears|"
    r"sounds) \w{0,10}\s?)\Z",
    re.IGNORECASE,
)


_SHORT_CHARS = 24


def _of_sentiment(text: str, word: re.Match[str]) -> bool:
    """Whether a word like "positive" or 看涨 is said of a sentiment."""
    before = text[max(0, word.start() - 50) : word.start()]
    if _ATTRIBUTE.match(text, word.end()) or re.match(
        r"(?:的)?(?:情绪|信号|态度|观点|倾向)", text[word.end() :][:6]
    ):
        return True
    short = len(text) <= _SHORT_CHARS and not text.isascii()
    return _SENTIMENT.search(before) is not None or (short and not word[0].isascii())


def _committed(text: str, label: re.Match[str]) -> bool:
    """Whether a label in running text is said of something, or leads its line."""
    start = max(0, label.start() - _SAID_CHARS)
    if _SAID.search(text, start, label.start()) or _ATTRIBUTE.match(text, label.end()):
        return True
    return bool(_LEADS.search(text[start : label.start()])) and bool(_LED.match(text, label.end()))


_OPERATION = r"(?:" + "|".join(sorted(OPERATIONS)) + r")\s{0,2}\("
_FIRST = re.compile(rf"\b{_OPERATION}")
_NEXT = re.compile(rf"\s{{0,9}},\s{{0,9}}{_OPERATION}")


def program_answer(output: Output) -> tuple[FinalAnswer, str] | None:
    """The final answer that holds a program, and the program; None where the answer is something else.

    Of several lines with a program the last one counts. What is said after a program is left out.
    """
    for answer in answers(output):
        text = answer.text.replace("\\_", "_")
        lines = text.splitlines() if answer.how == "tail" else [" ".join(text.split())]
        for line in reversed(lines):
            if opened := _FIRST.search(line):
                return answer, _steps(line, opened)
        if any(map(str.isdigit, answer.text)):
            return None
    return None


def _steps(line: str, opened: re.Match[str]) -> str:
    """The steps from the first operation on; a bracket that is never closed stays, to fail when executed."""
    start, step = opened.start(), opened
    try:
        while True:
            end = closing(line, step.end()) + 1
            following = _NEXT.match(line, end)
            if not following:
                return line[start:end]
            step = following
    except ProgramError:
        return line[start:]
