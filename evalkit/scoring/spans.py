"""Answers of TAT-QA: one or several spans, a count or a computed number, each with a scale; EM and F1.

The formula is the one of TAT-QA's evaluator (Zhu et al. 2021, arXiv 2105.07624; `tatqa_metric.py` and
`tatqa_utils.py` of github.com/NExTplusplus/TAT-QA at 870accc41953dcde885aabeb963d94aabdc0fbc3), which follows
DROP's. Written from its description here, not copied:

1. An answer is a list of texts a_1..a_k and a scale s ("", hundred, thousand, million, billion, percent).
   The texts are sorted. A text that is a number, `[-+]1,234.5` with currency and brackets left out, perhaps
   with a word for its size after it, becomes `%.4f` of round(x, 2) * factor(s); with a % sign in it, of
   x / 100 and no factor. Any other text gets the word for s, if there is one, behind it. Joined by blanks
   that is the answer's string.
2. Of one predicted number without a scale and a % sign the string of x as it stands (four decimals, not
   rounded to two before) is a second candidate: 0.2342 is 23.42 percent.
3. A string is normalized token by token (between single blanks): lower case; punctuation out, unless it is a
   number; a number as Python shows it; a, an, the out.
4. EM is whether the normalized strings are equal. F1 is 2PR / (P + R) of the sets of their tokens, rounded to
   two decimals; for counts and computed numbers it is EM. The better candidate counts, by EM and then F1.

An empty prediction has EM and F1 of 0.

On upstream's `sample_prediction.json` (1,668 answers to `dev`: EM 45.92, F1 58.88) and on 10,008 answers made
from gold ones, upstream's code and this give the same two figures for every answer.

Upstream is given answer and scale apart, from a model with heads for them. Here both are in what an output
commits to: see `read`. Bounded here: an answer's first 2,000 characters, and numbers of up to 300 digits.
"""

from __future__ import annotations

import re
import string
from collections.abc import Sequence
from dataclasses import replace

from evalkit.schema import Outcome, Output, SpansGold
from evalkit.scoring.places import FinalAnswer, answers
from evalkit.scoring.text import fold, plain

_SCALES = {"hundred": 100, "thousand": 1_000, "million": 1_000_000, "billion": 1_000_000_000, "percent": 0.01}
_MAX_CHARS, _MAX_DIGITS = 2_000, 300
_LEFT_OUT = str.maketrans("", "", "'\"\\$€£¥%(),[]")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_DIGITS = re.compile(r"[+-]?\d+(?:\.\d+)?")
_POINT_FIRST = re.compile(r"[+-]?\.\d+")
_NEGATIVE = re.compile(r"\([\d.\s]+\)")
_PERCENT = re.compile(r"[\d.\s]+%")
_WITH_WORD = re.compile(r"[\d.]+\s?[a-zA-Z]+")
_ARTICLE = re.compile(r"\b(?:a|an|the)\b")


def em_and_f1(texts: Sequence[str], scale: str, gold: SpansGold) -> tuple[float, float]:
    """Exact match (0 or 1) and F1 (0 to 1, two decimals) of a prediction; see the module for the formula."""
    if not texts or not gold.texts:
        return 0.0, 0.0
    wanted = _normalized(_joined(gold.texts, gold.scale))
    candidates = [_joined(texts, scale)]
    if len(texts) == 1 and not scale and "%" not in texts[0] and _is_number(texts[0]):
        number = _number(texts[0])
        candidates += [f"{number:.4f}"] if number is not None else []
    em, f1 = max(_compared(_normalized(each), wanted) for each in candidates)
    return em, em if gold.kind in ("arithmetic", "count") else f1


def _compared(said: str, wanted: str) -> tuple[float, float]:
    ours, theirs = set(said.split()), set(wanted.split())
    both = len(ours & theirs)
    precision = both / len(ours) if ours else 1.0
    recall = both / len(theirs) if theirs else 1.0
    f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0.0
    return float(said == wanted), round(f1, 2)


def _joined(texts: Sequence[str], scale: str) -> str:
    return " ".join(_with_scale(text, scale) for text in sorted(texts))


