"""The number that an output commits to, of all those in its text.

It is the one that its sentence states as the result, and not an input, a remark, a comparison or a step on
the way. What speaks for and against each number is summed: it is denied, stands in brackets, left of "=", in
a sum, after "from" or "compared with"; it follows "so", "is" or a verb, is of the kind that is asked for. A
box is stricter: where two different values stand in it side by side, it names none.

The words around the number say its direction: "a decrease of 5%".
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

from evalkit.schema import Output
from evalkit.scoring.numbers import Direction, Quantity, in_words, quantities
from evalkit.scoring.places import FinalAnswer, abstains, answers
from evalkit.scoring.stance import REFUSAL, SENTENCE_END, denied
from evalkit.scoring.text import plain

_DOWN = (
    r"(?:negative (?:growth|change|return|rate|trend)|declin\w*|decreas\w*|fell|fall(?:s|en|ing)?\b|drop\w*|"
    r"reduc\w*|shr[aiu]nk\w*|contract(?:ed|ion)|plung\w*|slump\w*|slid\b|slip\w*|tumbl\w*|sank\b|retreat\w*|"
    r"dipped|diminish\w*|lower(?:ed)? by|"
    r"less by|down\b|negative|minus|负增长|下降|减少|下跌|降低|下滑|回落|缩减|萎缩|降幅|跌幅|减幅|缩水|下调|"
    r"跌|负|↓)"
)
_UP = (
    r"(?:increas\w*|grew|grow(?:s|th|ing|n)?\b|rose|ris(?:e|es|en|ing)\b|gain\w*|climb\w*|higher by|jump\w*|"
    r"surg(?:e|ed|ing)|soar\w*|expan(?:d|s)\w*|up\b|增长|增加|上升|提高|上涨|升高|提升|增幅|涨幅|攀升|涨|↑)"
)
_LOSS = r"(?:loss(?:es)?\b|deficit|outflow\w*|亏损|流出|逆差)"
_GOVERNS = re.compile(rf"(?<![A-Za-z])(?:(?P<down>{_DOWN})|(?P<up>{_UP})|(?P<loss>{_LOSS}))", re.IGNORECASE)
_DIRECTED = re.compile(rf"{_GOVERNS.pattern}|lower|less|higher|rise|reduc", re.IGNORECASE)
_FOLLOWS = re.compile(
    r"[\s$)\]*]{0,3}(?:,\s?|[(（]\s?)?(?:an? )?"
    r"(?:(?:percentage )?points? |annual |yearly |net |total |year-over-year |yoy |的|个)?"
    r"(?:(?P<down>decreas\w*|declin\w*|drop\b|reduction|fall\b|contraction|lower\b|less\b(?! of)|"
    r"down(?:ward)?\b(?! from)|下降|减少|降幅|跌幅|下跌|降低|下滑|↓)|"
    r"(?P<up>increas\w*|growth|rise\b|gain\b|higher\b|up\b(?! (?:to|from))|增长|增加|上升|涨幅|增幅|上涨|"
    r"提高|↑))",
    re.IGNORECASE,
)
# Between such a word and the number: none of another clause, and no level ("fell to 5").
_BETWEEN_WORDS = re.compile(r"[0-9;；。，]|,|\b(?:but|and|while|with|to)\b\s*\S{0,3}\Z|[至到]\s?\Z")
_BY = re.compile(r"\bby(?: about| approximately| roughly| around)?[\s$€£¥]*\Z", re.IGNORECASE)
_ADJACENT = re.compile(
    r"(?:[\s:$€£¥*(≈=]|了|约|by|of|about|approximately|approx\.?|roughly|around|nearly|almost|just|over|a|an|"
    r"the|some|total|another|is|was|为|是|达){0,8}\Z",
    re.IGNORECASE,
)
_STRICT = re.compile(r"(?:ed|ing|down|up|negative|minus|负|lower\w* by|less by|higher by)\Z", re.IGNORECASE)


def direction(text: str, start: int, end: int) -> Direction:
    """The direction that the words around a number give it: "a decrease of 5%", "5% lower", 下降5%."""
    after = _FOLLOWS.match(text, end)
    if after:
        return "down" if after["down"] else "up"
    begin = max(0, start - 70)
    for stop in SENTENCE_END.finditer(text, begin, start):
        begin = stop.end()
    word = None
    for word in _GOVERNS.finditer(text, begin, start):  # noqa: B007  the last one governs
        pass
    if word is None or denied(text, word.start()):
        return ""
    gap = text[word.end() : start].rstrip("+-( ")
    strict = bool(_STRICT.search(word[0])) and not gap.rstrip("$ ").endswith(" by")
    by = _BY.search(gap) is not None  # "decreased from 5 to 4, that is by 20%"
    if not (by or (_ADJACENT.match(gap) if strict else not _BETWEEN_WORDS.search(gap))):
        return ""
    return "down" if word["down"] else "up" if word["up"] else "loss"


@dataclass(frozen=True, slots=True)
class NumberAnswer:
    """What was found. ``quantity`` is None where the answer is an abstention or names no single number."""

    answer: FinalAnswer
    quantity: Quantity | None
    missing: Literal["", "abstains", "no number", "several numbers"] = ""


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a question asks for, as far as it helps to tell the result from the other numbers beside it."""

    text: str
    percent: bool
    year: bool


