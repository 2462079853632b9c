"""Evaluated examples that a model may have been trained on: looked for in a file of training texts.

What is counted is n-grams of words, 13 by default. GPT-3 called an example dirty if any of its n-grams was in
the training data, n from 8 to 13 by the length of a benchmark's examples (Brown et al. 2020, appendix C of
arXiv 2005.14165). PaLM asked for 70 % of them, as a training text may quote an example's source and not the
example (Chowdhery et al. 2022, section 8 of arXiv 2204.02311). Here the first is `shared`, the second `near`.
A reworded example shares few n-grams and is not found.

A question of less than n words is one gram. Below 8 it could be a phrase of any text, and counts only as a
whole line of the training record, or beside its page.

A page is not an example: annual reports are public, and one page has many questions. So an example with a
page is found only where its question and its page are in one and the same training record.
"""

from __future__ import annotations

import csv
import io
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from evalkit.metrics import accuracy
from evalkit.overlap.index import EvaluatedExample, Index, Words, words_of
from evalkit.schema import DEFAULT, Estimate
from evalkit.text import code, percent, share, table

N = 13
SHORTEST = 8
"""Words from which on a question is told from a phrase."""
SHORTEST_LINE = 3
"""Words from which on a question that is a whole line is told from a phrase."""
PAGE = 50
"""Words from which on the text before a question is a page."""
MOST = 0.7

Level = Literal["none", "short", "shared", "page", "near", "exact"]
LEVELS: tuple[Level, ...] = ("none", "short", "shared", "page", "near", "exact")
"""
exact: all n-grams of its question, and at least 70 % of those of its page if any, in one training record;
near: the same with at least 70 % of its question's;
page: at least 70 % of its page, without its question;
shared: at least one n-gram of its question;
short: it has too few words to tell;
none: nothing of all this.
"""


@dataclass(frozen=True, slots=True)
class Match:
    """The most that was found of an example: `share` of its question's n-grams, in training record `record`.

    Records count from 1; None where nothing was found.
    """

    level: Level
    share: float = 0.0
    record: int | None = None

    @property
    def found(self) -> bool:
        """Whether the example itself was there."""
        return self.level in ("exact", "near")

    @property
    def rank(self) -> tuple[int, float]:
        """Greater for a match that says more."""
        return LEVELS.index(self.level), self.share


def check_overlap(asked: Sequence[EvaluatedExample], training: Iterable[str], n: int = N) -> list[Match]:
    """For each example the most that any training record has of it.

    Memory depends on the examples and the largest training record, not on the number of records.
    """
    wanted = _Wanted(asked, n)
    best = [Match("none" if wanted.can_tell(example) else "short") for example in range(len(asked))]
    for record, text in enumerate(training, start=1):
        for example, level, part in _found(wanted, words_of(text)):
            match = Match(level, part, record)
            if match.rank > best[example].rank:
                best[example] = match
    return best


def of_records(
    asked: Sequence[EvaluatedExample], training: Iterable[str], n: int = N
) -> Iterator[tuple[int, Match] | None]:
    """For each training record the evaluated example that it has the most of, by its place in `asked`.

    None for a record that has nothing of any. The other way round from `check_overlap`: this says which
    records to take out of a training set, that one which examples a set has spoilt.
    """
    wanted = _Wanted(asked, n)
    for record, text in enumerate(training, start=1):
        best: tuple[int, Match] | None = None
        for example, level, part in _found(wanted, words_of(text)):
            match = Match(level, part, record)
            if best is None or match.rank > best[1].rank:
                best = example, match
        yield best


class _Wanted:
    """The examples' questions and pages, each distinct text indexed once under a number."""

    def __init__(self, asked: Sequence[EvaluatedExample], n: int) -> None:
        self._numbers: dict[bytes, int] = {}
        self._texts: list[Words] = []
        self._least = min(SHORTEST, n)
        self.questions = [self._number(each.question, SHORTEST_LINE) for each in asked]
        self.pages = [self._number(each.page, PAGE) for each in asked]
        self.with_question = _places(self.questions)
        self.with_page = _places(self.pages)
        self.index = Index(self._texts, n)
        lengths = self.index.lengths()
        self.short = [length for length in lengths if length < self._least]
        self.long = [length for length in lengths if length >= self._least]

    def _number(self, text: str, least: int) -> int | None:
        words = words_of(text)
        if len(words) < least:
            return None
        number = self._numbers.setdefault(words.hashes.tobytes(), len(self._texts))
        if number == len(self._texts):
            self._texts.append(words)
        return number

    def can_tell(self, example: int) -> bool:
        """Whether there are enough words to find the example by, wherever it stands."""
        question = self.questions[example]
        if question is None:
            return False
        return self.pages[example] is not None or len(self._texts[question]) >= self._least


def _places(numbers: Sequence[int | None]) -> dict[int | None, list[int]]:
    places: dict[int | None, list[int]] = defaultdict(list)
    for place, number in enumerate(numbers):
        places[number].append(place)
    return places


