"""One system's accuracy, two systems' difference on the same items, and tests of that difference.

The error is Miller's clustered one (arXiv 2411.00640). The interval is a score interval with Student's t of
clusters - 1 degrees of freedom: Wilson's for an accuracy, Tango's for a difference, both with an effective
number of items (`evalkit.stats.intervals`). `python -m bench statistics simulate` shows why: mean ± t·error
has no width where nothing changed, and where changes are rare it calls a loss of the margin harmless far too
often.

Tests agree with the interval: p < 5 % where the 95 % interval excludes the null. An estimate carries its
value, error and limits, but not how many independent items it was made from. That is recovered from the limit
that lies farther from zero, where Tango's variance falls with that number; the statistic is then scaled to be
exactly the quantile at the limit between value and null. A family of tests is adjusted as by Holm before it
becomes verdicts; McNemar's exact test stands beside them. How many items a question needs, and what
difference a sample would show, follow from the same variances.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from statistics import NormalDist

import numpy as np

from evalkit.schema import Estimate, Verdict
from evalkit.stats.intervals import (
    LEVEL,
    Array,
    Clusters,
    Spread,
    clusters_of,
    difference_limits,
    difference_variance,
    effective_items,
    effective_pairs,
    proportion_limits,
    quantile,
    spread,
)


def mean_estimate(scores: Sequence[float], clusters: Sequence[str], level: float = LEVEL) -> Estimate:
    """Accuracy of one system with its interval.

    Args:
        scores: one score in [0, 1] per item (the mean over its samples if it has several).
        clusters: the cluster of each item (page, dialogue), in the same order.

    Returns:
        With fewer than two clusters no error and the interval [0, 1].

    Raises:
        ValueError: no items, or `scores` and `clusters` differ in length.
    """
    groups = _groups(len(scores), clusters)
    found = spread(_row(scores), groups)
    if groups.count < 2:
        return _unknown(found, groups, 0.0, 1.0)
    low, high = mean_limits(found, groups, quantile(groups.count, level))
    return _estimate(found, groups, low, high)


def paired_difference(
    candidate: Sequence[float],
    reference: Sequence[float],
    clusters: Sequence[str],
    *,
    bounded: bool = True,
    level: float = LEVEL,
) -> Estimate:
    """Mean of candidate - reference over the same items, with its interval.

    Args:
        candidate: one score per item.
        reference: one score per item, in the same order.
        clusters: the cluster of each item.
        bounded: scores lie in [0, 1], so that the difference lies in [-1, 1] and a change can only be rare
            or large; the interval has width even if no item changed (with n items in clusters of their own
            and z: ± z² / (n + z²), close to the rule of three). Otherwise (token counts) mean ± t·error,
            which has none if all differences are equal.

    Returns:
        With fewer than two clusters no error and the interval [-1, 1], or [-inf, inf] if unbounded.

    Raises:
        ValueError: no items, or the arguments differ in length.
    """
    if len(candidate) != len(reference):
        raise ValueError(f"{len(candidate)} scores of the candidate but {len(reference)} of the reference")
    groups = _groups(len(candidate), clusters)
    found = spread(_row(candidate) - _row(reference), groups)
    if groups.count < 2:
        bound = 1.0 if bounded else math.inf
        return _unknown(found, groups, -bound, bound)
    factor = quantile(groups.count, level)
    if bounded:
        low, high = paired_limits(found, groups, factor)
    else:
        half = factor * np.sqrt(found.variance)
        low, high = found.mean - half, found.mean + half
    return _estimate(found, groups, low, high)


def mean_limits(found: Spread, clusters: Clusters, factor: float) -> tuple[Array, Array]:
    """Limits of accuracies, one a row; `factor` is the quantile."""
    return proportion_limits(found.mean, effective_items(found, clusters), factor)


def paired_limits(found: Spread, clusters: Clusters, factor: float) -> tuple[Array, Array]:
    """Limits of paired differences of scores in [0, 1], one a row; `factor` is the quantile."""
    return difference_limits(found.mean, found.variance, effective_pairs(found, clusters), factor)


def p_difference(estimate: Estimate) -> float | None:
    """Two-sided p-value of "no difference", from an estimate with a 95 % interval.

    p < 0.05 exactly where the interval excludes 0. None if nothing can be estimated.
    """
    from scipy.stats import t

    if estimate.value == 0 and estimate.error is not None:
        return 1.0
    statistic = _statistic(estimate, 0.0)
    return None if statistic is None else float(2 * t.sf(abs(statistic), estimate.clusters - 1))


def p_non_inferior(estimate: Estimate, margin: float) -> float | None:
    """One-sided p-value of "a loss of `margin` or more", from an estimate with a 95 % interval.

    `margin` is a fraction between 0 and 1. p < 0.025 exactly where the interval lies above -margin. None if
    nothing can be estimated.
    """
    from scipy.stats import t

    statistic = _statistic(estimate, -margin)
    return None if statistic is None else float(t.sf(statistic, estimate.clusters - 1))


def _statistic(estimate: Estimate, null: float) -> float | None:
    if estimate.error is None or estimate.low == estimate.high:
        return None
    fields = np.array([[estimate.value], [estimate.error], [estimate.low], [estimate.high]])
    value, error, low, high = fields
    return float(score_statistic(value, error, low, high, quantile(estimate.clusters), null)[0])


def _row(scores: Sequence[float]) -> Array:
    return np.asarray(scores, dtype=np.float64)[None, :]


def _groups(n: int, clusters: Sequence[str]) -> Clusters:
    if n != len(clusters):
        raise ValueError(f"{n} scores but {len(clusters)} clusters")
    if not n:
        raise ValueError("no items: nothing to estimate")
    return clusters_of(clusters)


def _unknown(found: Spread, groups: Clusters, low: float, high: float) -> Estimate:
    return Estimate(float(found.mean[0]), None, low, high, groups.n, groups.count)


def _estimate(found: Spread, groups: Clusters, low: Array, high: Array) -> Estimate:
    value, error = float(found.mean[0]), math.sqrt(found.variance[0])
    return Estimate(value, error, float(low[0]), float(high[0]), groups.n, groups.count)


_HALVINGS = 60


def score_statistic(
    value: Array, error: Array, low: Array, high: Array, quantile: Array | float, null: Array | float
) -> Array:
    """Tango's statistic (value - null) / √variance(null), for estimates of one number a row.

    `quantile` is the one that `low` and `high` were made with. An interval value ± quantile · error (of an
    unbounded quantity) gives Student's (value - null) / error. 0 where the value is the null.

    The interval must have width on the side of the null.
    """
    # Mirrored so that the difference is a loss: then the lower limit is the one farther from zero.
    sign = np.where(value > 0, -1.0, 1.0)
    loss, at = sign * value, sign * np.asarray(null)
    worst, best = np.where(sign > 0, low, -high), np.where(sign > 0, high, -low)
    variance = error**2
    # A loss of everything leaves no room on its far side.
    anchor = np.where(worst < loss, worst, best)
    wanted = ((loss - anchor) / quantile) ** 2
    effective = _effective(anchor, loss, variance, wanted)
    # No number of pairs gives less than the error itself: the variance does not depend on the null then.
    flat = wanted <= variance * (1 + 1e-6)
    limit = np.where(at < loss, worst, best)
    at_null = np.where(flat, 1.0, difference_variance(at, loss, variance, effective))
    at_limit = np.where(flat, 1.0, difference_variance(limit, loss, variance, effective))
    with np.errstate(divide="ignore", invalid="ignore"):
        scaled = quantile * (loss - at) / np.abs(loss - limit) * np.sqrt(at_limit / at_null)
    return np.where(at == loss, 0.0, sign * scaled)


def _effective(anchor: Array, loss: Array, variance: Array, wanted: Array) -> Array:
    """The number of pairs, between e^-7 and e^28, with which Tango's variance at the anchor is as wanted."""
    few, many = np.full_like(loss, -7.0), np.full_like(loss, 28.0)
    for _ in range(_HALVINGS):
        middle = (few + many) / 2
        larger = difference_variance(anchor, loss, variance, np.exp(middle)) > wanted
        few, many = np.where(larger, middle, few), np.where(larger, many, middle)
    return np.exp(few)


