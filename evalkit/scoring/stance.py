"""What a text does with the words in it: assert them, deny them, leave them open, or quote them.

Numbers, choices, labels and yes or no are all read through these few questions, so that "the answer is not
A", "it is not bullish", "revenue did not fall" and 这不是合规的 are understood by the same rules.

- *denied*: a negation governs the words ("not", "rather than", 不是, 排除), or a verdict after them rejects
  them ("B is wrong", B错误).
- *open*: their clause asks, supposes, or says that it cannot be told ("whether", "if", 是否, 无法判断).
- *quoted*: they stand in the prompt too, in the same words, so that they are its echo.
- *asserted*: none of these.

A clause ends at punctuation and at a conjunction that turns the thought. Only `CLAUSE_CHARS` around the words
are looked at, so the cost of one question does not grow with the text.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Literal

from evalkit.scoring.text import fold

Stance = Literal["asserted", "denied", "open"]

CLAUSE_CHARS = 100
ECHO_CHARS = 12
"""So much of the text before the words must stand in the prompt too for them to be its echo."""

SENTENCE_END = re.compile(
    r"[。！!？?\n;；]|(?<!\bi\.e)(?<!\be\.g)(?<!\bvs)(?<!\bapprox)(?<!\bNo)\.(?=[\s\"')\]*]|\Z)"
)
CLAUSE_END = re.compile(
    r"[。！!？?\n;；,，:]|\.(?=[\s\"')\]*]|\Z)|\s-{1,3}\s|[()\[\]]|"
    r"\b(?:but|however|while|whereas|although|though|yet|so|thus|hence|therefore|because|since|despite)\b|"
    r"但是?|而是|不过|然而|所以|因此|因为|由于|虽然|尽管",
    re.IGNORECASE,
)

_NOT = (
    r"(?:\b(?:not|never|neither|nor|no|cannot|rather than|instead of|other than|except|than|non|lacks?|"
    r"lacking|without|absence of|devoid of|nothing here is|nothing is|"
    r"anything but|far from|hardly|by no means|rul(?:e|es|ed|ing) out|eliminat(?:e|es|ed|ing)|"
    r"exclud(?:e|es|ed|ing)|reject(?:s|ed|ing)?|incorrect to|wrong to)\b|n't\b|≠|¬|"
    r"不是|并非|并不是?|而非|决非|绝非|不应该?|不该|不能|不可能?|不会|不宜|不要|不属于|不等于|未必|不|非|未|"
    r"没有|没|无|排除|除了|"
    r"否定|否认)"
)
_FILLER = (
    r"(?:(?:a|an|the|think|believe|that|it's|that's|be|been|being|is|as|it|to|of|in|at|all|any|either|option|"
    r"choice|answer|clearly|"
    r"explicitly|strongly|overtly|really|very|particularly|necessarily|overly|simply|just|choose|select|pick|"
    r"say|call|called|call it|label|labell?ed|consider|considered|seem|look|sound|feel|appear|"
    r"expressing|outright|"
    r"\w{1,12} (?:or|and|nor))\s)"
)
_FILLER_ZH = (
    r"(?:应该|应当?|该|能够?|可以|可|会|太|够|选择|选项|选|为|是|答案|认为|算作?|看作|视为|属于|一个|一种|个|"
    r"的|有任何|有|任何)"
)
_DENIED_BEFORE = re.compile(
    rf"{_NOT}[\s-]{{0,2}}{_FILLER}{{0,4}}{_FILLER_ZH}{{0,4}}\s?[\"'“”‘’(\[【]{{0,2}}\s?\Z", re.IGNORECASE
)
_WRONG = (
    r"(?:错误|错的?(?![过综])|不正确|不对|不符|不成立|不合适|不恰当|不准确|不妥|不当选|有误|有错|不选|"
    r"不[能可应该]选|"
    r"不是(?:正确|答案)|"
    r"可以排除|可排除|应排除|应当排除|应该排除|排除|被排除|×|✗|✘|❌|✖)"
)
_RIGHT = (
    r"(?:正确|对(?![于比应照])|√|✓|✔|✅|符合题意|成立|当选|(?:更|最)(?:为|加)?(?:合适|恰当|合理|准确|符合|"
    r"贴切|贴近|好|优|佳)|"
    r"最能|是答案|为答案|是正确|为正确)"
)
_LINK_ZH = (
    r"[.．、,，]?(?:[()\]）】\"'”* \t]|选项|项|这一|该|与(?:原文|题意|题干|事实|材料|文意)|的?说法|的?表述|"
    r"答案|[:：-]|显然|明显|均|都|也|则|就|"
    r"皆|"
    r"是|为|的|属于){0,8}"
)
_LINK = (
    r"[)\]\"'*:,]{0,4}\s?[(-]?\s?(?:(?:option|choice|answer|is|are|was|be|seems|looks|can|should|would|will|"
    r"must|"
    r"may|therefore|clearly|also|both|all|obviously|definitely|simply|then|the|a|an)\s){0,4}"
)
_REJECTS = re.compile(
    rf"{_LINK_ZH}{_WRONG}|"
    rf"{_LINK}(?:(?:wrong|incorrect|false|invalid|unsuitable|ruled out|eliminated|excluded|rejected|✗|"
    rf"×)(?![A-Za-z])|"
    r"not (?:correct|right|true|the|an?|it|valid|supported|suitable|chosen)\b|(?:is|are)n't\b|(?:can|"
    r"could)(?:not| not|'t)\b)",
    re.IGNORECASE,
)
_ACCEPTS = re.compile(
    rf"{_LINK_ZH}{_RIGHT}|"
    rf"{_LINK}(?:correct|right|true|valid|best|most \w{{1,20}}|better|preferable|√|✓)(?![A-Za-z])",
    re.IGNORECASE,
)

_CANNOT = (
    r"(?:cannot|can ?not|can't|could not|couldn't|unable to|not able to|won't|will not|impossible to|"
    r"not possible to|difficult to|hard to|decline to|refuse to|do not|don't)"
)
REFUSAL = re.compile(
    rf"\b{_CANNOT} (?:be )?(?:really |reliably |accurately |confidently )?"
    r"(?:determine|calculate|compute|answer|provide|derive|find|classif|tell|say\b|judge|decide|assess|"
    r"identif|"
    r"give|help|assist|know|conclude|infer|choose|comment|verif|comply|establish|evaluate|share|respond)|"
    r"\b(?:not sure|not clear|n't clear|unsure|unclear|uncertain|undetermined|indeterminate|inconclusive)\b|"
    r"\binsufficient (?:data|information|context|detail)|\b(?:not|without) enough (?:data|information|"
    r"context)|"
    r"\bmore (?:information|data|context) (?:is|are|would be) needed|\bI(?:'m| am) sorry\b|\bas an ai\b|"
    r"无法|不能(?:够)?(?:判断|确定|提供|回答|给出|分类|计算|得出|协助|帮)|难以(?:判断|确定|得出)|不(?:清楚|"
    r"知道|确定|好说)|抱歉|"
    r"对不起|需要更多|需要(?:进一步|结合|看具体)|视(?:具体)?情况而定|看具体情况|有待|信息不足|数据不足",
    re.IGNORECASE,
)
_OPEN = re.compile(
    r"\b(?:whether|if|suppose|supposing|assuming|unless|could (?:be|have)|might|may be|may have|which of|"
    r"question is|task is|need to|needs to|let's|let us|must (?:decide|determine|classify)|either|"
    r"(?:some|one|someone) (?:could|might|may)|can be argued|arguably)\b|"
    r"是否|能否|可否|是不是|对不对|有没有|还是|若|如果|假如|假设|假定|要是|倘若|哪[个项一]|什么|判断下面|"
    r"可能(?!是)|或许|也许",
    re.IGNORECASE,
)
_CONDITION = re.compile(r"(?:\bif|\bsuppose|\bassuming|若|如果|假如|假设|要是|倘若)", re.IGNORECASE)


def clause(text: str, start: int, end: int) -> tuple[int, int]:
    """The bounds of the clause around the words at `start` to `end`."""
    begin = max(0, start - CLAUSE_CHARS)
    for boundary in CLAUSE_END.finditer(text, begin, start):
        begin = boundary.end()
    boundary_after = CLAUSE_END.search(text, end, min(len(text), end + CLAUSE_CHARS))
    return begin, boundary_after.start() if boundary_after else min(len(text), end + CLAUSE_CHARS)


def stance(text: str, start: int, end: int) -> Stance:
    """Whether the text asserts the words at `start` to `end`, denies them, or leaves them open."""
    if denied(text, start) or rejected(text, end):
        return "denied"
    return "open" if is_open(text, start, end) else "asserted"


def denied(text: str, start: int) -> bool:
    """Whether a negation directly before `start` governs what begins there."""
    return _DENIED_BEFORE.search(text, max(0, start - 60), start) is not None


def rejected(text: str, end: int) -> bool:
    """Whether a verdict after `end` calls what ends there wrong."""
    return _REJECTS.match(text, end) is not None


def accepted(text: str, end: int) -> bool:
    """Whether a verdict after `end` calls what ends there right."""
    return _ACCEPTS.match(text, end) is not None


def is_open(text: str, start: int, end: int) -> bool:
    """Whether the clause around these words asks, supposes, or says that it cannot be told."""
    begin, stop = clause(text, start, end)
    if text[stop : stop + 1] in ("?", "？"):
        return True
    before = text[begin:start]
    return bool(_OPEN.search(before) or REFUSAL.search(before))


def supposed(text: str, start: int) -> bool:
    """Whether the words that begin at `start` are supposed: "if A", 若选A."""
    begin, _ = clause(text, start, start)
    return _CONDITION.search(text, begin, start) is not None


def refuses(text: str) -> bool:
    """Whether a sentence says that it gives no answer."""
    return REFUSAL.search(text) is not None


@lru_cache(maxsize=1)
def _squeezed(prompt: str) -> str:
    return "".join(fold(prompt).split()).lower()


def quoted(text: str, start: int, end: int, prompt: str) -> bool:
    """Whether the words at `start` to `end` with those before them in their line are the prompt's own.

    Without the words before them, an answer like `\\boxed{neutral}` would be an echo of the instruction that
    offers it.
    """
    if not prompt:
        return False
    line = max(text.rfind("\n", 0, start) + 1, start - CLAUSE_CHARS)
    before = "".join(text[line:start].split())
    if len(before) < ECHO_CHARS:
        return False
    said = "".join(text[start:end].split())
    return (before[-3 * ECHO_CHARS :] + said).lower() in _squeezed(prompt)


def in_prompt(text: str, prompt: str, least: int = ECHO_CHARS) -> bool:
    """Whether a text of some length stands in the prompt, blanks and case aside."""
    said = "".join(text.split()).lower()
    return len(said) >= least and bool(prompt) and said in _squeezed(prompt)
