"""jfinqa's lm-evaluation-harness task, `numerical_match`: within 1 % of gold, % signs ignored.

The answer is the rest of the line after the first "Answer:" (also "answer:", "A:"), else the last line that
is not blank, in the whole output. Of it and of gold everything but digits, points and signs is deleted after
NFKC normalization; what is then no number is compared as text in lower case. A gold of 0 admits only 0.

Faults kept: "7.87%" is 7.87 (gold is the annotator's string here, as upstream, the executed value only where
there is none); "2014: 5.3" is 20145.3; the *first* "A:" counts, so "EBITA: 5" in the reasoning is the
answer; scale words and the words of a sentence vanish.

Read at source: ajtgjmdjp/jfinqa, lm_eval_tasks/_jfinqa_utils.py.
"""

from __future__ import annotations

import re
import unicodedata

from evalkit.schema import Gold, NumberGold, Output, Score, YesNoGold
from evalkit.scoring.text import head, tail
from evalkit.scoring.verdicts import judged, missing, yes_no_word

_ANSWER = re.compile(r"(?:Answer|answer|A)\s*[:\uff1a]\s*(.+)")
_NOT_NUMERIC = re.compile(r"[^0-9.\-+]")
_TOLERANCE = 0.01
_LINE_CHARS = 2_000  # NFKC can make eighteen characters of one, and no answer is that long


def score(output: Output, gold: Gold) -> Score | None:
    """The verdict; None for choices, labels and text."""
    if isinstance(gold, NumberGold):
        target = gold.answer or repr(gold.value)
    elif isinstance(gold, YesNoGold):
        target = yes_no_word(gold)
    else:
        return None
    match = _ANSWER.search(head(output.text))
    said = (match[1].strip() if match else _last_line(tail(output.text)))[:_LINE_CHARS]
    if not said:
        return missing(output)
    return judged(gold, said, _matches(said, target))


def _last_line(text: str) -> str:
    return text.strip().rsplit("\n", 1)[-1].strip()


def _matches(said: str, target: str) -> bool:
    prediction, gold = _number(said), _number(target)
    if prediction is None or gold is None:
        return _normalize(said) == _normalize(target)
    if gold == 0:
        return prediction == 0
    return abs(prediction - gold) / abs(gold) <= _TOLERANCE


def _normalize(text: str) -> str:
    text = unicodedata.normalize("NFKC", text.strip())
    if text[:1] in ("△", "▲"):
        text = "-" + text[1:]
    return re.sub(r"(?<=\d),(?=\d)", "", text).lower().strip()


def _number(text: str) -> float | None:
    text = _normalize(text)
    for suffix in ("円", "ドル", "%", "ポイント"):
        text = text.removesuffix(suffix)
    try:
        return float(_NOT_NUMERIC.sub("", text))
    except ValueError:
        return None