_PERCENT_ASKED = re.compile(
    r"percent|%|\bgrowth rate|\brate of (?:growth|change)|百分|占比|比例|率", re.IGNORECASE
)
_YEAR_ASKED = re.compile(
    r"\b(?:what|which) (?:\w+ )?year\b|\bwhen (?:do|did|does|is|was|will)\b|哪一?年|何年", re.IGNORECASE
)


@lru_cache(maxsize=512)
def _asked(question: str) -> _Asked:
    return _Asked(question.lower(), bool(_PERCENT_ASKED.search(question)), bool(_YEAR_ASKED.search(question)))


@lru_cache(maxsize=1)  # half of the rules read the same output one after the other
def number_answer(output: Output, question: str = "") -> NumberAnswer | None:
    """The committed number of an output; None if it commits to nothing at all."""
    asked = _asked(question)
    for answer in answers(output):
        read = _read_number(answer, asked)
        if read.quantity or read.missing in ("abstains", "several numbers") or answer.how == "box":
            return read
    return None


def _read_number(answer: FinalAnswer, asked: _Asked) -> NumberAnswer:
    if answer.how == "tail":
        return _read_tail(answer, asked)
    read = _stated(answer.text, asked, answer.how)
    if isinstance(read, str):
        return NumberAnswer(answer, None, read)
    if not _DIRECTED.search(f"{answer.before} {answer.text} {answer.after[:30]}"):
        return NumberAnswer(answer, read)
    lead = f"{plain(answer.before)} "
    return _directed(answer, f"{lead}{answer.text}{plain(answer.after)}", read, len(lead))


_Missing = Literal["abstains", "no number", "several numbers"]


def _stated(text: str, asked: _Asked, how: str) -> Quantity | _Missing:
    """The number that a short answer states."""
    if how == "box" and not _WORD.search(text) and not any(arrow in text for arrow in "↓↑"):
        found = quantities(text)
        if len(found) == 1:
            return found[0]
    everything = _readings(text, asked, leads=True)
    readings = [reading for reading in everything if reading.demoted > _NEVER]
    if everything and not readings:
        return "abstains" if abstains(text) else "no number"
    if not readings:
        word = in_words(text)
        return word if word else "abstains" if abstains(text) else "no number"
    best = max(readings, key=lambda reading: reading.score)
    if abstains(text) and not _in_spite(text, best, readings[0]):
        return "abstains"
    if _several(text, readings, how):
        return "several numbers"
    forms = (reading.quantity for reading in readings if _same(reading.quantity, best.quantity))
    # Of two forms of one value, the one that says its unit: "64.2 million = 64,200,000".
    return next((form for form in forms if form.scale != 1), best.quantity)