def _found(wanted: _Wanted, text: Words) -> Iterator[tuple[int, Level, float]]:
    """What one training record has: example, level and the share of the question's n-grams."""
    shares = wanted.index.shares(text, wanted.long)
    pages = {number for number, part in shares.items() if number in wanted.with_page and part >= MOST}
    for number in pages:
        for example in wanted.with_page[number]:
            yield example, "page", 0.0
    for number, part in shares.items():
        for example in wanted.with_question.get(number, ()):
            page = wanted.pages[example]
            yield example, _level(part) if page is None or page in pages else "shared", part
    for number in wanted.index.lines(text, wanted.short):
        for example in wanted.with_question.get(number, ()):
            if wanted.pages[example] is None:
                yield example, "exact", 1.0
    if pages:
        # Beside its page even a question of a few words says which one it is.
        for number in wanted.index.shares(text, wanted.short):
            for example in wanted.with_question.get(number, ()):
                if wanted.pages[example] in pages:
                    yield example, "exact", 1.0


def _level(share: float) -> Level:
    if share == 1.0:
        return "exact"
    return "near" if share >= MOST else "shared"


_COLUMNS: dict[Level, str] = {
    "exact": "Exact",
    "near": "Near",
    "page": "Only the page",
    "shared": "A shared n-gram",
    "short": "Too short to tell",
}


@dataclass(frozen=True, slots=True)
class Summary:
    """One benchmark: how many of its `n` examples are of each level, and accuracy as fractions of 1.

    `found` examples are the exact and near ones, `without` all others; None where nothing of it is scored.
    """

    benchmark: str
    n: int
    levels: dict[Level, int]
    everything: Estimate | None
    without: Estimate | None
    found: Estimate | None


def summaries(
    asked: Sequence[EvaluatedExample], matches: Sequence[Match], rules: Mapping[str, str] | None = None
) -> list[Summary]:
    """One a benchmark, in the order of their first examples.

    Args:
        rules: by benchmark, the rule that counts; the default one for others.
    """
    pairs = list(zip(asked, matches, strict=True))
    return [
        _summary(
            name, [pair for pair in pairs if pair[0].benchmark == name], (rules or {}).get(name, DEFAULT)
        )
        for name in dict.fromkeys(each.benchmark for each in asked)
    ]


def _summary(benchmark: str, pairs: Sequence[tuple[EvaluatedExample, Match]], rule: str) -> Summary:
    counts = Counter(match.level for _, match in pairs)
    items = [(each.item, match) for each, match in pairs if each.item is not None]
    return Summary(
        benchmark=benchmark,
        n=len(pairs),
        levels={level: counts[level] for level in _COLUMNS},
        everything=accuracy((item for item, _ in items), rule),
        without=accuracy((item for item, match in items if not match.found), rule),
        found=accuracy((item for item, match in items if match.found), rule),
    )


def overlap_markdown(found: Sequence[Summary], titles: Mapping[str, str], training: str, n: int) -> str:
    """The report as Markdown.

    Args:
        titles: of the benchmarks, by name.
        training: the training file's name.
        n: words of an n-gram.
    """
    rows = [
        [_title(titles, each), str(each.n), *(share(count, each.n) for count in each.levels.values())]
        for each in found
    ]
    parts = [
        f"Evaluated examples in {code(training)}, by {n}-grams of words (of characters in Chinese).",
        table(["Benchmark", "Examples", *_COLUMNS.values()], rows),
        "Exact: the whole question, and at least 70 % of its page if it has one, in one training record. "
        "Near: at least 70 % of the question's n-grams. An example counts once. Reworded ones are not found.",
    ]
    if any(each.everything for each in found):
        parts += [_accuracies(found, titles), _CAUTION]
    return "\n\n".join(parts) + "\n"


_CAUTION = (
    "Accuracy in %, with 95 % intervals. Examples that were found may be easier or harder than the others: a "
    "difference is no measure of what was learnt by heart."
)


def _accuracies(found: Sequence[Summary], titles: Mapping[str, str]) -> str:
    rows = [
        [_title(titles, each), *(_shown(part) for part in (each.everything, each.without, each.found))]
        for each in found
    ]
    return table(["Benchmark", "Accuracy, all", "Without exact and near", "Exact and near only"], rows)


def _title(titles: Mapping[str, str], summary: Summary) -> str:
    """As it is if it is a plain name: a record's titles are somebody else's text."""
    title = titles.get(summary.benchmark, summary.benchmark)
    return title if title.replace("_", "").replace("-", "").isalnum() else code(title)


def _shown(part: Estimate | None) -> str:
    return f"{percent(part)} (n={part.n})" if part else "-"


def to_csv(asked: Sequence[EvaluatedExample], matches: Sequence[Match]) -> str:
    """Every example with what was found of it, as CSV."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["benchmark", "id", "turn", "level", "share_of_question", "training_record"])
    for each, match in zip(asked, matches, strict=True):
        place = (each.benchmark, each.id, "" if each.turn is None else each.turn)
        writer.writerow([*place, match.level, f"{match.share:.3f}", match.record or ""])
    return text.getvalue()
