"""What an output says to a question of yes or no, in English or Chinese.

The bare word, else the first thing that a clause says of what was asked (合规, 属实, 违反, "is true"), turned
round by each negation before it. A bare verdict outweighs the clauses that explain it; questions (是否合规),
suppositions, refusals and echoes of the prompt say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from evalkit.schema import Output
from evalkit.scoring.places import FinalAnswer, answers
from evalkit.scoring.stance import (
    CLAUSE_END,
    REFUSAL,
    denied,
    in_prompt,
    is_open,
)

_YES_WORD = (
    r"yes|yep|yeah|true|correct|right|affirmative|是的?|"
    r"对的?|没错|属实|正确|成立|属于|合规|符合|判断为是|结果为是|判定为是"
)
_NO_WORD = (
    r"no|nope|false|incorrect|wrong|untrue|not|negative|否|不是|不对|错误?|判断为否|结果为否|判定为否|不"
)
_BARE = re.compile(
    r"[\s\"'“*#>(\[-]{0,9}(?:(?:(?:本题|该题|此题|最终|综上)?应?判断?|判定|认定|结果|答案|回答|视|"
    r"应)(?:应)?(?:该)?(?:为|"
    r"是))?[\s\"'“(\[]{0,5}"
    rf"(?:(?P<yes>{_YES_WORD})|(?P<no>{_NO_WORD}))[\s\"'”*)\].]{{0,9}}\Z",
    re.IGNORECASE,
)
_OPENS = re.compile(
    r"[\s\"'“*#>(-]{0,9}(?:(?P<yes>yes\b(?! (?:would|could|might|answer|if|requires?|or|means?)\b)|是的|"
    r"对的)|"
    r"(?P<no>no\b(?= (?:it|they|this|that|the|there|revenue|since|because|as|we|he|she)\b)|"
    r"否(?![则认定决]))|不是的|不对)",
    re.IGNORECASE,
)
_EITHER = re.compile(
    r"\byes\s?(?:or|/|,|and)\s?no\b|\btrue\s?(?:or|/)\s?false\b|是\s?[/或、]\s?否|是还是否", re.IGNORECASE
)
_DEFECT = r"(?:风险|问题|隐患|漏洞|违规|违法|嫌疑|误导|偏差|错误|瑕疵|不当|虚假|夸大|侵权|泄露)"
_OF_RULE = r"(?!的?(?:角度|性|要求|部门|方面|审查|风险|规定|意识|标准|管理|说法是|做法|答案|表述是|应))"
_PREDICATE = re.compile(
    r"(?P<bad>(?:属于|属)?(?:违规|违法|违反|违背|触犯|不实|有误|错误|错的|虚假|失实|不当|不符|不妥|有问题|"
    r"无关|泄露|侵犯|误导|夸大)|"
    rf"(?:存在|具有|涉及|包含|含有|有|带来|构成)[^，。,.；]{{0,8}}?{_DEFECT}|"
    r"\b(?:false|incorrect|untrue|wrong|inaccurate|non-?compliant|violat\w+)\b)|"
    rf"(?P<good>(?:合规|合法|正确|准确){_OF_RULE}|(?<=缺乏)合规性?|具[备有](?:合规|合法|真实)性?|符合|合乎|"
    rf"真的|对(?=的?\s*\Z)|"
    rf"属实|"
    rf"一致|真实|安全(?!性|问题|角度)|成立|相符|"
    rf"属于|满足|遵守|遵循|相关|有关|"
    rf"金融(?:相关|类|领域)?的?问题|没有?问题|\b(?:true|correct|accurate|compliant|complie[sd])\b)",
    re.IGNORECASE,
)
_TURNS = re.compile(
    r"并不是|不是|并非|并不|不能|不可|不会|不应|不存在|不属于(?=[^于])|未必|未|没有|没(?!问)|无(?!关)|"
    r"非(?!常)|不(?!仅|但|论|实|当|符|妥)|难以|谈不上|称不上|缺乏|"
    r"\bnot\b|n't\b|\bnever\b|\bno\b|\bnothing\b",
    re.IGNORECASE,
)
_MAYBE = re.compile(r"不一定|未必|可能(?!是)|不确定|或许|也许|\bmay\b|\bmight\b|\bcould\b", re.IGNORECASE)
_ASKS = re.compile(
    r"是否|能否|可否|是不是|有没有|若|如果|假如|判断下面|需要判断|\bwhether\b|\bif\b", re.IGNORECASE
)
_SUPPOSES = re.compile(r"若|如果|假如|倘若|\bif\b", re.IGNORECASE)
_BECAUSE = re.compile(
    r"(?:because|since|as|due to|因为|由于|理由|原因|解析|explanation|reason)\W{0,3}\Z", re.IGNORECASE
)
_CLAUSE_ECHO = 6


@dataclass(frozen=True, slots=True)
class _Vote:
    """What a clause says, and how: a bare word, a statement, or one that gives a reason."""

    yes: bool
    how: Literal["bare", "says", "reason"]


def yes_no_answer(output: Output, question: str = "") -> tuple[FinalAnswer, bool | None] | None:
    """The answer and what it says (None: it says neither, or both); None without an answer.

    Args:
        question: what was asked; "revenue did increase" answers "did revenue increase?".
    """
    seen: FinalAnswer | None = None
    for answer in answers(output):
        seen = seen or (answer if answer.how in ("box", "phrase") else None)
        said = _read_yes_no(answer, question, output.prompt)
        if said is not None:
            return answer, said
        if answer.how == "box":
            break
    return (seen, None) if seen and not REFUSAL.search(seen.text) else None


def _read_yes_no(answer: FinalAnswer, question: str, prompt: str) -> bool | None:
    if answer.how in ("box", "phrase") and _EITHER.search(answer.text):
        return None
    text = _EITHER.sub(" ", answer.text)
    votes = list(_votes(text, prompt))
    bare = [vote.yes for vote in votes if vote.how == "bare"]
    says = [vote.yes for vote in votes if vote.how == "says"] or [vote.yes for vote in votes]
    if answer.how != "tail":
        # A box or a phrase opens with its verdict and explains it; running text may weigh both, then decide.
        ordered = [vote.yes for vote in votes if vote.how != "reason"] or says
        return ordered[0] if ordered else _by_question(text, question)
    if bare:
        # What opens with its verdict explains it; otherwise it weighs both, then decides.
        return bare[0] if _BARE.match(CLAUSE_END.split(text.strip(), maxsplit=1)[0]) else bare[-1]
    return says[-1] if says else _by_question(text, question)


def _votes(text: str, prompt: str) -> Sequence[_Vote]:
    """What each clause says, in order; questions, suppositions, refusals and echoes say nothing."""
    votes: list[_Vote] = []
    begin, reason, supposing = 0, False, False
    for stop in (*CLAUSE_END.finditer(text), None):
        end = stop.start() if stop else len(text)
        said, mark = text[begin:end], stop[0] if stop else ""
        supposing = supposing or bool(_SUPPOSES.search(said))
        if mark not in ("?", "？") and not supposing and (vote := _vote(said, prompt)):
            votes.append(_Vote(vote.yes, "reason") if reason and vote.how == "says" else vote)
        because = bool(_BECAUSE.search(said)) or bool(_BECAUSE.search(mark))
        supposing = supposing and mark not in tuple("。.!！\n")
        reason = because or (reason and mark in (",", "，", ":", "：", "(", ")"))
        begin = stop.end() if stop else end
    return votes


def _vote(said: str, prompt: str) -> _Vote | None:
    if not said.strip():
        return None
    if bare := _BARE.match(said):
        return _Vote(bare["yes"] is not None, "bare")
    if opens := _OPENS.match(said):
        return _Vote(opens["yes"] is not None, "bare")
    if _ASKS.search(said) or REFUSAL.search(said) or _MAYBE.search(said):
        return None
    if len("".join(said.split())) >= _CLAUSE_ECHO and in_prompt(said, prompt, _CLAUSE_ECHO):
        return None
    predicate = _PREDICATE.search(said)
    if not predicate:
        return None
    turns = sum(1 for _ in _TURNS.finditer(said, 0, predicate.start()))
    return _Vote((predicate["good"] is not None) ^ bool(turns % 2), "says")


_AUXILIARY = re.compile(
    r"\s*(?:\W*\w+,\s)?(?:did|does|do|is|are|was|were|has|have|had|will|would|can|could)\s", re.IGNORECASE
)
_MORE = (
    "increas", "grow", "grew", "rise", "rose", "higher", "greater", "more", "above", "exceed", "larger",
    "improv", "better", "gain", "outperform", "climb", "up",
)  # fmt: skip
_LESS = (
    "decreas", "declin", "fall", "fell", "lower", "less", "fewer", "below", "smaller", "worsen", "worse",
    "los", "underperform", "drop", "reduc", "down",
)  # fmt: skip
_STEMS = re.compile(
    r"\b(?:(?P<more>"
    + "|".join(_MORE[:-1])
    + r")\w{0,6}|up\b|(?P<less>"
    + "|".join(_LESS[:-1])
    + r")\w{0,6}|down\b)",
    re.IGNORECASE,
)
_SHORTLY = re.compile(
    r"\W*(?:indeed,? )?(?:it|they|this|that|there) (?:did|does|do|was|were|is|are|has|have|had|will|would)"
    r"(?P<no> not|n't)?\W*\Z",
    re.IGNORECASE,
)


def _by_question(text: str, question: str) -> bool | None:
    """What a statement says of a question's own word: "it did increase", "it fell" for "did it increase?"."""
    if not _AUXILIARY.match(question):
        return None
    if short := _SHORTLY.match(text):
        return short["no"] is None
    asked = _STEMS.search(question)
    if not asked:
        return None
    votes = [
        (_more(match) is _more(asked)) ^ denied(text, match.start())
        for match in _STEMS.finditer(text)
        if not is_open(text, match.start(), match.end())
    ]
    return votes[-1] if votes else None


def _more(match: re.Match[str]) -> bool:
    return match["more"] is not None or match[0].lower() == "up"
