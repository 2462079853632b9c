"""What several answers to one example say together, and what an answer's length decides.

pass@k is the unbiased estimate of Chen et al. 2021 (arXiv 2107.03374, eq. 1): 1 - C(n-c, k) / C(n, k) where c
of an example's n answers are right. maj@k is the vote of all answers of an example (self-consistency, Wang et
al. 2022, arXiv 2203.11171): answers vote by what they mean, no answer has no vote, and a tie counts by the
share of its sides that are right. The vote's share is a confidence that needs no probabilities.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from evalkit.flips import GradedAnswer, Meaning, graded, meaning
from evalkit.schema import Estimate, Item
from evalkit.stats.paired import mean_estimate


def pass_at(right: int, n: int, k: int) -> float:
    """The chance that one of k answers, drawn from n with `right` right ones, is right. 1 <= k <= n."""
    return 1 - math.comb(n - right, k) / math.comb(n, k)


@dataclass(frozen=True, slots=True)
class Vote:
    """The vote of one example. `share` is that of the winner among all answers, `right` in [0, 1]."""

    share: float
    right: float


def vote(answers: Sequence[GradedAnswer]) -> Vote:
    """What the answers of one example (at least one) agree on."""
    meanings: list[Meaning] = [meaning(answer) for answer in answers]
    counts = Counter(said for said in meanings if said is not None)
    if not counts:
        return Vote(0.0, 0.0)
    most = max(counts.values())
    right = [
        any(answer.score.correct for answer, said in zip(answers, meanings, strict=True) if said == winner)
        for winner, count in counts.items()
        if count == most
    ]
    return Vote(most / len(answers), sum(right) / len(right))


@dataclass(frozen=True, slots=True)
class Several:
    """A benchmark whose examples have several answers each, under one rule.

    ``samples`` is the most that every example has. ``pass_at`` has an estimate for k = 1, 2, 4, ... up to it.
    ``confident`` is the accuracy of the vote where more than half of the answers agree, ``unsure`` where they
    do not; None where there is no such example.
    """

    samples: int
    pass_at: dict[int, Estimate]
    majority: Estimate
    confident: Estimate | None
    unsure: Estimate | None


def several(items: Iterable[Item], rule: str) -> Several | None:
    """None where no example, or not every one, has two answers that are judged."""
    judged = [(item, answers) for item in items if (answers := graded(item, rule))]
    samples = min((len(answers) for _, answers in judged), default=0)
    if samples < 2:
        return None
    groups = [item.group for item, _ in judged]
    counts = [(sum(bool(a.score.correct) for a in answers), len(answers)) for _, answers in judged]
    votes = [vote(answers) for _, answers in judged]

    def over(chosen: Sequence[bool]) -> Estimate | None:
        kept = [(each.right, group) for each, group, take in zip(votes, groups, chosen, strict=True) if take]
        return mean_estimate([right for right, _ in kept], [group for _, group in kept]) if kept else None

    ks = sorted({*(2**power for power in range(samples.bit_length())), samples})
    return Several(
        samples,
        {k: mean_estimate([pass_at(right, n, k) for right, n in counts], groups) for k in ks if k <= samples},
        mean_estimate([each.right for each in votes], groups),
        over([each.share > 1 / 2 for each in votes]),
        over([each.share <= 1 / 2 for each in votes]),
    )


@dataclass(frozen=True, slots=True)
class BudgetPoint:
    """Accuracy if every answer longer than `tokens` were cut off there; `ended` is the share that is not."""

    tokens: int
    accuracy: Estimate
    ended: float


def budget_curve(items: Iterable[Item], rule: str) -> list[BudgetPoint]:
    """Accuracy by the limit of an answer's tokens, from one run: at 64, 128, 256, ... up to the longest.

    An answer that is longer counts as wrong at that limit, which is exact where the final answer comes last
    and a lower bound where it comes first. Empty where the lengths of the answers are not known.
    """
    known = [
        (item.group, [(answer.sample.completion_tokens, bool(answer.score.correct)) for answer in answers])
        for item in items
        if (answers := graded(item, rule))
    ]
    lengths = [tokens for _, answers in known for tokens, _ in answers if tokens is not None]
    if not lengths or len(lengths) < sum(len(answers) for _, answers in known):
        return []
    groups = [group for group, _ in known]
    points = []
    limit = 64
    while True:
        values = [_mean([right and (tokens or 0) <= limit for tokens, right in each]) for _, each in known]
        ended = sum(length <= limit for length in lengths) / len(lengths)
        points.append(BudgetPoint(limit, mean_estimate(values, groups), ended))
        if ended == 1:
            return points
        limit *= 2


def _mean(values: Sequence[bool]) -> float:
    return sum(values) / len(values)
