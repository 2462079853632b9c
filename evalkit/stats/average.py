"""The plain mean of estimates over several benchmarks."""

from __future__ import annotations

import math
from collections.abc import Sequence

from evalkit.compare.comparison import Estimate
from evalkit.stats.paired import LEVEL, quantile


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
