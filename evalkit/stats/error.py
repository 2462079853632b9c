"""How uncertain a mean score is: standard errors and intervals for one system on one benchmark."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from statistics import NormalDist


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
    z = NormalDist().inv_cdf((1 + level) / 2)
    p = k / n
    scale = 1 + z * z / n
    centre = (p + z * z / (2 * n)) / scale
    half = z / scale * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    # At the ends the bound is exactly 0 or 1; rounding must not say otherwise.
    return (0.0 if k == 0 else centre - half), (1.0 if k == n else centre + half)
