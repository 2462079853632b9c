"""How uncertain a mean score is: standard errors and intervals for one system, on one benchmark or several.

Score intervals ask of every candidate value whether the data contradict it, with the variance that *it*
implies. So they keep their width where nothing varied, are lopsided where changes are rare and all in one
direction, and never leave the scale. Clusters enter through an effective number of items, Student's t through
the quantile. What takes arrays computes one row of scores, or thousands of simulated ones at once.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from evalkit.schema import Estimate


def standard_error(scores: Sequence[float], clusters: Sequence[str] | None = None) -> float | None:
    """Standard error of the mean score, clustered where clusters are given.

    Without clusters: SE_CLT = sqrt(s²/n), s² with n - 1. With clusters, Miller (arXiv 2411.00640):
    SE² = SE_CLT² + n⁻² Σ_c Σ_{i≠j in c} (s_i - s̄)(s_j - s̄), because the questions of one page, or the
    turns of one dialogue, are right and wrong together. With every item its own cluster both agree.

    Args:
        scores: one score per item.
        clusters: the cluster of each item, in the same order.

    Returns:
        The standard error in the unit of the scores. None if nothing can be estimated: fewer than two
        items, or a single cluster (deviations within it sum to zero, so the formula would report
        near-certainty exactly where there is one observation).

    Raises:
        ValueError: `scores` and `clusters` differ in length.
    """
    n = len(scores)
    if clusters is not None and len(clusters) != n:
        raise ValueError(f"{n} scores but {len(clusters)} clusters")
    if n < 2:
        return None
    mean = math.fsum(scores) / n
    deviations = [score - mean for score in scores]
    squares = math.fsum(d * d for d in deviations)
    variance = squares / (n - 1) / n
    if clusters is None:
        return math.sqrt(variance)
    members: dict[str, list[float]] = defaultdict(list)
    for cluster, deviation in zip(clusters, deviations, strict=True):
        members[cluster].append(deviation)
    if len(members) < 2:
        return None
    # Σ_{i≠j} d_i d_j = (Σ d)² - Σ d²; over all clusters the last term is `squares`.
    crossed = math.fsum(math.fsum(ds) ** 2 for ds in members.values()) - squares
    return math.sqrt(max(0.0, variance + crossed / n**2))


@lru_cache(maxsize=4096)
def wilson(k: int, n: int, level: float = 0.95) -> tuple[float, float]:
    """Wilson's score interval for a proportion of `k` out of `n` independent items.

    For proportions near 0 or 1, where mean ± 1.96 SE leaves [0, 1] or has no width.
    Wilson (1927), JASA 22: 209-212. With n = 0: (0, 1), nothing is known.

    Raises:
        ValueError: not 0 <= k <= n, or the level is not between 0 and 1.
    """
    if not 0 <= k <= n:
        raise ValueError(f"{k} of {n} is not a proportion")
    if not 0 < level < 1:
        raise ValueError(f"confidence level {level} is not between 0 and 1")
    if n == 0:
        return 0.0, 1.0
    from scipy.stats import binomtest

    interval = binomtest(k, n).proportion_ci(level, method="wilson")
    return float(interval.low), float(interval.high)


def average_estimate(parts: Sequence[Estimate]) -> Estimate:
    """Mean of independent estimates with 95 % intervals, each benchmark counting the same.

    The limits come from the parts' limits (method of variance estimates recovery: Zou & Donner 2008, Stat.
    Med. 27: 1693-1702): each gap between a value and its limit, over the part's own quantile, is an error on
    that side; they add up in squares. So a part in which nothing varied keeps its uncertainty. The quantile
    has the degrees of freedom of Welch and Satterthwaite, (Σ v)² / Σ (v² / df) over the parts' variances v.

    Returns:
        `n` and `clusters` are sums. If nothing is known of a part: no error, and the mean of the limits.

    Raises:
        ValueError: no parts.
    """
    if not parts:
        raise ValueError("no estimates to average")
    count = len(parts)
    value = math.fsum(part.value for part in parts) / count
    n, clusters = sum(part.n for part in parts), sum(part.clusters for part in parts)
    errors = [part.error for part in parts if part.error is not None]
    if len(errors) < count:
        low = math.fsum(part.low for part in parts) / count
        return Estimate(value, None, low, math.fsum(part.high for part in parts) / count, n, clusters)
    factor = _quantile(parts)
    below = math.hypot(*((part.value - part.low) / quantile(part.clusters) for part in parts)) / count
    above = math.hypot(*((part.high - part.value) / quantile(part.clusters) for part in parts)) / count
    error = math.hypot(*errors) / count
    return Estimate(value, error, value - factor * below, value + factor * above, n, clusters)


def _quantile(parts: Sequence[Estimate]) -> float:
    from scipy.stats import t

    variances = [((part.high - part.low) / 2 / quantile(part.clusters)) ** 2 for part in parts]
    uncertain = math.fsum(v * v / (part.clusters - 1) for v, part in zip(variances, parts, strict=True))
    # Parts without any width (unbounded and constant): any quantile gives none.
    freedom = math.fsum(variances) ** 2 / uncertain if uncertain else 1.0
    return float(t.ppf((1 + LEVEL) / 2, freedom))


Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Clusters:
    """Which of `n` items belong together.

    `order` brings the items of a cluster together, `starts` is where each cluster then begins. `bunch` is
    Σ n_c² / n over the cluster sizes: the design effect if all items of a cluster always agreed.
    """

    order: NDArray[np.intp]
    starts: NDArray[np.intp]
    n: int
    bunch: float

    @property
    def count(self) -> int:
        """The number of clusters."""
        return len(self.starts)


@dataclass(frozen=True, slots=True)
class Spread:
    """Mean, squared clustered error and plain sum of squared deviations, one of each for a row of scores."""

    mean: Array
    variance: Array
    squares: Array


def clusters_of(labels: Sequence[Any] | NDArray[Any]) -> Clusters:
    """The clusters of items with these labels, one label an item."""
    _, codes, sizes = np.unique(np.asarray(labels), return_inverse=True, return_counts=True)
    starts = np.concatenate(([0], np.cumsum(sizes)[:-1]))
    n = len(codes)
    return Clusters(np.argsort(codes, kind="stable"), starts, n, float((sizes**2).sum() / n))


def spread(scores: Array, clusters: Clusters) -> Spread:
    """Mean and error of each row of `scores` (rows × items), as `standard_error` has it.

    Miller (arXiv 2411.00640): SE² = s²/n + n⁻² Σ_c Σ_{i≠j in c} (s_i - s̄)(s_j - s̄), not below 0.

    Returns:
        Arrays of one number a row. With a single item the variance is NaN.
    """
    n = clusters.n
    mean = scores.mean(axis=1)
    deviations = scores - mean[:, None]
    squares = (deviations**2).sum(axis=1)
    sums = np.add.reduceat(deviations[:, clusters.order], clusters.starts, axis=1)
    crossed = (sums**2).sum(axis=1) - squares
    plain = squares / (n - 1) / n if n > 1 else np.full_like(squares, np.nan)
    return Spread(mean, np.maximum(plain + crossed / n**2, 0.0), squares)


def effective_items(found: Spread, clusters: Clusters) -> Array:
    """How many independent items the clustered scores of one system are worth: n over the design effect.

    The design effect is clustered over plain variance, X / Y with X = n² SE² and Y = n mean (1 - mean).
    Where hardly any item is wrong (or right) it is read off next to nothing, and where none is it is 0/0; so
    it is at least what a single imaginary wrong item with all of its cluster gives, bunch / (Y + 1). If all
    items are right this leaves n / bunch, the number of clusters if they are equal: nothing speaks
    against whole pages going wrong at once.
    """
    n = clusters.n
    squares = n * found.mean * (1 - found.mean)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(np.fmin(squares / (n * found.variance), n * (squares + 1) / clusters.bunch))


def effective_pairs(found: Spread, clusters: Clusters) -> Array:
    """How many independent pairs the clustered differences in [-1, 1] are worth: n over the design effect.

    As for `effective_items`, with Y the plain sum of squares and the imaginary changed item always added:
    (X + bunch) / (Y + 1). It decides only how the variance depends on the true difference, not the error.
    """
    # Differences of less than a whole item vary less than changes of 0 and 1 with the same mean could.
    size = np.abs(found.mean)
    squares = np.maximum(found.squares, clusters.n * size * (1 - size))
    return np.asarray(clusters.n * (squares + 1) / (clusters.n**2 * found.variance + clusters.bunch))


_HALVINGS = 60  # of an interval at most 2 wide: to the last bit


def proportion_limits(mean: Array, effective: Array, quantile: Array | float) -> tuple[Array, Array]:
    """Wilson's (1927) interval of a proportion from `effective` items.

    With the effective number of items and Student's t, as surveys do: Korn & Graubard (1998), Survey
    Methodology 24: 193-201; Franco, Little, Louis & Slud (2019), J. Survey Stat. Methodol. 7: 334-364.
    """
    square = np.square(quantile)
    scale = 1 + square / effective
    centre = (mean + square / (2 * effective)) / scale
    half = np.sqrt(square * (mean * (1 - mean) / effective + square / (4 * effective**2))) / scale
    # At the ends the limit is exactly 0 or 1; rounding must not say otherwise.
    low = np.where(mean <= 0, 0.0, np.maximum(centre - half, 0.0))
    return low, np.where(mean >= 1, 1.0, np.minimum(centre + half, 1.0))


def difference_variance(null: Array, value: Array, variance: Array, effective: Array) -> Array:
    """Variance of a difference of paired proportions if its true value were `null`.

    Tango (1998), Stat. Med. 17: 891-908, in rates: with `effective` pairs, a share d of them discordant and
    a difference `value`, the rate q of changes to the worse is the constrained maximum-likelihood estimate,
    and the variance is (2q + null - null²) / effective. d follows from the observed `variance`, since
    (d - value²) / effective must equal it; d is at least |value| and at most 1.
    """
    discordant = np.clip(effective * variance + value**2, np.abs(value), 1.0)
    linear = (2 - value) * null - discordant
    constant = (discordant - value) / 2 * null * (1 - null)
    q = (np.sqrt(np.maximum(linear**2 + 8 * constant, 0.0)) - linear) / 4
    return np.asarray(np.maximum(2 * q + null * (1 - null), 0.0) / effective)


def difference_limits(
    value: Array, variance: Array, effective: Array, quantile: Array | float
) -> tuple[Array, Array]:
    """Tango's (1998) score interval of a difference of paired proportions.

    Every input may be an array of one number a row: the difference in [-1, 1], its (clustered) squared error,
    the effective number of pairs, and the quantile (1.96 for his 95 % interval).
    """
    low = _lower(value, variance, effective, quantile)
    return low, -_lower(-value, variance, effective, quantile)


def _lower(value: Array, variance: Array, effective: Array, quantile: Array | float) -> Array:
    outside, inside = np.full_like(value, -1.0), value.copy()
    for _ in range(_HALVINGS):
        middle = (outside + inside) / 2
        gap = (value - middle) ** 2
        kept = gap <= np.square(quantile) * difference_variance(middle, value, variance, effective)
        inside, outside = np.where(kept, middle, inside), np.where(kept, outside, middle)
    return np.asarray(inside)


LEVEL = 0.95


@lru_cache(maxsize=1024)
def quantile(clusters: int, level: float = LEVEL) -> float:
    """Student's two-sided t quantile for that many clusters (at least 2): clusters - 1 degrees of freedom."""
    from scipy.stats import t

    return float(t.ppf((1 + level) / 2, clusters - 1))
