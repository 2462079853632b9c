"""What of an evaluated example is its own: its question and its page, without the prompt template's words.

A template's words are in every prompt and in no training file. They are taken out by the template's literal
text, so this works from a run's record, without the benchmark's files.
"""

from __future__ import annotations

import re
import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache

from evalkit.config import names
from evalkit.example import Example, Message
from evalkit.paths import BENCHMARKS
from evalkit.records.record import Record, Row
from evalkit.scorers import DEFAULT

_SHORTEST_LITERAL = 9  # characters: "Question:"; shorter ones are words that a page may have as well


@dataclass(frozen=True, slots=True)
class Asked:
    """One example: `question` is what it asks, `page` what it asks that of ('' if nothing).

    `score` is under the default rule, the mean of its samples; None if unscored, or not run at all.
    """

    benchmark: str
    id: str
    turn: int | None
    group: str
    question: str
    page: str
    score: float | None = None


def from_examples(examples: Iterable[Example]) -> list[Asked]:
    """The examples of a benchmark, without scores."""
    return [
        Asked(
            example.benchmark,
            example.id,
            example.turn,
            example.group,
            *_own(example.benchmark, _by_user(example)),
        )
        for example in examples
    ]


def from_record(record: Record) -> list[Asked]:
    """The examples of a run, with their scores; several samples of one are one example."""
    samples: dict[tuple[str, str, int | None], list[Row]] = defaultdict(list)
    for row in record.rows:
        samples[row.benchmark, row.id, row.turn].append(row)
    return [_from_rows(rows) for rows in samples.values()]


def _from_rows(rows: Sequence[Row]) -> Asked:
    row = rows[0]
    verdicts = [each.verdicts[DEFAULT] for each in rows if DEFAULT in each.verdicts]
    scores = [verdict.score for verdict in verdicts if verdict.score is not None]
    question, page = _own(row.benchmark, [content for role, content in row.messages if role == "user"])
    score = statistics.fmean(scores) if scores else None
    return Asked(row.benchmark, row.id, row.turn, row.group, question, page, score)


def _by_user(example: Example) -> list[str]:
    return [each.content for each in example.messages if isinstance(each, Message) and each.role == "user"]


def _own(benchmark: str, messages: Sequence[str]) -> tuple[str, str]:
    """Question and page: the last own text of the last message, and what is before it in the first one."""
    if not messages:
        return "", ""
    question = _pieces(benchmark, messages[-1])[-1:]
    page = _pieces(benchmark, messages[0])[:-1]
    return "\n".join(question), "\n".join(page)


def _pieces(benchmark: str, text: str) -> list[str]:
    """The stretches of a prompt that are not the template's."""
    literal, label = _template(benchmark)
    pieces = [label.sub("", piece).strip() for piece in literal.split(text)]
    return [piece for piece in pieces if piece]


@cache
def _template(benchmark: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What the benchmark's templates say: anywhere if it is long, else as the label of a line (题目：)."""
    from jinja2 import Environment

    found: set[str] = set()
    # A record names its benchmarks itself: only ours have templates here.
    files = (BENCHMARKS / benchmark).glob("*.jinja") if benchmark in names("benchmark") else []
    for file in files:
        for _, kind, value in Environment().lex(file.read_text(encoding="utf-8")):
            if kind in ("data", "string"):
                found.add((value[1:-1] if kind == "string" else value).strip())
    long = {text for text in found if len(text) >= _SHORTEST_LITERAL}
    labels = {text.rstrip(":：") for text in found - long} - {""}
    return re.compile(_any_of(long)), re.compile(rf"(?m)^(?:{_any_of(labels)})[:：]")


def _any_of(texts: Iterable[str]) -> str:
    """A pattern for any of the texts, the longest first; one that never matches if there are none."""
    return "|".join(map(re.escape, sorted(texts, key=lambda text: (-len(text), text)))) or r"(?!)"