_YET = re.compile(r"\b(?:although|though|while|even if|but|however|still)\b|虽然|尽管|但|不过", re.IGNORECASE)


def _in_spite(text: str, best: _Reading, first: _Reading) -> bool:
    """Whether a number counts although the text says, too, that something is not known."""
    if not abstains(text[: first.quantity.start]):
        return True
    return best.score >= 2 and (bool(_YET.search(text)) or not REFUSAL.search(text))


_REMARK = re.compile(
    r"\W{0,6}(?:note\b|confidence|(?:sanity |cross.?)?check\b|double.?check|verif|validation|source|n\.?b\.?|"
    r"disclaimer|"
    r"reference|"
    r"assum|remark|caveat|rounded|rounding|units?\s?:|page\b|注|备注|说明|置信度|验证|检验|核对|验算|来源|"
    r"数据来源|单位[:：])",
    re.IGNORECASE,
)


# A line of a list, "Base: 40.2": where a percentage is asked for, the one with a percentage is meant.
_LABELLED = re.compile(r"[\s*|-]{0,6}[A-Za-z][A-Za-z ]{0,30}[:|]\s?[$€£¥]?[0-9][0-9.,]{0,15}[\s|]{0,3}\Z")


def _read_tail(answer: FinalAnswer, asked: _Asked) -> NumberAnswer:
    """The result in running text: of the last sentence that states one, remarks and inputs left out."""
    fallback: tuple[str, _Reading] | None = None
    refused = False
    sentences = _sentences(answer.text)
    for sentence, asks in reversed(sentences):
        readings = [r for r in _readings(sentence, asked) if r.demoted > _NEVER]
        best = max(reversed(readings), key=lambda reading: reading.score) if readings else None
        if abstains(sentence) and not (best and best.score >= 1 and _in_spite(sentence, best, readings[0])):
            refused = refused or REFUSAL.search(sentence) is not None
            continue
        listed = asked.percent and _LABELLED.match(sentence)
        if best and listed and not best.quantity.percent:
            fallback = fallback or (sentence, best)
            continue
        if best is None or best.score < (_SURELY if refused else _BARELY):
            continue
        if best.score >= 1 and not asks and not _REMARK.match(sentence):
            return _directed(answer, sentence, best.quantity)
        fallback = fallback or (sentence, best)
    if refused:
        return NumberAnswer(answer, None, "abstains")
    if fallback:
        return _directed(answer, fallback[0], fallback[1].quantity)
    word = in_words(sentences[-1][0]) if sentences else None
    if word:
        return NumberAnswer(answer, word)
    missing: _Missing = "abstains" if abstains(answer.text) else "no number"
    return NumberAnswer(answer, None, missing)


def _directed(answer: FinalAnswer, sentence: str, number: Quantity, shift: int = 0) -> NumberAnswer:
    """The number with the direction that its sentence gives it, in which it stands `shift` later."""
    said = direction(sentence, number.start + shift, number.end + shift)
    return NumberAnswer(answer, replace(number, direction=said) if said else number)


def _sentences(text: str) -> list[tuple[str, bool]]:
    """The sentences that are not blank, each with whether it is a question."""
    found: list[tuple[str, bool]] = []
    begin = 0
    for stop in (*SENTENCE_END.finditer(text), None):
        end = stop.start() if stop else len(text)
        if text[begin:end].strip():
            found.append((text[begin:end], stop is not None and stop[0] in "?？"))
        begin = stop.end() if stop else end
    return found


@dataclass(frozen=True, slots=True)
class _Reading:
    """A number in its sentence: how much speaks for its being the result, and how much of that is against."""

    quantity: Quantity
    score: int
    demoted: int


_NEVER = -4  # denied, or the number of a note or a page
_BARELY = -3
_SURELY = 3  # stated as the result, before a sentence that says that something cannot be told

