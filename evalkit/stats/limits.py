"""Score limits of a proportion and of a difference of paired proportions, vectorised.

Score intervals ask of every candidate value whether the data contradict it, with the variance that *it*
implies. So they keep their width where nothing varied, are lopsided where changes are rare and all in one
direction, and never leave the scale. Clusters enter through an effective number of items, Student's t through
the quantile.
"""

from __future__ import annotations

import numpy as np

from evalkit.stats.clusters import Array

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
