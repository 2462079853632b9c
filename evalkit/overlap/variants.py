"""Evaluated examples that stand in a training record changed: with other numbers, or in another order.

N-grams break where a number or the order of words is changed, so each of the two is looked for by what it
leaves as it was:

renumbered: every number counts as the same, and then the n-grams are compared as ever. A question without a
page counts from `n` words on, as shorter ones are patterns that many questions have.

reordered: numbers in their context. A number with the word before it, or after it, stays beside that word
when sentences, clauses or rows change places. Only numbers of three digits or more that are no years tell
anything; at least 4 are needed on a page, 2 in a question without one. 70 % of the example's numbers must
stand in the record beside one of the words that they stand beside in the example, and the questions must have
80 % of their words in common: another question about the same page is another example.

The thresholds are our own. What they find of planted changes is in docs/distill.md.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Literal

from evalkit.overlap import MOST, N, of_records
from evalkit.overlap.index import EvaluatedExample

Variant = Literal["renumbered", "reordered"]

LEAST_ON_PAGE = 4
LEAST_IN_QUESTION = 2
SAME_WORDS = 0.8

_CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")
_TOKEN = re.compile(rf"(?P<number>{NUMBER.pattern})|[{_CJK}]|[^\W\d_{_CJK}]{{2,64}}")
_MASK = "0"


def masked(text: str) -> str:
    """The text with every number as the same one."""
    return NUMBER.sub(_MASK, text)


class Variants:
    """Evaluated examples, to look their variants up in."""

    def __init__(self, asked: Sequence[EvaluatedExample]) -> None:
        self._asked = asked
        self._words = [_words(example.question) for example in asked]
        self._numbers: list[int] = []
        self._beside: dict[tuple[str, str], list[int]] = defaultdict(list)
        for place, example in enumerate(asked):
            found = _numbers(f"{example.page}\n{example.question}")
            least = LEAST_ON_PAGE if example.page else LEAST_IN_QUESTION
            self._numbers.append(len(found) if len(found) >= least else 0)
            for number, words in found.items() if len(found) >= least else ():
                for word in words:
                    self._beside[number, word].append(place)

    def reordered(self, question: str, page: str) -> int | None:
        """The example that a record with this question and page is, in another order; None for none."""
        counts: Counter[int] = Counter()
        for number, words in _numbers(f"{page}\n{question}").items():
            counts.update({place for word in words for place in self._beside.get((number, word), ())})
        own = _words(question)
        for place, count in counts.most_common():
            if count >= MOST * self._numbers[place] and _common(own, self._words[place]) >= SAME_WORDS:
                return place
        return None

    def renumbered(self, records: Sequence[tuple[str, str]]) -> list[int | None]:
        """For each record (question, page) the example that it is, with other numbers; None for none."""
        long = [place for place, example in enumerate(self._asked) if _tells(example)]
        asked = [
            EvaluatedExample(
                each.benchmark, each.id, each.turn, each.group, masked(each.question), masked(each.page)
            )
            for each in (self._asked[place] for place in long)
        ]
        texts = (masked(f"{page}\n{question}") for question, page in records)
        return [
            long[found[0]] if found is not None and found[1].found else None
            for found in of_records(asked, texts)
        ]


def _tells(example: EvaluatedExample) -> bool:
    """Whether an example is more than a pattern once its numbers are gone."""
    return bool(example.page) or len(_TOKEN.findall(example.question)) >= N


def _numbers(text: str) -> dict[str, set[str]]:
    """The telling numbers of a text, each with the words right before (`<`) and after (`>`) it."""
    found: dict[str, set[str]] = defaultdict(set)
    waiting: list[str] = []
    before = ""
    for match in _TOKEN.finditer(text):
        number = match["number"]
        if number is None:
            word = match[0].lower()
            for each in waiting:
                found[each].add(f">{word}")
            waiting, before = [], word
        elif _telling(plain := number.replace(",", "")):
            found[plain].add(f"<{before}")
            waiting.append(plain)
    return found


def _telling(number: str) -> bool:
    digits = number.replace(".", "").strip("0")
    return len(digits) >= 3 and not (len(number) == 4 and number[:2] in ("19", "20"))


def _words(text: str) -> frozenset[str]:
    return frozenset(match[0].lower() for match in _TOKEN.finditer(text))


def _common(one: frozenset[str], other: frozenset[str]) -> float:
    return len(one & other) / len(one | other) if one or other else 0.0