_REFERS = re.compile(
    r"\b(?:notes?|pages?|tables?|rows?|steps?|figures?|exhibits?|items?|sections?|lines?|columns?|S&P|top|"
    r"form|"
    r"chapter|phase|rule|asc|ifrs|ias|sfas|no\.|footnotes?|part|question|option|tier|level)\s?(?:[0-9]+(?:,|"
    r" and| to|-)\s?)?\Z|"
    r"#\s?\Z|标普\s?\Z|第\s?\Z",
    re.IGNORECASE,
)
_OPERATOR = r"(?:\s(?:plus|minus|times|divided by|multiplied by|over)\s|\s?(?:加上?|减去?|除以|乘以?)\s?)"
_OPERAND_BEFORE = re.compile(rf"(?:[0-9)%]|illion)(?:\s*(?:[+*/×÷]|\s-\s|-)|{_OPERATOR})\s*[$€£¥(-]*\Z")
_OPERAND_AFTER = re.compile(rf"(?:[)%\s]*(?:[+*×÷/]\s?|\s-\s|-)|{_OPERATOR})[$€£¥(]*\.?[0-9]")
_LEFT_SIDE = re.compile(r"[\s)%\]A-Za-z$]{0,12}[=≈→]")
_RANGE = re.compile(r"\s{0,3}(?:-|--|to|≈|至|到)\s{0,3}[$€£¥]?\s?\Z")
_BETWEEN = re.compile(r"(?:\b(?:between|from)\s{1,3}|从|由)[$€£¥]?\s?\Z", re.IGNORECASE)
_CLOSES_RANGE = re.compile(r"(?:\b(?:to|and)\s{1,3}|-|至|到|和)[$€£¥]?\s?\Z", re.IGNORECASE)
_LIST = re.compile(r"\s{0,3}(?:,|;|、|and|or|,\s?and|,\s?or|和|或|/)\s{0,3}[$€£¥]?\s?\Z", re.IGNORECASE)
_OR = re.compile(
    r"\s{0,3}[,(]?\s?(?:or|vs\.?|versus|或者?)(?![a-z])[A-Za-z\s]{0,20}[$€£¥]?\s?\Z", re.IGNORECASE
)
_WORD = re.compile(r"[A-Za-z\u4e00-\u9fff]")
_COUNTED = re.compile(
    r"[\s-]{0,2}(decimal|digit|unit|year|month|day|week|quarter|row|column|step|place|item|compan|employee|"
    r"period|"
    r"significant|sig\b|people|customer|store|segment|位|年|个月|天|步|行|家|名)",
    re.IGNORECASE,
)
_COUNT = re.compile(
    r"\s([a-z]{3,20}s)\b(?<!dollars)(?<!euros)(?<!times)(?<!shares)(?<!points)(?<!millions)(?<!cents)",
    re.IGNORECASE,
)
_OTHER_PERIOD = re.compile(
    r"\b(?:previous|prior|last|preceding) (?:fiscal )?(?:year|period|quarter)[^,;.]{0,30}\Z|"
    r"\b(?:outpacing|exceeding|beating|surpassing|trailing|versus)\b[^,;.]{0,30}\Z|(?:去年|"
    r"上年)[^，。,]{0,10}\Z",
    re.IGNORECASE,
)
_SURE = re.compile(r"\s?(?:confiden|sure\b|certain)", re.IGNORECASE)
_OF_YEAR_AFTER = re.compile(
    r"(?:\s(?:million|billion|thousand))?\s(?:in|for|at|during|as of|on|by)\s(?:the )?(?:fiscal |FY ?|year |"
    r"end of )*(?:19|20)[0-9]{2}\b",
    re.IGNORECASE,
)
_OF_YEAR_BEFORE = re.compile(
    r"(?:19|20)[0-9]{2}\s?(?:年(?:度)?)?\s?(?::|was|is|为|是|=)?\s*[$€£¥]?\Z", re.IGNORECASE
)
_LABELLED_YEAR = re.compile(
    r"(?:^|[\n(,;|*-])[\s*-]*(?:FY ?|fiscal |in )?(?:19|20)[0-9]{2}\s?(?:年度?)?\s?[:：|]\s*[$€£¥]?\Z",
    re.IGNORECASE,
)
_MARK = re.compile(
    r"\b(?P<so>so|therefore|thus|hence|i\.?e\.?|that is|namely|overall|giving|gives?|yields?|resulting in|"
    r"comes to|works out)\b|(?P<so_zh>所以|因此|故|即|得出|可得|综上|得)|"
    r"\b(?P<aside>as|because|since|given|based on|using|from|compared|versus|vs|against|above|below|than|"
    r"with|where|"
    r"after|before|out of|on|over|across|among|excluding|including|assuming|despite|although|while|"
    r"whereas)\b|"
    r"(?P<aside_zh>因为|由于|基于|相比|高于|低于|较|比上)|"
    r"\b(?P<is>is|was|are|were|be|equals?|totals|totall?ed|amount(?:s|ed) to|adds? up to|added up to|"
    r"sums? to|becomes?|stood at)\b|"
    r"(?P<is_zh>为|是|达|共计|合计)|"
    r"(?P<mark>[=≈:：])|\b(?P<of>of|by|at|to)\b|(?P<comma>[,;，；(\[])",
    re.IGNORECASE,
)


