"""What the statistics count: examples, each with the mean score of its samples."""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evalkit.example import Example
from evalkit.runner.scoring import Score
from evalkit.stats.error import standard_error

Key = tuple[str, int | None]


@dataclass(frozen=True, slots=True)
class Item:
    """One example of a benchmark under one rule.

    ``scores`` holds one verdict per sample; ``value`` is their mean score, None where none was scored.
    """

    example: Example
    scores: tuple[Score, ...]
    value: float | None

    @property
    def key(self) -> Key:
        return self.example.id, self.example.turn

    @property
    def failed(self) -> bool:
        """Whether it has no score because the engine gave no answer."""
        return self.value is None and any(score.failed for score in self.scores)


@dataclass(frozen=True, slots=True)
class Mean:
    """A mean score with its standard error over `n` examples; fractions of 1, None where unknown."""

    value: float | None
    error: float | None
    n: int

    def as_json(self) -> dict[str, float | int | None]:
        return {"accuracy": self.value, "stderr": self.error, "n": self.n}


def items_of(scores: Iterable[Score]) -> list[Item]:
    """The examples of one benchmark under one rule, in the order of their first scores."""
    by_example: dict[Key, list[Score]] = defaultdict(list)
    for score in scores:
        by_example[score.record.id, score.record.turn].append(score)
    return [_item(samples) for samples in by_example.values()]


def _item(samples: Sequence[Score]) -> Item:
    values = [sample.verdict.score for sample in samples if sample.verdict.score is not None]
    return Item(samples[0].example, tuple(samples), statistics.fmean(values) if values else None)


def mean_of(items: Iterable[Item], clustered: bool = True) -> Mean:
    """The mean over the items that are scored; its error is clustered by the examples' groups.

    ``clustered=False`` is for items of one given group (a task's file): then its rows are the sample.
    """
    scored = [(item.value, item.example.group) for item in items if item.value is not None]
    if not scored:
        return Mean(None, None, 0)
    values = [value for value, _ in scored]
    groups = [group for _, group in scored] if clustered else None
    return Mean(statistics.fmean(values), standard_error(values, groups), len(values))


def difference(items: Iterable[Item], reference: Iterable[Item]) -> Mean:
    """The mean paired difference `items` - `reference` over the examples that both have a score for.

    Its standard error is that of the differences, clustered by group (Miller, arXiv 2411.00640, section 4).
    """
    base = {item.key: item.value for item in reference}
    pairs = [
        (item.value - other, item.example.group)
        for item in items
        if item.value is not None and (other := base.get(item.key)) is not None
    ]
    if not pairs:
        return Mean(None, None, 0)
    values = [value for value, _ in pairs]
    return Mean(statistics.fmean(values), standard_error(values, [group for _, group in pairs]), len(values))
