"""The choice that an output makes: C, （Ｃ）, 选C, 第三项, the text or the value of exactly one option.

What is denied or left open is not chosen (`evalkit.scoring.stance`). Where a text judges option by option
(A错误，B错误，C正确), it chooses the one that it calls right; options in a chain (A、B) share what is said of
them.
A capital letter that belongs to a word (A股) is no letter, nor is one inside the text of an option.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from evalkit.schema import ChoiceGold, Output
from evalkit.scoring.numbers import quantities
from evalkit.scoring.places import FinalAnswer, answers
from evalkit.scoring.stance import (
    accepted,
    denied,
    is_open,
    rejected,
    supposed,
)
from evalkit.scoring.text import fold, plain

_CHOICE_LINES = 14

_ONLY = re.compile(r"[\s(\[\"'【“]{0,5}([A-Za-z])[\s)\]\"'】”.。、:]{0,5}\Z")
_CAPITAL = re.compile(
    r"(?<![A-Za-z0-9&'.-])([A-Z])(?![A-Za-z0-9&'-])|(?<![A-Za-z])([A-E]{2,5})(?![A-Za-z0-9-])"
)
_CIRCLED = {ord(c): chr(ord("A") + n) for n, c in enumerate("ⒶⒷⒸⒹⒺ")} | {
    ord(c): chr(ord("A") + n) for n, c in enumerate("ⓐⓑⓒⓓⓔ")
}
_NAMING = re.compile(
    r"(?:选项|选择|选|答案|结论|为|是|项|中|即|在|和|与|及|或|、|将|把|除|非|除了|排除|而|故|则|有|只有|认为|"
    r"对于|对|到|应)\s?\Z"
)
_NAMED = re.compile(
    r"(?:\b(?:option|choice|answer(?: is)?|choose|select|pick|go with|going with|chose|selected|is|be)|选项|"
    r"选择|选|答案(?:是|为)?|"
    r"(?:而|应|就|正确的?)是)\s?[:(]?\s?\Z",
    re.IGNORECASE,
)
# What may follow a letter directly in Chinese: else it belongs to a word (A股, B细胞, A公司).
_OF_LETTER = re.compile(
    r"(?:选?项|错|正确|不|对(?!象|手)|是|为|符合|更|最|因|和|与|及|或|、|都|均|可|应|排除|√|×|有误|合适|恰当|"
    r"较|则|也|的(?:说法|表述|描述|内容|意思)|"
    r"之间|两|中|当选|成立|被|比|虽|而|但|所以|由于|属于|说|描述|表述|能|就|吧|了|即|理由|解析|考点)"
)
_OF_WORD = re.compile(
    r"\s?(?:股|公司|级|类|轮|型|细胞|座|区|端|面|股份|集团|银行|基金|企业|组|地|市|省|国|计划|方案|产品|款|"
    r"店)"
)
_WORD_AFTER = re.compile(r"\s([a-z]{1,20})")
_FUNCTION_WORDS = frozenset({
    "because", "as", "since", "is", "was", "due", "for", "with", "would", "and", "or", "seems", "best",
    "given", "so", "based", "if", "but", "which", "that", "than", "has", "should", "appears", "matches",
    "fits", "describes", "works", "not", "in", "from",
})  # fmt: skip
_CHAIN_GAP = re.compile(
    r"[)\]】]?\s?(?:选?项)?\s?(?:,|、|/|;|\+|&|和|与|或|及|以及|and|or|,\s?and|,\s?or|"
    r"\s)\s?(?:选项)?[(\[【]?|",
    re.IGNORECASE,
)
_OPEN_AFTER = re.compile(r"[)\]】]?\s?(?:选项)?(?:之间|中(?:选|二)|二者|两者|哪)")
_DRESS = " \t\r\n([\"'【“*#>-:."
_ORDINALS = {name: place for place, name in enumerate(["first", "second", "third", "fourth", "fifth"])}
_ORDINALS |= {name: place for place, name in enumerate("一二三四五")}
_ORDINALS |= {name: place for place, name in enumerate("12345")}
_ORDINALS |= {name: place for place, name in enumerate("①②③④⑤")}
_ORDINALS |= {name: place for place, name in enumerate("甲乙丙丁戊")}
_ORDINAL = re.compile(
    r"第\s?([一二三四五1-5])\s?(?:个|项|种|条)?(?:选项)?(?![0-9季年月期次])|"
    r"(?:^|选项|选择|选|答案(?:是|为|:)?|是|为|option|choice)\s?[(\"“]?([①②③④⑤])|"
    r"\b(first|second|third|fourth|fifth)(?: (?:option|choice|one|answer|statement|item)\b|\W*\Z)|"
    r"(?:\b(?:option|choice) (?:number |no\.? )?|选项)([1-5一二三四五])(?![0-9.,%])|"
    r"(?:^|选项|选择|选|答案(?:是|为|:)?|是|为)\s?([甲乙丙丁戊])(?:项|$|[。.])|(最后一[项个])|"
    r"\b(last) (?:option|choice|one)\b",
    re.IGNORECASE,
)
_LOWER = re.compile(
    r"(?:\b(?:option|choice|answer(?: is)?:?|choose|select|pick)|选项|选择|选|答案(?:是|为|"
    r":)?)\s?[:(]?\s?([a-e])(?![A-Za-z0-9'])",
    re.IGNORECASE,
)
_NOT_TEXT = re.compile(r"[\s,.;:!?()\[\]\"'、。“”《》]+")

Judged = Literal["right", "wrong", "open", "plain"]


@dataclass(frozen=True, slots=True)
class _Mention:
    """An option that a text names, where, and what it says of it. `named`: by "option", 选 and the like."""

    letter: str
    start: int
    end: int
    judged: Judged
    named: bool = False


_SEVERAL = "several"


def choice_answer(output: Output, gold: ChoiceGold) -> tuple[FinalAnswer, str | None] | None:
    """The answer and its letter (None: no letter, or several); None without an answer."""
    first: FinalAnswer | None = None
    valued: tuple[FinalAnswer, str] | None = None
    for answer in answers(output, _CHOICE_LINES):
        first = first or answer
        letter = _read_choice(answer, gold)
        if letter and letter != _SEVERAL:
            return answer, letter
        if letter == _SEVERAL or (answer.how == "box" and _names_letters(answer.text)):
            return answer, None
        if answer.how == "box" and (by_value := _option_value(answer.text, gold)):
            valued = answer, by_value
    if valued:
        return valued
    return (first, None) if first and first.how != "tail" else None


def _names_letters(text: str) -> bool:
    """Whether a box holds letters that no option has, or only denied ones."""
    return _ONLY.match(text) is not None or (
        _CAPITAL.search(text) is not None and len(text) <= 12 and not any(map(str.isdigit, text))
    )


def _read_choice(answer: FinalAnswer, gold: ChoiceGold) -> str | None:
    """The letter of a box or phrase; in running text that of the last line that has one."""
    if answer.how == "bold":
        return None if _bold_denied(answer) else _letter(answer.text, gold)
    if answer.how != "tail":
        return _letter(answer.text, gold)
    lines = [line for line in answer.text.splitlines() if line.strip()]
    if verdicts := _by_option(answer.text, gold):
        return verdicts
    for place in range(len(lines) - 1, max(-1, len(lines) - 4), -1):
        letter = _letter(lines[place], gold)
        beside = zip(
            lines[max(0, place - 1) : place + 1], lines[max(0, place - 1) + 1 : place + 2], strict=False
        )
        if letter and (letter == _SEVERAL or not any(_lists(one, other, gold) for one, other in beside)):
            return letter
    return None


def _bold_denied(answer: FinalAnswer) -> bool:
    """Whether the line around bold text denies it or leaves it open."""
    before = f"{plain(answer.before)} "
    whole, start, end = (
        f"{before}{answer.text}{plain(answer.after)}",
        len(before),
        len(before) + len(answer.text),
    )
    return denied(whole, start) or rejected(whole, end) or is_open(whole, start, end)


_OPTION_LINE = re.compile(r"[\s(*-]{0,5}([A-E])[)\s.、:*]")


def _lists(before: str, line: str, gold: ChoiceGold) -> bool:
    """Whether two lines are a list of the options and no answer."""
    one, other = _OPTION_LINE.match(before), _OPTION_LINE.match(line)
    if not (one and other and ord(other[1]) == ord(one[1]) + 1):
        return False
    return all(
        _bare(plain(fold(gold.options.get(match[1], "")))) in _bare(said)
        for match, said in ((one, before), (other, line))
    )


def _by_option(text: str, gold: ChoiceGold) -> str | None:
    """Where a text calls two options or more right or wrong: the one that is right, if exactly one is."""
    if any(accepted(option, 0) or rejected(option, 0) for option in gold.options.values()):
        return None  # options like 对 and 错 are no verdicts on themselves
    judged: dict[str, Judged] = {}
    for mention in _mentions(text, gold):
        if mention.judged in ("right", "wrong"):
            judged[mention.letter] = mention.judged
    right = [letter for letter, verdict in judged.items() if verdict == "right"]
    if len(judged) < 2 or not right:
        return None
    return right[0] if len(right) == 1 else _SEVERAL


def _letter(text: str, gold: ChoiceGold) -> str | None:
    """The one option that a text asserts; `several`, or None."""
    only = _ONLY.match(text)
    if only and only[1].upper() in gold.options:
        return only[1].upper()
    if whole := _whole_option(text, gold):
        return whole
    mentions = _mentions(text, gold)
    if chosen := _chosen(text, mentions):
        return chosen
    if any(mention.judged == "plain" for mention in mentions):
        return None
    texts = {m.letter for m in _option_texts(fold(text), gold) if m.judged in ("plain", "right")}
    texts -= {mention.letter for mention in mentions}
    if len({gold.options[letter] for letter in texts}) == 1:
        return gold.letter if gold.letter in texts else min(texts)
    return None if mentions else _ordinal(text, gold)


def _chosen(text: str, mentions: list[_Mention]) -> str | None:
    right = {mention.letter for mention in mentions if mention.judged == "right"}
    if len(right) == 1:
        return right.pop()
    standing = [mention for mention in mentions if mention.judged in ("plain", "right")]
    if not standing:
        return None
    first = standing[0]
    leads = first is mentions[0] and not _before(text, first.start).strip(_DRESS)
    chained = [
        m for m in standing[1:] if m.start - first.end < 8 and _CHAIN_GAP.fullmatch(text, first.end, m.start)
    ]
    if chained and {m.letter for m in chained} != {first.letter}:
        return _SEVERAL
    if leads:
        return first.letter
    named = {mention.letter for mention in standing if mention.named}
    if len(named) == 1:
        return named.pop()
    letters = {mention.letter for mention in standing}
    return letters.pop() if len(letters) == 1 else None


_PREAMBLE = re.compile(
    r"(?:the )?(?:correct )?(?:option|choice|answer)(?: is)?|选项|选择|选|答案(?:是|为)?|应为|是|为",
    re.IGNORECASE,
)


def _before(text: str, start: int) -> str:
    """The text before a mention, without the words that name it."""
    return _PREAMBLE.sub("", text[max(0, start - 30) : start]) if start <= 30 else text[:start]


def _mentions(text: str, gold: ChoiceGold) -> list[_Mention]:
    """The options that a text names by their letters, in order."""
    text = text.translate(_CIRCLED)
    hidden = [(m.start, m.end) for m in _option_texts(text, gold)] if _holds_capitals(gold) else []
    found: list[tuple[str, int, int, bool]] = []
    capitals = list(_CAPITAL.finditer(text))
    if len(capitals) > _MOST_LETTERS:
        capitals = [*capitals[: _MOST_LETTERS // 2], *capitals[-_MOST_LETTERS // 2 :]]
    for match in capitals:
        if any(start <= match.start() < end for start, end in hidden):
            continue
        if match[2]:
            if len(set(match[2])) > 1 and all(letter in gold.options for letter in match[2]):
                found += [
                    (c, match.start() + n, match.start() + n + 1, False) for n, c in enumerate(match[2])
                ]
        elif match[1] in gold.options and (named := _is_letter(text, match, gold)) is not None:
            found.append((match[1], match.start(), match.end(), named))
    return _judged(text, found, gold)


_LETTERS = re.compile("[A-E]")


def _holds_capitals(gold: ChoiceGold) -> bool:
    return _LETTERS.search("".join(gold.options.values())) is not None


def _is_letter(text: str, match: re.Match[str], gold: ChoiceGold) -> bool | None:
    """Whether a capital is named as an option; None if it belongs to a word."""
    before, end = text[max(0, match.start() - 16) : match.start()], match.end()
    named = _NAMED.search(before) is not None
    if before and "\u4e00" <= before[-1] <= "\u9fff" and not _NAMING.search(before):
        return None
    after = text[end : end + 1]
    if "\u4e00" <= after <= "\u9fff":
        own = fold(gold.options[match[1]]).strip()
        return named if _OF_LETTER.match(text, end) or (own and text.startswith(own, end)) else None
    if _OF_WORD.match(text, end):
        return None
    word = _WORD_AFTER.match(text, end)
    if word and not (named and match[1] not in "AI") and word[1] not in _FUNCTION_WORDS:
        return None
    return named


Letter = tuple[str, int, int, bool]
"""A letter, where it starts and ends, and whether it is named as an option."""


def _judged(text: str, found: list[Letter], gold: ChoiceGold) -> list[_Mention]:
    """What the text says of each option; those of a chain (A、B) share what is said of them."""
    chains: list[list[Letter]] = []
    for item in found:
        if chains and _joined(text, chains[-1], item):
            chains[-1].append(item)
        else:
            chains.append([item])
    mentions = []
    for chain in chains:
        start, end = chain[0][1], chain[-1][2]
        verdict = _verdict(text, start, _past_text(text, end, gold.options[chain[-1][0]]))
        between = _BETWEEN.search(text, max(0, start - 12), start) or _OPEN_AFTER.match(text, end)
        if len(chain) > 1 and between:
            verdict = "open"
        mentions += [_Mention(letter, begin, stop, verdict, named) for letter, begin, stop, named in chain]
    return mentions


_BETWEEN = re.compile(r"(?:\b(?:between|among)\s|[在从])\s?(?:选项)?\Z", re.IGNORECASE)


def _joined(text: str, chain: list[Letter], item: Letter) -> bool:
    """Whether a letter goes on a chain: A、B but not "A and B, B"."""
    end = chain[-1][2]
    near = item[1] - end < 8 and _CHAIN_GAP.fullmatch(text, end, item[1]) is not None
    return near and item[0] not in {letter for letter, *_ in chain}


def _past_text(text: str, end: int, option: str) -> int:
    """The end of an option's own text where that follows its letter: what is said of it comes after."""
    own = fold(option).strip()
    start = text.find(own, end, end + len(own) + 4) if own else -1
    return start + len(own) if start >= 0 and not text[end:start].strip(" .、:,)*") else end


