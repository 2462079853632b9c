"""How far a judge agrees with labels, and with itself when the prompt is turned around."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from evalkit.stats.error import wilson


@dataclass(frozen=True, slots=True)
class Share:
    """`count` of `n` items, with Wilson's 95 % interval for independent items; `value` is None if n is 0."""

    count: int
    n: int
    low: float
    high: float

    @property
    def value(self) -> float | None:
        return self.count / self.n if self.n else None


@dataclass(frozen=True, slots=True)
class Kappa:
    """Cohen's κ with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Agreement:
    """A judge against labels, both yes or no.

    `sensitivity` is P(judge yes | label yes), q₁; `specificity` P(judge no | label no), q₀; `accuracy`
    P(judge = label). Their counts are the 2 × 2 table. `kappa` is None where chance agreement is all there
    can be: no items, or judge or labels say the same throughout.
    """

    sensitivity: Share
    specificity: Share
    accuracy: Share
    kappa: Kappa | None


def agreement(judge: Sequence[bool], label: Sequence[bool]) -> Agreement:
    """A judge's verdicts against the labels of the same items, in the same order.

    Raises:
        ValueError: the two differ in length.
    """
    _same_length(judge, label)
    pairs = [(bool(verdict), bool(truth)) for verdict, truth in zip(judge, label, strict=True)]
    both_yes, both_no = pairs.count((True, True)), pairs.count((False, False))
    yes = sum(truth for _, truth in pairs)
    return Agreement(
        sensitivity=share(both_yes, yes),
        specificity=share(both_no, len(pairs) - yes),
        accuracy=share(both_yes + both_no, len(pairs)),
        kappa=_kappa(both_yes, yes - both_yes, len(pairs) - yes - both_no, both_no),
    )


def flip_rate(first: Sequence[bool], second: Sequence[bool]) -> Share:
    """Share of the items whose verdict changed, the same items judged twice (fields swapped, other language).

    Raises:
        ValueError: the two differ in length.
    """
    _same_length(first, second)
    return share(sum(a != b for a, b in zip(first, second, strict=True)), len(first))


def share(count: int, n: int) -> Share:
    """`count` of `n` with Wilson's 95 % interval."""
    return Share(count, n, *wilson(count, n))


def _kappa(both_yes: int, missed: int, false_yes: int, both_no: int) -> Kappa | None:
    """κ and its interval: Fleiss, Cohen & Everitt (1969), Psychol. Bull. 72: 323-327.

    Without any disagreement their error is 0, and the lower limit is what Wilson's lower limit of the
    observed agreement gives instead.
    """
    n = both_yes + missed + false_yes + both_no
    judged_yes, labelled_yes = both_yes + false_yes, both_yes + missed
    if not (0 < judged_yes < n and 0 < labelled_yes < n):
        return None
    if missed + false_yes == 0:
        chance = (judged_yes / n) ** 2 + (1 - judged_yes / n) ** 2
        return Kappa(1.0, (wilson(n, n)[0] - chance) / (1 - chance), 1.0)
    from statsmodels.stats.inter_rater import cohens_kappa

    found = cohens_kappa([[both_yes, false_yes], [missed, both_no]])
    low, high = max(float(found.kappa_low), -1.0), min(float(found.kappa_upp), 1.0)
    return Kappa(float(found.kappa), low, high)


def _same_length(first: Sequence[bool], second: Sequence[bool]) -> None:
    if len(first) != len(second):
        raise ValueError(f"{len(first)} verdicts but {len(second)} of the other kind")
