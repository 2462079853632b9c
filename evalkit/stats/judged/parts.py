"""The parts that a corrected score is made of, each with its own interval, and how intervals add up.

Everything is vectorised: a row is one data set, so that the simulation runs the very code that reports use.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from evalkit.stats.clusters import Array, Clusters, Spread, clusters_of
from evalkit.stats.paired import LEVEL, quantile

Z = NormalDist().inv_cdf((1 + LEVEL) / 2)


@dataclass(frozen=True, slots=True)
class Part:
    """A mean per row with its squared error and limits.

    `pulls` (rows × clusters) is what each cluster adds to the mean's deviation; None where no two items
    share a cluster, so that parts cannot be correlated.
    """

    mean: Array
    variance: Array
    low: Array
    high: Array
    pulls: Array | None = None


@dataclass(frozen=True, slots=True)
class Layout:
    """The clusters of the judged and of the labelled items; a cluster may hold items of both.

    `judged_at` and `labelled_at` number the clusters of each over all `count` of them.
    """

    judged: Clusters
    labelled: Clusters
    judged_at: NDArray[np.intp]
    labelled_at: NDArray[np.intp]
    count: int

    @property
    def apart(self) -> bool:
        """Whether no two items share a cluster."""
        return self.count == self.judged.n + self.labelled.n


def layout(judged: Sequence[str], labelled: Sequence[str]) -> Layout:
    """The layout of items with these cluster names, one name an item."""
    names, codes = np.unique(np.asarray([*judged, *labelled]), return_inverse=True)
    ours, theirs = codes[: len(judged)], codes[len(judged) :]
    return Layout(clusters_of(ours), clusters_of(theirs), np.unique(ours), np.unique(theirs), len(names))


def pulls(deviations: Array, clusters: Clusters, at: NDArray[np.intp], count: int) -> Array:
    """Deviations (rows × items) summed over each of `count` clusters."""
    summed = np.zeros((len(deviations), count))
    summed[:, at] = np.add.reduceat(deviations[:, clusters.order], clusters.starts, axis=1)
    return summed


def correlation(first: Part, second: Part) -> Array:
    """Of the errors of two parts: through the clusters that they share."""
    if first.pulls is None or second.pulls is None:
        return np.zeros_like(first.mean)
    size = np.sqrt((first.pulls**2).sum(axis=1) * (second.pulls**2).sum(axis=1))
    product = (first.pulls * second.pulls).sum(axis=1)
    return np.asarray(np.divide(product, size, out=np.zeros_like(product), where=size > 0))


def reach(below: Sequence[Array], correlations: Sequence[tuple[int, int, Array]]) -> Array:
    """How far the limit of a sum lies from it, given how far the limits of its signed terms lie from them.

    The square-and-add of MOVER: Zou & Donner (2008), Stat. Med. 27: 1693-1702; with correlated terms Zou
    (2007), Psychol. Methods 12: 399-413. `correlations` are (i, j, correlation of the signed terms).
    """
    square = np.sum([np.square(term) for term in below], axis=0)
    for i, j, rho in correlations:
        square = square + 2 * rho * below[i] * below[j]
    return np.asarray(np.sqrt(np.maximum(square, 0.0)))


def rate(verdicts: Array, member: Array, where: Layout) -> Part:
    """Share of yes among the labelled items of one class, with Jeffreys's interval.

    Jeffreys's and not Wilson's, whose limit for no mistake in n items is 3.8 / n and for a good judge makes
    intervals that cover 99 %: Brown, Cai & DasGupta (2001), Stat. Sci. 16: 101-133. With clusters it uses the
    effective number of items, and z² / t² of it for having few clusters: Korn & Graubard (1998), Survey
    Methodology 24: 193-201.

    Args:
        verdicts: 0 or 1, rows × labelled items.
        member: 1 where the item belongs to the class, else 0; of the same shape.

    Returns:
        Where a row has no item of the class, or its items are in a single one of several clusters, the mean
        is 0.5 or as found, and the limits are 0 and 1.
    """
    n = member.sum(axis=1)
    items = np.maximum(n, 1.0)
    mean = np.where(n > 0, (verdicts * member).sum(axis=1) / items, 0.5)
    deviations = member * (verdicts - mean[:, None]) / items[:, None]
    effective = n if where.labelled.count == where.labelled.n else _effective(deviations, member, mean, where)
    low, high = _jeffreys(mean, effective)
    variance = mean * (1 - mean) / np.maximum(effective, 1.0)
    shared = None if where.apart else pulls(deviations, where.labelled, where.labelled_at, where.count)
    return Part(mean, variance, low, high, shared)


def _effective(deviations: Array, member: Array, mean: Array, where: Layout) -> Array:
    """As `evalkit.stats.clusters.effective_items`, each row having its own items; 0 with a single cluster."""
    groups = where.labelled
    n = np.maximum(member.sum(axis=1), 1.0)
    sizes = np.add.reduceat(member[:, groups.order], groups.starts, axis=1)
    sums = np.add.reduceat(deviations[:, groups.order], groups.starts, axis=1)
    found, squares = (sums**2).sum(axis=1), n * mean * (1 - mean)
    bunch = (sizes**2).sum(axis=1) / n
    with np.errstate(divide="ignore", invalid="ignore"):
        effective = np.fmin(squares / (n * found), n * (squares + 1) / np.maximum(bunch, 1.0))
    counts, back = np.unique((sizes > 0).sum(axis=1), return_inverse=True)
    shrink = np.array([(Z / quantile(int(count))) ** 2 if count > 1 else 0.0 for count in counts])
    return np.asarray(effective * shrink[back])


def _jeffreys(mean: Array, effective: Array) -> tuple[Array, Array]:
    from scipy.special import betaincinv

    tail = (1 - LEVEL) / 2
    yes, no = mean * effective, (1 - mean) * effective
    low = np.where(mean <= 0, 0.0, betaincinv(yes + 0.5, no + 0.5, tail))
    high = np.where(mean >= 1, 1.0, betaincinv(yes + 0.5, no + 0.5, 1 - tail))
    nothing = effective <= 0
    return np.where(nothing, 0.0, low), np.where(nothing, 1.0, high)


def mean_part(scores: Array, found: Spread, low: Array, high: Array, where: Layout) -> Part:
    """The mean of the judged items' scores (rows × items) as a part, given its spread and limits."""
    shared = None
    if not where.apart:
        deviations = (scores - found.mean[:, None]) / where.judged.n
        shared = pulls(deviations, where.judged, where.judged_at, where.count)
    return Part(found.mean, found.variance, low, high, shared)