_MARKED_WRONG = re.compile(r"(?:^|[\n,;；、])[ \t]*[✗×❌✘][ \t]?\Z")
_MARKED_RIGHT = re.compile(r"(?:^|[\n,;；、])[ \t]*[✓√✅✔][ \t]?\Z")
_COMPARED = re.compile(
    r"(?:比|较|相较于|[优劣高低]于|不如|\b(?:than|versus|compared (?:to|with)))\s?(?:选项)?\Z", re.IGNORECASE
)


def _verdict(text: str, start: int, end: int) -> Judged:
    before = max(0, start - 24)
    if denied(text, start) or rejected(text, end) or _MARKED_WRONG.search(text, before, start):
        return "wrong"
    if supposed(text, start) or _COMPARED.search(text, before, start):
        return "open"
    right = accepted(text, end) or _RIGHT_BEFORE.search(text, before, start)
    return "right" if right or _MARKED_RIGHT.search(text, before, start) else "plain"


_RIGHT_BEFORE = re.compile(
    r"(?:而是|正确(?:的)?(?:选项|答案)?(?:应)?(?:该)?(?:是|为)|correct (?:option|choice|answer|"
    r"one)(?: is)?)\s?[:(]?\s?(?:选项|option)?\s?\Z",
    re.IGNORECASE,
)