def detectable_difference(estimate: Estimate, power: float = 0.8, level: float = LEVEL) -> float | None:
    """The smallest true difference that this many items would show, two-sided, with that power.

    (t_level + t_power) · error, Student's t with clusters - 1 degrees of freedom. The error is the half
    width of the 95 % interval over its quantile: for all but rare changes the clustered error, and not 0
    where no item changed.

    Returns:
        A fraction of 1, as the estimate. None if nothing can be estimated, or if not even a difference of 1
        would be shown.
    """
    from scipy.stats import t

    if estimate.error is None:
        return None
    error = (estimate.high - estimate.low) / 2 / quantile(estimate.clusters)
    found = (quantile(estimate.clusters, level) + float(t.ppf(power, estimate.clusters - 1))) * error
    return found if found <= 1 else None


def needed_n(
    estimate: Estimate, margin: float, *, power: float = 0.8, alpha: float = 0.05, family: int = 1
) -> int | None:
    """Items that would probably settle a verdict: the fewer of two numbers.

    The true difference d is taken as the one seen, and the spread as if one more cluster had changed:
    σ² = n · error² + n / clusters² (Laplace's rule: what has not happened yet can happen). With that power
    "as good" (one-sided against a loss of `margin`) takes (z_(1-alpha) + z_power)² σ² / (d + margin)² items,
    where d > -margin, and "worse" (two-sided) takes (z_(1-alpha/2) + z_power)² σ² / d², where d < 0. `family`
    is the number of tests under Holm's correction, taken as alpha / family (Bonferroni, its first step).
    At least one item more than now.

    Returns:
        None if nothing can be estimated, or no number would do (no difference at a margin of 0).
    """
    if estimate.error is None:
        return None
    value, normal = estimate.value, NormalDist()
    reach = normal.inv_cdf(power)
    spread = estimate.n * (estimate.error**2 + 1 / estimate.clusters**2)
    needs = []
    if value > -margin:
        one_sided = normal.inv_cdf(1 - alpha / family) + reach
        needs.append(one_sided**2 * spread / (value + margin) ** 2)
    if value < 0:
        two_sided = normal.inv_cdf(1 - alpha / family / 2) + reach
        needs.append(two_sided**2 * spread / value**2)
    return max(math.ceil(min(needs)), estimate.n + 1) if needs else None


