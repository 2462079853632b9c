"""A judged score corrected for the judge's sensitivity and specificity, with an interval that carries both.

θ̂ = (p̂ + q₀ - 1) / (q₀ + q₁ - 1): Rogan & Gladen (1978), Am. J. Epidemiol. 107: 71-76; for LLM judges Lee
et al. (arXiv 2511.21140). The usual interval is Wald's, with counts adjusted as by Lang & Reiczigel (2014),
Prev. Vet. Med. 113: 13-22. With a good judge and few labels, often without a mistake, the plain one covers
as little as 61 %, the adjusted one over 99 %.

Here a value θ is in the interval if 0 is in that of p - θ q₁ - (1 - θ)(1 - q₀), whose root it is: Fieller's
theorem with limits in place of variances (MOVER-R: Donner & Zou (2012), Stat. Methods Med. Res. 21: 347-359).
p̂ brings Wilson's limits with its clustered error, the two rates Jeffreys's. Where that bounds nothing,
because q₀ + q₁ may well be 1, there is no estimate. `evalkit statistics judge` shows the coverage.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evalkit.stats.clusters import Array, spread
from evalkit.stats.judged.parts import Layout, Part, correlation, mean_part, rate, reach
from evalkit.stats.judged.score import Found, JudgedScore, Labelled, Mask, Refusal, places, result, rows
from evalkit.stats.paired import mean_limits, quantile

_HALVINGS = 40  # of the scale: to 1e-12


def corrected(
    judged: Sequence[float], labelled: Labelled, clusters: Sequence[str] | None = None
) -> JudgedScore:
    """The share of true answers among items of which only the judge's verdict is known.

    The labelled items of either label must be judged as the judged items of that label are; how many
    there are of each label may be chosen freely (a random sample, or so many right and so many wrong ones).

    Args:
        judged: the judge's verdicts, each 0 or 1.
        labelled: items with verdict and label, each 0 or 1.
        clusters: the cluster of each judged item; None: every item on its own.

    Raises:
        ValueError: nothing judged or labelled, a verdict or label other than 0 and 1, or lengths differ.
    """
    if not {*judged, *labelled.judge, *labelled.label} <= {0, 1}:
        raise ValueError("a corrected score needs verdicts and labels of 0 or 1")
    where = places(judged, clusters, labelled)
    raw = raw_part(rows(judged), where)
    yes, no = class_parts(rows(labelled.judge), rows(labelled.label), where)
    one_class = len(set(labelled.label)) < 2
    unfit: Refusal = "contradictory" if informative(yes, no)[0] else "uninformative"
    return result(raw, correct(raw, yes, no), where, "few_labels" if one_class else None, unfit)


def raw_part(verdicts: Array, where: Layout) -> Part:
    """p̂, the judged score as it is, with the limits that any accuracy has here (rows × judged items)."""
    found = spread(verdicts, where.judged)
    if where.judged.count < 2:
        nothing = np.zeros_like(found.mean)
        return mean_part(verdicts, found, nothing, nothing + 1, where)
    return mean_part(verdicts, found, *mean_limits(found, where.judged, quantile(where.judged.count)), where)


def class_parts(verdicts: Array, labels: Array, where: Layout) -> tuple[Part, Part]:
    """q₁ and 1 - q₀: the share judged right of the right and of the wrong items (rows × labelled items)."""
    return rate(verdicts, labels, where), rate(verdicts, 1 - labels, where)


def informative(yes: Part, no: Part) -> Mask:
    """Whether q₀ + q₁ is above 1 beyond chance: the 95 % interval of q₁ - (1 - q₀) lies above 0."""
    terms = [yes.mean - yes.low, no.high - no.mean]
    return np.asarray(yes.mean - no.mean > reach(terms, [(0, 1, -correlation(yes, no))]))


def correct(raw: Part, yes: Part, no: Part) -> Found:
    """θ̂ and its limits, one row each, from p̂, q₁ and 1 - q₀."""
    gap = yes.mean - no.mean
    fit = informative(yes, no)
    gap = np.where(fit, gap, 1.0)
    root = (raw.mean - no.mean) / gap
    value = np.clip(root, 0.0, 1.0)
    rho = (correlation(raw, yes), correlation(raw, no), correlation(yes, no))
    # Where even the end of the scale nearest to the root is ruled out, nothing in it fits.
    at_end = _beyond(value, raw, yes, no, rho)
    usable = fit & (at_end[0] <= 0) & (at_end[1] >= 0)
    low, high = _limits(value, raw, yes, no, rho)
    fixed = Part(raw.mean, raw.variance, raw.mean, raw.mean)
    labels_low, labels_high = _limits(value, fixed, yes, no, rho)
    low, high = np.where(usable, low, 0.0), np.where(usable, high, 1.0)
    variance = _variance(value, raw, yes, no, rho) / gap**2
    return Found(value, variance, low, high, 1 / gap, labels_low, labels_high, usable)


_Rho = tuple[Array, Array, Array]


def _beyond(theta: Array, raw: Part, yes: Part, no: Part, rho: _Rho) -> tuple[Array, Array]:
    """Limits of p - θ q₁ - (1 - θ)(1 - q₀), which falls as θ grows."""
    value = raw.mean - theta * yes.mean - (1 - theta) * no.mean
    signed = [(0, 1, -rho[0]), (0, 2, -rho[1]), (1, 2, rho[2])]
    down = [raw.mean - raw.low, theta * (yes.high - yes.mean), (1 - theta) * (no.high - no.mean)]
    up = [raw.high - raw.mean, theta * (yes.mean - yes.low), (1 - theta) * (no.mean - no.low)]
    return value - reach(down, signed), value + reach(up, signed)


def _limits(value: Array, raw: Part, yes: Part, no: Part, rho: _Rho) -> tuple[Array, Array]:
    """The ends of the range of θ around `value` in which 0 is between the limits, by bisection."""
    out_low, in_low = np.zeros_like(value), value.copy()
    out_high, in_high = np.ones_like(value), value.copy()
    for _ in range(_HALVINGS):
        low, high = (out_low + in_low) / 2, (out_high + in_high) / 2
        kept_low = _beyond(low, raw, yes, no, rho)[0] <= 0
        kept_high = _beyond(high, raw, yes, no, rho)[1] >= 0
        in_low, out_low = np.where(kept_low, low, in_low), np.where(kept_low, out_low, low)
        in_high, out_high = np.where(kept_high, high, in_high), np.where(kept_high, out_high, high)
    # An end of the scale that is inside is met in the limit only.
    low = np.where(_beyond(np.zeros_like(value), raw, yes, no, rho)[0] <= 0, 0.0, in_low)
    high = np.where(_beyond(np.ones_like(value), raw, yes, no, rho)[1] >= 0, 1.0, in_high)
    return low, high


def _variance(theta: Array, raw: Part, yes: Part, no: Part, rho: _Rho) -> Array:
    """Of p̂ - θ q̂₁ - (1 - θ)(1 - q̂₀), by the delta method."""
    terms = [np.sqrt(raw.variance), theta * np.sqrt(yes.variance), (1 - theta) * np.sqrt(no.variance)]
    return np.square(reach(terms, [(0, 1, -rho[0]), (0, 2, -rho[1]), (1, 2, rho[2])]))
