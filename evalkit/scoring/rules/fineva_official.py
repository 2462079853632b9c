"""Fin-Eva's official `get_score.py`, for the lettered and yes/no tasks of Ant_Finance.

Letters: patterns in a fixed order (答案是A, 故选A, A正确, ...), each searched over the whole output, the
reasoning included; the first pattern that matches decides by its first match. Then the only letter mentioned,
in the output or in its first four or two characters. Yes/no: 是 or 对 before 正确, 否 or 错 before
错误, then the first 是 or 对 anywhere, then the first 否 or 错.

Faults kept: 是 is tested before 否, so "否，这不是合规的" is 是; 对 is found in 对于, and it is not 是 when
compared; a "答案是A" in mid-reasoning beats a final box with C.

Read at source: alipay/financial_evaluation_dataset, src/get_score.py. Bounded here: the first 32,000
characters, and gaps inside a pattern of at most 200 characters.
"""

from __future__ import annotations

import re

from evalkit.schema import ChoiceGold, Gold, Output, Score, YesNoGold
from evalkit.scoring.verdicts import judged, missing

MAX_CHARS = 32_000

_SINGLE = tuple(
    re.compile(pattern, re.MULTILINE)
    for pattern in (
        r"答案(?:选项)?[是为]：? ?([ABCDE])",
        r"答案[是为]选项 ?([ABCDE])",
        r"故?选择?：? ?([ABCDE])",
        r"([ABCDE]) ?选?项[是为]?正确",
        r"正确的?选项[是为] ?([ABCDE])",
        r"答案(?:应该)?[是为]([ABCDE])",
        r"选项 ?([ABCDE]) ?[是为]?正确",
        r"选择答案 ?([ABCDE])",
        r"答案?：?([ABCDE])",
        r"([ABCDE])(?:选?项)?是?符合题意",
        r"答案选项：? ?([ABCDE])",
        r"答案(?:选项)?为[^\nABCDE]{0,200}([ABCDE])",
        r"选项([ABCDE])是最恰当的",
        r"选项([ABCDE]).{0,200}最恰当",
        r"选项([ABCDE]).{0,200}最能恰当",
        r"选项([ABCDE]).{0,200}最能",
        r"最恰当.{0,200}是选项([ABCDE])",
        r"correct answer is.{0,200}([ABCDE])",
    )
)
_RECURSIVE = tuple(re.compile(rf"([ABCDE]).{{0,200}}?{end}") for end in ("当选", "正确"))
_WEAK = re.compile(r"[^不]是：? ?([ABCDE])")
_ONLY = re.compile(r"[^ABCDE]*([ABCDE])[^ABCDE]*\Z")
_YES_NO = tuple(
    re.compile(p) for p in (r"([是对])[ ？]{0,99}正确", r"([否错])[ ？]{0,99}错误", "([是对])", "([否错])")
)


def score(output: Output, gold: Gold) -> Score | None:
    """The verdict; None for numbers, labels and text."""
    text = output.text[:MAX_CHARS]
    if isinstance(gold, ChoiceGold):
        letter = extract_choice(text)
        return judged(gold, letter, letter == gold.letter) if letter else missing(output)
    if isinstance(gold, YesNoGold):
        said = extract_yn(text)
        return judged(gold, said, said == ("是" if gold.yes else "否")) if said else missing(output)
    return None


def extract_choice(text: str) -> str:
    """Upstream's function of that name: a letter, or an empty string."""
    for pattern in _SINGLE:
        if match := pattern.search(text):
            return match[1]
    for pattern in _RECURSIVE:
        letter, match = "", pattern.search(text)
        while match:
            letter, match = match[1], pattern.search(match[0], 1)
        if letter:
            return letter
    if match := _WEAK.search(text):
        return match[1]
    for part in (text, text[:4], text[:2]):
        if match := _ONLY.match(part):
            return match[1]
    return ""


def extract_yn(text: str) -> str:
    """Upstream's function of that name: 是, 否, 对, 错 or an empty string."""
    return next((match[1] for pattern in _YES_NO if (match := pattern.search(text))), "")
