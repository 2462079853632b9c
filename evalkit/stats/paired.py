"""One system's accuracy, two systems' difference on the same items, and tests of that difference.

The error is Miller's clustered one (arXiv 2411.00640). The interval is a score interval with Student's t of
clusters - 1 degrees of freedom: Wilson's for an accuracy, Tango's for a difference, both with an effective
number of items (`evalkit.stats.clusters`). `evalkit statistics simulate` shows why: mean ± t·error has no
width where nothing changed, and where changes are rare it calls a loss of the margin harmless far too often.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from evalkit.compare.comparison import Estimate
from evalkit.stats.clusters import (
    Array,
    Clusters,
    Spread,
    clusters_of,
    effective_items,
    effective_pairs,
    spread,
)
from evalkit.stats.limits import difference_limits, proportion_limits
from evalkit.stats.score_test import score_statistic

LEVEL = 0.95


@lru_cache(maxsize=1024)
def quantile(clusters: int, level: float = LEVEL) -> float:
    """Student's two-sided t quantile for that many clusters (at least 2): clusters - 1 degrees of freedom."""
    from scipy.stats import t

    return float(t.ppf((1 + level) / 2, clusters - 1))


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
