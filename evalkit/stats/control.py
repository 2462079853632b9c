"""A paired difference from few answers of the candidate, narrowed by what is known of the many others.

The reference has answered N questions and the candidate n of them. Where the two differ, the candidate can
only lose what the reference has right and only win what it has wrong: candidate - reference is correlated
with 1 - 2 · (reference's score), which is known for all N. Times the chance that an answer changes, as
fidelity foretells it (`evalkit.fidelity`), it may be more so. Such a quantity x is a control variate: its
mean over the n says how the draw of the n was off, and

    θ̂ = mean_n (d - λ x) + λ mean_(N - n) x

is unbiased for the mean of d, whatever x is worth: Owen (2013), Monte Carlo theory, methods and examples, ch.
8.9; with the n as labelled and the others as unlabelled items it is the prediction-powered estimate of
Angelopoulos et al. (arXiv 2301.09633) with the λ of least variance of PPI++ (arXiv 2311.01453):

    λ = Cov(d̄, x̄_n - x̄_(N - n)) / Var(x̄_n - x̄_(N - n)),  here from sums over pages, and in [0, 1].

With equal pages the variance falls by the share (1 - n/N) ρ², ρ the correlation of a page's sums: nothing is
won where all is answered, or where x says nothing. λ comes from the same n answers, so the residuals scatter
too little: their variance is multiplied with (G - 1) / (G - 3), G pages, and t has a degree of freedom less
(Cochran (1977), Sampling Techniques, ch. 12). The residuals' limits are Tango's, as of every difference here,
those of the others' mean Student's, and they add up by MOVER. `python -m bench control simulate` prints what
is covered.

The interval is one for an n that was planned. After looks at the differences it claims too much.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from evalkit.schema import Estimate
from evalkit.stats.intervals import Array, Clusters, Spread, clusters_of, quantile, spread
from evalkit.stats.judged import Layout, Part, correlation, layout, pulls, reach, rows
from evalkit.stats.paired import paired_limits

LEAST_PAGES = 10
"""Answered ones, to fit λ to; and others, whose mean is to be known better."""


@dataclass(frozen=True, slots=True)
class Controlled:
    """Estimates of many data sets, one a row; `weight` is λ."""

    value: Array
    variance: Array
    low: Array
    high: Array
    weight: Array


@dataclass(frozen=True, slots=True)
class ControlledDifference:
    """A difference with its interval, λ, and how many items the candidate was not asked.

    `foretold`: whether x had the chances of a change that fidelity foretold.
    """

    difference: Estimate
    weight: float
    others: int
    foretold: bool = False


def controlled_difference(
    gains: Sequence[float],
    known: Sequence[float],
    pages: Sequence[str],
    others: Sequence[float],
    other_pages: Sequence[str],
) -> ControlledDifference | None:
    """Candidate - reference over the answered items, with the control variate.

    Args:
        gains: candidate - reference of each answered item, in [-1, 1].
        known: x of each, in [-1, 1]: large where a gain is to be expected.
        pages: the page of each.
        others: x of the items that the candidate was not asked, of the same population.
        other_pages: theirs; a page may have items of both kinds.

    Returns:
        None with fewer than `LEAST_PAGES` pages of either kind.

    Raises:
        ValueError: lengths differ.
    """
    if len(gains) != len(known) or len(gains) != len(pages) or len(others) != len(other_pages):
        raise ValueError(f"{len(gains)} gains, {len(known)} and {len(others)} known: lengths differ")
    if min(len(set(pages)), len(set(other_pages))) < LEAST_PAGES:
        return None
    where = layout(other_pages, pages)
    found = controlled(rows(gains), rows(known), rows(others), where)
    difference = Estimate(
        float(found.value[0]),
        math.sqrt(found.variance[0]),
        float(found.low[0]),
        float(found.high[0]),
        len(gains),
        where.labelled.count,
    )
    return ControlledDifference(difference, float(found.weight[0]), len(others))


def controlled(gains: Array, known: Array, others: Array, where: Layout) -> Controlled:
    """As `controlled_difference`, of many data sets (rows × items) with the same pages.

    Args:
        where: the answered items are its labelled ones, the others its judged ones.
    """
    answered, count = where.labelled, where.labelled.count
    centre = known.mean(axis=1, keepdims=True)
    known, others = known - centre, others - centre
    rest = _part(others, where.judged, where.judged_at, where)
    weight = _weight(gains, known, rest, where)
    residuals = gains - weight[:, None] * known
    ours = _part(residuals, answered, where.labelled_at, where)
    # λ was fitted to them.
    found = spread(residuals, answered)
    found = Spread(ours.mean, found.variance * (count - 1) / (count - 3), found.squares)
    low, high = paired_limits(found, answered, quantile(count - 1))
    half = weight * (rest.mean - rest.low)
    value, shared = ours.mean + weight * rest.mean, [(0, 1, correlation(ours, rest))]
    errors = [np.sqrt(found.variance), weight * np.sqrt(rest.variance)]
    return Controlled(
        value=np.clip(value, -1.0, 1.0),
        variance=reach(errors, shared) ** 2,
        low=np.clip(value - reach([ours.mean - low, half], shared), -1.0, 1.0),
        high=np.clip(value + reach([high - ours.mean, half], shared), -1.0, 1.0),
        weight=weight,
    )


def _part(values: Array, pages: Clusters, at: NDArray[np.intp], where: Layout) -> Part:
    """The mean of values with Student's limits, and what each page adds to its error."""
    found = spread(values, pages)
    half = quantile(pages.count) * np.sqrt(found.variance)
    pulled = pulls((values - found.mean[:, None]) / pages.n, pages, at, where.count)
    return Part(found.mean, found.variance, found.mean - half, found.mean + half, pulled)


def _weight(gains: Array, known: Array, rest: Part, where: Layout) -> Array:
    """λ, from what each page adds to the errors of d̄ and of x̄_n - x̄_(N - n)."""
    ours, theirs = (
        pulls((each - each.mean(axis=1, keepdims=True)) / where.labelled.n, where.labelled, at, where.count)
        for each, at in ((gains, where.labelled_at), (known, where.labelled_at))
    )
    assert rest.pulls is not None, "_part gives them"
    apart = theirs - rest.pulls
    variance = (apart**2).sum(axis=1)
    covariance = (ours * apart).sum(axis=1)
    found = np.divide(covariance, variance, out=np.zeros_like(covariance), where=variance > 0)
    return np.asarray(np.clip(found, 0.0, 1.0))


def page_correlation(gains: Sequence[float], known: Sequence[float], pages: Sequence[str]) -> float | None:
    """ρ of the sums over pages of deviations from the mean; None where nothing varies.

    1 - ρ² is the least part of the variance that a control variate can leave, with endlessly many others.
    """
    groups = clusters_of(pages)
    if groups.count < 2:
        return None
    both = []
    for each in (gains, known):
        row = np.asarray(each, dtype=np.float64)
        both.append(np.add.reduceat((row - row.mean())[groups.order], groups.starts))
    size = math.sqrt(float((both[0] ** 2).sum() * (both[1] ** 2).sum()))
    return float((both[0] * both[1]).sum()) / size if size > 0 else None