def _option_texts(text: str, gold: ChoiceGold) -> list[_Mention]:
    """The options that a text names by their own texts; where one holds another, the longest one."""
    options = sorted(
        ((fold(o).strip(), letter) for letter, o in gold.options.items()), key=lambda o: -len(o[0])
    )
    taken: list[tuple[int, int]] = []
    found = []
    for option, letter in options:
        start = text.find(option) if len(_bare(option)) > 1 else -1
        for _ in range(_MOST_MENTIONS):
            if start < 0:
                break
            end = start + len(option)
            if not any(
                begin < end and start < stop for begin, stop in taken if (begin, stop) != (start, end)
            ):
                taken.append((start, end))
                found.append(_Mention(letter, start, end, _verdict(text, start, end)))
            start = text.find(option, end)
    return found


_MOST_MENTIONS = 8
_MOST_LETTERS = 48


def _whole_option(text: str, gold: ChoiceGold) -> str | None:
    """The letter of the option whose text the answer is."""
    said = _bare(text)
    same = [letter for letter, option in gold.options.items() if said and _bare(plain(fold(option))) == said]
    if not same or len({gold.options[letter] for letter in same}) > 1:
        return None
    return gold.letter if gold.letter in same else same[0]


def _option_value(text: str, gold: ChoiceGold) -> str | None:
    """The letter of the only option that is this number."""
    found = quantities(text)
    if len(found) != 1:
        return None
    same = []
    for letter, option in gold.options.items():
        numbers = quantities(plain(fold(option)))
        if len(numbers) == 1 and math.isclose(numbers[0].value, found[0].value, rel_tol=1e-9):
            unlike = found[0].percent != numbers[0].percent and (found[0].percent or found[0].scale != 1)
            if not unlike:
                same.append(letter)
    return same[0] if len(same) == 1 else None


def _ordinal(text: str, gold: ChoiceGold) -> str | None:
    """The option of 第三项, "the third option", ③ or, in lower case, "option c"."""
    letters = sorted(gold.options)
    places = set()
    for match in _ORDINAL.finditer(text):
        name = next(group for group in match.groups() if group).lower()
        if not denied(text, match.start()) and not rejected(text, match.end()):
            places.add(_ORDINALS.get(name, len(letters) - 1))
    if len(places) == 1 and (place := places.pop()) < len(letters):
        return letters[place]
    lower = {m[1].upper() for m in _LOWER.finditer(text) if m[1].islower() and not denied(text, m.start())}
    lower &= set(letters)
    return lower.pop() if len(lower) == 1 and not places else None


def _bare(text: str) -> str:
    return _NOT_TEXT.sub("", text).lower()
