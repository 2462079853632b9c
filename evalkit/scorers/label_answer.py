"""The label of a classification answer, negations left out: "not bearish but neutral" is neutral.

In running text a label counts only where it is said of something ("the sentiment is bullish", "so neutral"),
or leads or fills its line: the text that is classified may hold label words itself ("Baird bullish on ...",
"carbon-neutral").
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from evalkit.scorers.answer import Answer, answers
from evalkit.scorers.verdict import Output

# Stand for a label only if they are the whole answer: in prose, "positive" speaks of anything.
SYNONYMS = {
    "bullish": frozenset({"positive", "看涨", "看多", "利好", "积极", "正面"}),
    "bearish": frozenset({"negative", "看跌", "看空", "利空", "消极", "负面"}),
    "neutral": frozenset({"中性", "中立"}),
}
_NEGATED = re.compile(
    r"(?:\b(?:not|neither|nor|never|rather than|instead of|than|non|n't)\b|n't|不是|并非|而非|不|非)"
    r"[\s-]{0,2}(?:(?:a|an|the|clearly|explicitly|strongly|overtly|either|really|very|particularly|necessarily|overly)\s)*"
    r"(?:\w{1,12}\s?(?:or|and|nor)\s)?\s?[\"'(]?\Z",
    re.IGNORECASE,
)
_SAID = re.compile(
    r"(?:[:=→>]|\b(?:is|are|was|as|so|but|thus|hence|therefore|overall|(?:would|should|to) be|"
    r"sentiment|label|class|category|stance|tone)\b|是|为|属于|偏|:)"
    r"\s{0,2}(?:(?:a|an|the|clearly|strongly|slightly|mildly|overall|rather|best)\s)?[\s\"'*_(`“]{0,3}\Z",
    re.IGNORECASE,
)
_SAID_CHARS = 40
_LEADS = re.compile(r"(?:^|\n)[\s\"'*_(`“#>-]{0,4}\Z")
_LED = re.compile(r"[\"'*_)`”]{0,3}(?:[\s]{0,3}(?:\Z|\n|[.,:;(-])|\s(?:because|since|due)\b)")
_STRIP = " \t\n\r\"'“”.。!,*():[]"


def label_answer(output: Output, labels: Sequence[str]) -> tuple[Answer, str | None] | None:
    """The answer and its label (None: none, or several in one box); None without an answer."""
    first: Answer | None = None
    for answer in answers(output):
        first = first or answer
        label = _read(answer, labels)
        if label:
            return answer, label
        if answer.how == "box":
            return answer, None
    return (first, None) if first and first.how != "tail" else None


def _read(answer: Answer, labels: Sequence[str]) -> str | None:
    whole = answer.text.strip(_STRIP).lower()
    synonym = next((name for name in labels if whole in SYNONYMS.get(name.lower(), ())), None)
    if synonym:
        return synonym
    said = _affirmed(answer, labels)
    if not said or (answer.how == "box" and len(set(said)) > 1):
        return None
    # After "the answer is" the label comes first and reasons follow; in running text the last one counts.
    return said[-1] if answer.how == "tail" else said[0]


def _affirmed(answer: Answer, labels: Sequence[str]) -> list[str]:
    by_lower = {label.lower(): label for label in labels if label}
    if not by_lower:
        return []
    names = "|".join(re.escape(name) for name in sorted(by_lower, key=len, reverse=True))
    pattern = re.compile(rf"(?<![A-Za-z0-9])(?:{names})(?![A-Za-z0-9])", re.IGNORECASE)
    return [
        by_lower[match[0].lower()]
        for match in pattern.finditer(answer.text)
        if not _NEGATED.search(answer.text, max(0, match.start() - 50), match.start())
        and (answer.how != "tail" or _committed(answer.text, match))
    ]


def _committed(text: str, label: re.Match[str]) -> bool:
    """Whether a label in running text is said of something, or leads its line."""
    start = max(0, label.start() - _SAID_CHARS)
    if _SAID.search(text, start, label.start()):
        return True
    return bool(_LEADS.search(text[start : label.start()])) and bool(_LED.match(text, label.end()))