def _with_scale(text: str, scale: str) -> str:
    number = _number(text) if _is_number(text) else None
    if number is None:
        return f"{text} {scale}" if scale else text
    return f"{number:.4f}" if "%" in text else f"{round(number, 2) * _factor(scale):.4f}"


def _factor(word: str) -> float:
    """What a word for a size multiplies by: the first of `_SCALES` in it; 1 without any."""
    return next((factor for name, factor in _SCALES.items() if name in word.lower()), 1)


def _is_number(text: str) -> bool:
    """Whether it begins with a number, and says nothing after it but perhaps a size."""
    words = " ".join(word.translate(_LEFT_OUT) for word in text.split()).split()
    try:
        value = float(words[0]) if words else float("nan")
    except ValueError:
        return False
    return value == value and (len(words) < 2 or _factor(words[1]) != 1)


def _number(text: str) -> float | int | None:
    """The first number of a text with its size, sign by brackets, and %; None if there is none.

    One that begins with its point is none: upstream's pattern finds it and then looks in the wrong group.
    """
    cleaned = text.translate(_LEFT_OUT)
    found, pointed = _DIGITS.search(cleaned), _POINT_FIRST.search(cleaned)
    if not found or len(found[0]) > _MAX_DIGITS or (pointed and pointed.start() < found.start()):
        return None
    value = float(found[0]) if "." in found[0] else int(found[0])
    word = _WITH_WORD.search(text)
    size = _factor(word[0]) if word else 1
    sign = -1 if _NEGATIVE.search(text.strip()) else 1
    percent = 0.01 if _PERCENT.search(text.strip()) else 1
    return round(value * size * sign * percent, 4)


def _normalized(text: str) -> str:
    tokens = (_token(token.lower()) for token in text.split(" "))
    return " ".join(token for token in tokens if token)


def _token(token: str) -> str:
    if _is_number(token):
        token = str(_number(token))
    else:
        token = token.translate(_PUNCTUATION)
        token = str(_number(token)) if _is_number(token) else token
    return " ".join(_ARTICLE.sub(" ", token).split())


_SCALE_AFTER = re.compile(
    r"\s*[(]?(?:in\s+)?(hundred|thousand|million|billion|percent)s?[)]?\s*\.?\Z", re.IGNORECASE
)
_OUTER = re.compile(r"[\s.,;:\"'“”‘’]+\Z|\A[\s,;:\"'“”‘’]+")
_ITEMS = re.compile(r"\s*(?:,\s+and\s|,\s|\n|\sand\s)\s*")


def outcome_of(gold: SpansGold, *, right: bool) -> Outcome:
    """What became of an answer that was found."""
    if right:
        return "correct"
    return "wrong_number" if gold.kind in ("arithmetic", "count") else "wrong_choice"


def compared(output: Output, gold: SpansGold) -> tuple[FinalAnswer, float, float] | None:
    """The final answer, its exact match and its F1; None without an answer.

    What an output says is read with plain quotation marks and dashes, so the gold texts are, too: a model
    that quotes a page to the letter would else be wrong.
    """
    found = read(output, gold)
    if found is None:
        return None
    answer, texts, scale = found
    folded = replace(gold, texts=tuple(plain(fold(text)) for text in gold.texts))
    return answer, *em_and_f1(texts, scale, folded)


def read(output: Output, gold: SpansGold) -> tuple[FinalAnswer, list[str], str] | None:
    """The final answer, its texts and its scale; None without an answer.

    A semicolon separates texts, as the prompt asks. Where several are asked for and none is written, a line's
    end, a comma with a blank, and "and" do. A scale is a word for it behind a number; texts that differ in it
    have none.
    """
    found = next(iter(answers(output)), None)
    if found is None:
        return None
    said = found.text[:_MAX_CHARS]
    items = said.split(";")
    if len(items) == 1 and gold.kind == "multi-span":
        items = _ITEMS.split(said)
    texts, scales = [], set()
    for item in items:
        text = _OUTER.sub("", item)
        after = _SCALE_AFTER.search(text)
        if after and _is_number(text[: after.start()]):
            scales.add(after[1].lower())
            text = text[: after.start()].strip()
        if text:
            texts.append(text)
    return found, texts, scales.pop() if len(scales) == 1 else ""