def required_items(difference: float, discordant: float, power: float = 0.8, level: float = LEVEL) -> int:
    """Items to plan for, two-sided, if they are independent; times the design effect if they are not.

    Connor (1987), Biometrics 43: 207-211: (z_level √ψ + z_power √(ψ - d²))² / d², with ψ the share of items
    on which the two systems differ, and d the difference in accuracy.

    Raises:
        ValueError: not 0 < |difference| <= discordant <= 1.
    """
    if not 0 < abs(difference) <= discordant <= 1:
        raise ValueError(f"a difference of {difference} cannot come from {discordant} discordant items")
    normal = NormalDist()
    needed = normal.inv_cdf((1 + level) / 2) * math.sqrt(discordant)
    needed += normal.inv_cdf(power) * math.sqrt(discordant - difference**2)
    return math.ceil(needed**2 / difference**2)


def verdict(
    difference: Estimate,
    adjusted_p_difference: float | None,
    adjusted_p_non_inferior: float | None,
    margin: float,
    alpha: float = 0.05,
    *,
    family: int = 1,
) -> Verdict:
    """The first that holds:

    better: a difference is shown, and it is a gain;
    as_good: a loss of the margin or more is ruled out. A loss that is shown but smaller than the margin is
        also this: what counts is whether the candidate can be deployed;
    worse: a difference is shown, and it is a loss (of the margin or more, or possibly so);
    unresolved: neither is shown; with the items that would probably settle it, for `family` tests at once.

    Shown, ruled out: adjusted p < alpha. What could not be tested (None) shows nothing.
    """
    changed = adjusted_p_difference is not None and adjusted_p_difference < alpha
    if changed and difference.value > 0:
        return Verdict("better")
    if adjusted_p_non_inferior is not None and adjusted_p_non_inferior < alpha:
        return Verdict("as_good")
    if changed:
        return Verdict("worse")
    return Verdict("unresolved", needed_n(difference, margin, alpha=alpha, family=family))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's (1979) adjusted p-values: the chance that any is wrongly below alpha is at most alpha.

    Whatever the tests' dependence, as where all members share one reference. A test that could not be made
    (None) stays None and does not count.

    statsmodels' `multipletests` gives the same, and collects garbage at every call: a third of a second, in
    which a sweep that looks after each page asks nothing.
    """
    places = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None for _ in p_values]
    largest = 0.0
    for rank, (p, place) in enumerate(places):
        largest = max(largest, min(1.0, (len(places) - rank) * p))
        adjusted[place] = largest
    return adjusted


def mcnemar_exact(right_to_wrong: int, wrong_to_right: int) -> float:
    """Two-sided p-value of "an item that changed is as likely to change either way": b ~ Bin(b + c, ½).

    It takes items as independent: with clusters it is only a second opinion. 1 where no item changed.

    Raises:
        ValueError: a negative count.
    """
    from scipy.stats import binomtest

    if right_to_wrong < 0 or wrong_to_right < 0:
        raise ValueError(f"counts cannot be negative: {right_to_wrong}, {wrong_to_right}")
    changed = right_to_wrong + wrong_to_right
    return float(binomtest(right_to_wrong, changed).pvalue) if changed else 1.0
