"""What a paired comparison of a candidate with its reference says: plain data, as sweep.json keeps it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

AVERAGE = "average"
"""In place of a benchmark's name: the plain mean over the benchmarks."""

VerdictKind = Literal["as_good", "worse", "better", "unresolved"]


@dataclass(frozen=True, slots=True)
class Estimate:
    """A mean with its standard error and 95 % interval over `n` items in `clusters` clusters.

    Accuracies and their differences are fractions of 1. `error` is None where nothing can be estimated
    (fewer than two clusters); the interval is then the widest possible one.
    """

    value: float
    error: float | None
    low: float
    high: float
    n: int
    clusters: int


@dataclass(frozen=True, slots=True)
class Flips:
    """Items whose verdict or answer changed (arXiv 2407.09141), counted over single-sample items.

    `wrong_to_other_wrong`: both wrong, with different extracted answers.
    """

    right_to_wrong: int
    wrong_to_right: int
    wrong_to_other_wrong: int
    n: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """The conclusion at the margin, after Holm's correction over the family it was tested in.

    `as_good`: not worse than the reference by `margin` or more. `needed_n`: items that would probably settle
    an `unresolved` one, None otherwise or if it cannot be told.
    """

    kind: VerdictKind
    needed_n: int | None = None


@dataclass(frozen=True, slots=True)
class Comparison:
    """One candidate against the reference on one benchmark, or on the average of several.

    `difference` is candidate - reference. `tokens` (answer length in tokens) and `truncated` (share of
    answers cut at the limit) are differences too. p-values are before (`p_*`) and after Holm
    (`adjusted_p_*`): `p_difference` two-sided against no difference, `p_non_inferior` one-sided against a
    loss of at least the margin. `p_mcnemar` is the exact test, None unless every item has one right-or-wrong
    answer on both sides. `detectable`: the smallest true difference that this n would show with power 0.8.
    """

    benchmark: str
    candidate: Estimate
    reference: Estimate
    difference: Estimate
    flips: Flips | None
    tokens: Estimate | None
    truncated: Estimate | None
    p_mcnemar: float | None
    p_difference: float | None
    p_non_inferior: float | None
    adjusted_p_difference: float | None
    adjusted_p_non_inferior: float | None
    detectable: float | None
    verdict: Verdict
