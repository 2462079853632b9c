"""The letter of a multiple-choice answer: C, （Ｃ）, 选C, "C. 1,000元", or the text of exactly one option."""

from __future__ import annotations

import re

from evalkit.example import ChoiceGold
from evalkit.scorers.answer import Answer, answers
from evalkit.scorers.normalize import fold
from evalkit.scorers.verdict import Output

_ONLY = re.compile(r"[\s(\[\"'【“]{0,5}([A-Za-z])[\s)\]\"'】”.。、:]{0,5}\Z")
_LEADING = re.compile(
    r"[\s(\[\"'【“*]{0,5}(?:(?:[Oo]ption|[Cc]hoice|选项|选择|选|答案)\s?[(:]?\s?)?"
    r"([A-Z])(?![A-Za-z0-9'-])(?! [a-z])"
)
_NAMED = re.compile(r"(?<!不)(?:[Oo]ption|[Cc]hoice|选项|选择|选)\s?[(:]?\s?([A-Z])(?![A-Za-z0-9])")
_LETTER = re.compile(r"(?<![A-Za-z0-9&'.-])([A-Z])(?![A-Za-z0-9&'-])(?! [a-z])")
_CHAIN = re.compile(
    r"[\s(\[\"'【“*]{0,5}(?:选项?|选择)?\s?[A-Z][)\]】]?\s?"
    r"(?:(?:,|、|/|;|\+|&|和|与|或|及|and|or|)\s?[(\[【]?[A-Z][)\]】]?\s?){1,8}(?![A-Za-z0-9])"
)
_NOT_TEXT = re.compile(r"[\s,.;:!?()\[\]\"'、。“”《》]+")


def choice_answer(output: Output, gold: ChoiceGold) -> tuple[Answer, str | None] | None:
    """The answer and its letter (None: no letter, or several); None without an answer."""
    first: Answer | None = None
    for answer in answers(output):
        first = first or answer
        letter = _read(answer, gold)
        if letter:
            return answer, letter
        if answer.how == "box" or _several(answer.text, gold):
            return answer, None
    return (first, None) if first and first.how != "tail" else None


def _several(text: str, gold: ChoiceGold) -> bool:
    chain = _CHAIN.match(text)
    return bool(chain) and len(set(_letters(chain[0], gold) if chain else ())) > 1


def _letters(text: str, gold: ChoiceGold) -> list[str]:
    return [letter for letter in re.findall(r"[A-Z]", text) if letter in gold.options]


def _read(answer: Answer, gold: ChoiceGold) -> str | None:
    """The letter of a box or phrase; in running text that of the last line that has one."""
    lines = reversed(answer.text.splitlines()) if answer.how == "tail" else [answer.text]
    return next((letter for line in lines if (letter := _letter(line, gold))), None)


def _letter(text: str, gold: ChoiceGold) -> str | None:
    only = _ONLY.match(text)
    if only and only[1].upper() in gold.options:
        return only[1].upper()
    if _several(text, gold):
        return None
    leading = _LEADING.match(text)
    if leading and leading[1] in gold.options:
        return leading[1]
    announced = {match[1] for match in _NAMED.finditer(text)} & set(gold.options)
    if len(announced) == 1:
        return announced.pop()
    named = [match[1] for match in _LETTER.finditer(text) if match[1] in gold.options]
    if len(set(named)) == 1:
        return named[0]
    return None if named else _option_text(text, gold)


def _option_text(text: str, gold: ChoiceGold) -> str | None:
    """The letter of the only option whose text the answer is, or that it contains."""
    said = _bare(text)
    options = {letter: _bare(fold(option)) for letter, option in gold.options.items()}
    for matches in (
        [letter for letter, option in options.items() if option and option == said],
        [letter for letter, option in options.items() if len(option) > 1 and option in said],
    ):
        if len({options[letter] for letter in matches}) == 1:
            return gold.letter if gold.letter in matches else matches[0]
    return None


def _bare(text: str) -> str:
    return _NOT_TEXT.sub("", text).lower()