_YEAR = re.compile(r"(?<![0-9.,])(?:19|20)[0-9]{2}(?![0-9.,])")
MAX_WEIGHED = 32
"""So many numbers of one sentence are weighed, its first and its last ones."""


def _readings(text: str, asked: _Asked, leads: bool = False) -> list[_Reading]:
    """The numbers of a sentence that may be its result; years only where they are asked for or alone.

    Args:
        leads: the text is an answer that was announced, so that what it begins with is likely the result.
    """
    found = quantities(text)
    chosen = [q for q in found if asked.year or not q.year]
    if asked.year and not chosen:
        chosen = [
            Quantity(float(year[0]), 0.5, year[0], year.start(), year.end()) for year in _YEAR.finditer(text)
        ]
    if not chosen:
        chosen = [q for q in found if _stands_as_amount(text, q, leads)]
    attributed = sum(bool(_OF_YEAR_AFTER.match(text, q.end)) for q in chosen)
    attributed += sum(bool(_OF_YEAR_BEFORE.search(text, max(0, q.start - 16), q.start)) for q in chosen)
    readings: list[_Reading] = []
    opened = False
    if len(chosen) > MAX_WEIGHED:
        chosen = chosen[: MAX_WEIGHED // 4] + chosen[-3 * MAX_WEIGHED // 4 :]
    for place, quantity in enumerate(chosen):
        before = text[max(0, quantity.start - 70) : quantity.start]
        aside, said = _marks(before)
        demoted = _demoted(text, before, quantity, asked) + aside
        opens = _BETWEEN.search(before) is not None and place + 1 < len(chosen)
        if opens or (opened and _CLOSES_RANGE.search(before)):
            demoted -= 3
        opened = opens
        score = demoted + said + _kind(quantity, asked)
        if attributed > 1 and (_OF_YEAR_AFTER.match(text, quantity.end) or _OF_YEAR_BEFORE.search(before)):
            score -= 2
        if _LABELLED_YEAR.search(before):
            score -= 2
        if leads and not place and not before.strip(_LEADING_DRESS):
            score += 3
        readings.append(_Reading(quantity, score, demoted))
    return readings


_LEADING_DRESS = " \t\n$€£¥≈+-(*:约"
_BEFORE_AMOUNT = re.compile(
    r"(?:\b(?:is|was|are|were|equals?|totals?|totall?ed)|[=≈:：$]|为|是|\bof)\s{0,2}[$-]?\Z", re.IGNORECASE
)
_BESIDE_YEAR = re.compile(
    r"\b(?:in|fiscal|fy|year|for|since|during|by|until|from|the)\s?\Z|[财]\s?\Z", re.IGNORECASE
)


def _stands_as_amount(text: str, number: Quantity, leads: bool) -> bool:
    """Whether a number that looks like a year stands where an amount would."""
    before = text[max(0, number.start - 30) : number.start]
    if not _WORD.search(text):
        return True
    if _BESIDE_YEAR.search(before):
        return False
    after = _WORD.search(text[number.end : number.end + 30])
    if leads and not (_WORD.search(before) and after):
        return not after or _BEFORE_AMOUNT.search(before) is not None or not before.strip(_LEADING_DRESS)
    stands = _BEFORE_AMOUNT.search(before) is not None
    return stands and (not after or _COUNT.match(text, number.end) is not None)


def _demoted(text: str, before: str, number: Quantity, asked: _Asked) -> int:
    """What speaks against a number's being the result, as a sum of 0 and less."""
    if _REFERS.search(before) or denied(text, number.start):
        return _NEVER
    demoted = 0
    if _LEFT_SIDE.match(text, number.end):
        demoted -= 3
    if _OPERAND_BEFORE.search(before) or _OPERAND_AFTER.match(text, number.end):
        demoted -= 3
    if number.value >= 0 and _in_brackets(text, number.start):
        demoted -= 3
    if _OTHER_PERIOD.search(before):
        demoted -= 3
    counted = _COUNTED.match(text, number.end) or (_COUNT.match(text, number.end) if number.counts else None)
    if counted and counted[1].lower() not in asked.text:
        demoted -= 2
    if _SURE.match(text, number.end):
        return _NEVER
    return demoted


def _in_brackets(text: str, start: int) -> bool:
    """Whether a number stands in brackets that follow something."""
    opened = max(text.rfind("(", 0, start), text.rfind("[", 0, start))
    closed = max(text.rfind(")", 0, start), text.rfind("]", 0, start))
    return opened > closed and bool(text[:opened].strip(" \t\n*:$"))


def _marks(before: str) -> tuple[int, int]:
    """What the words before a number say against and for it.

    -2 or 0: whether its clause gives a reason, an input or a comparison; and up to 5 for a conclusion ("so")
    and a statement ("is", "=", "grew").
    """
    aside, concludes, says = 0, 0, 0
    for mark in _MARK.finditer(before):
        kind = mark.lastgroup or ""
        if kind.startswith("aside"):
            aside = -2
        elif kind == "comma":
            aside = concludes = says = 0
        elif kind.startswith("so"):
            aside, concludes = 0, 3
        elif kind.startswith("is"):
            aside, says = 0, 2
        elif kind == "mark":
            says = 2
        else:
            says = max(says, 1)
    verb = None
    for verb in _GOVERNS.finditer(before):  # noqa: B007  the last one is wanted
        pass
    if verb and _ADJACENT.match(before, verb.end()):
        says = max(says, 2)
    return aside, concludes + says


def _kind(number: Quantity, asked: _Asked) -> int:
    """Whether a number is of the kind that is asked for: a percentage, or none."""
    if asked.percent:
        return 2 if number.percent else -1 if number.money or number.scale != 1 else 0
    return -1 if asked.text and number.percent else 0


def _several(text: str, readings: list[_Reading], how: str) -> bool:
    """Whether an answer is a range, or a list of different numbers of which none is marked as the result."""
    first = readings[0].quantity
    if len(readings) > 1:
        second = readings[1].quantity
        gap = text[first.end : second.start]
        ranged = _RANGE.match(gap) is not None and not _LEFT_SIDE.match(text, second.end)
        if (ranged or _BETWEEN.search(text[: first.start])) and len(readings) == 2:
            return not _same(first, second)
        bare = not _WORD.search(text[: first.start] + text[second.end :])
        if (_LIST.match(gap.rstrip("-+")) and bare) or _OR.match(gap):
            return not _same(first, second)
    if how != "box":
        return False
    contenders = [reading.quantity for reading in readings if not reading.demoted]
    return any(not _same(contenders[0], other) for other in contenders[1:])


def _same(one: Quantity, other: Quantity) -> bool:
    """Whether two numbers are two forms of one value: 7.87% and 0.0787, 1.2 million and 1,200,000."""
    return any(math.isclose(a, b, rel_tol=0.01) or (a == b) for a in _values(one) for b in _values(other))


def _values(number: Quantity) -> tuple[float, float]:
    return number.value, number.value * number.scale / (100 if number.percent else 1)
