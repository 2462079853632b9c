"""Tests of a difference that agree with its interval: p < 5 % where the 95 % interval excludes the null.

An estimate carries its value, error and limits, but not how many independent items it was made from. That is
recovered from the limit that lies farther from zero, where Tango's variance falls with that number; the
statistic is then scaled to be exactly the quantile at the limit between value and null.
"""

from __future__ import annotations

import numpy as np

from evalkit.stats.clusters import Array
from evalkit.stats.limits import difference_variance

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
