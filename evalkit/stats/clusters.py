"""Means of clustered scores, vectorised: one row of scores, or thousands of simulated ones at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

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
    """Mean and error of each row of `scores` (rows × items), as `evalkit.stats.error.standard_error` has it.

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
