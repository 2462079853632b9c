"""The label of a classification answer, negations left out: "not bearish but neutral" is neutral."""

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
    said = _affirmed(answer.text, labels)
    if not said or (answer.how == "box" and len(set(said)) > 1):
        return None
    # After "the answer is" the label comes first and reasons follow; in running text the last one counts.
    return said[-1] if answer.how == "tail" else said[0]


def _affirmed(text: str, labels: Sequence[str]) -> list[str]:
    by_lower = {label.lower(): label for label in labels if label}
    if not by_lower:
        return []
    names = "|".join(re.escape(name) for name in sorted(by_lower, key=len, reverse=True))
    pattern = re.compile(rf"(?<![A-Za-z0-9])(?:{names})(?![A-Za-z0-9])", re.IGNORECASE)
    return [
        by_lower[match[0].lower()]
        for match in pattern.finditer(text)
        if not _NEGATED.search(text, max(0, match.start() - 50), match.start())
    ]
