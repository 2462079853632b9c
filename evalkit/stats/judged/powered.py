"""The prediction-powered estimate: the judge's mean, put right by what it gets wrong on a labelled sample.

θ̂ = λ mean_N f + mean_n (y - λ f): Angelopoulos et al. (arXiv 2301.09633); with λ tuned, PPI++ (arXiv
2311.01453). Their interval is θ̂ ± z √(λ² Var(f) / N + Var(y - λ f) / n). A good judge errs on few of n items
or on none, and then Var(y - f) comes out too small: with fewer than 5 errors to be expected it covers as
little as 77 %. Here each of the two means has a score interval (Wilson's, Tango's), which keeps its width,
and the two add up as by MOVER (Zou & Donner (2008), Stat. Med. 27: 1693-1702).

A tuned λ is fitted to the labelled items, which then scatter too little: their variance is multiplied with
(n - 1) / (n - 3), as for a regression estimate from two samples (Cochran (1977), Sampling Techniques,
ch. 12), and t has a degree of freedom less; n counts clusters. `evalkit statistics judge` shows the coverage.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from evalkit.stats.clusters import Array, Spread, spread
from evalkit.stats.judged.corrected import raw_part
from evalkit.stats.judged.parts import Layout, Part, correlation, pulls, reach
from evalkit.stats.judged.score import Found, JudgedScore, Labelled, places, result, rows
from evalkit.stats.paired import paired_limits, quantile

LEAST_CLUSTERS = 5
"""Of labelled items: with fewer, the spread of what the judge gets wrong is anybody's guess."""


def prediction_powered(
    judged: Sequence[float],
    labelled: Labelled,
    clusters: Sequence[str] | None = None,
    *,
    tuned: bool = True,
) -> JudgedScore:
    """The mean true score of items of which only the judge's score is known.

    The labelled items must be a random sample of the same population: not so many right and so many wrong
    ones, and not the easy ones. Scores may be grades. No judge is unfit for it: a bad one leaves what the
    labels say by themselves.

    Args:
        judged: the judge's scores, each in [0, 1], of the items without a label.
        labelled: items with score and label, each in [0, 1].
        clusters: the cluster of each judged item; None: every item on its own.
        tuned: λ is chosen in [0, 1] for the least variance; else it is 1.

    Raises:
        ValueError: nothing judged or labelled, a score or label outside [0, 1], or lengths differ.
    """
    where = places(judged, clusters, labelled)
    raw = raw_part(rows(judged), where)
    few = where.labelled.count < LEAST_CLUSTERS
    found = nothing(raw) if few else power(raw, rows(labelled.judge), rows(labelled.label), where, tuned)
    return result(raw, found, where, "few_labels" if few else None, "few_labels")


def nothing(raw: Part) -> Found:
    """The results where nothing can be estimated."""
    zero, one = np.zeros_like(raw.mean), np.ones_like(raw.mean)
    return Found(raw.mean, zero, zero, one, zero, zero, one, np.zeros(len(zero), dtype=bool))


def power(raw: Part, verdicts: Array, labels: Array, where: Layout, tuned: bool) -> Found:
    """θ̂ and its limits, one row each, from the raw score and the labelled items (rows × items)."""
    weight = tuning(verdicts, labels, where) if tuned else np.ones_like(raw.mean)
    rest = _rest(labels - weight[:, None] * verdicts, where, tuned)
    value = np.clip(weight * raw.mean + rest.mean, 0.0, 1.0)
    shared = [(0, 1, correlation(raw, rest))]
    centre = weight * raw.mean + rest.mean
    low = centre - reach([weight * (raw.mean - raw.low), rest.mean - rest.low], shared)
    high = centre + reach([weight * (raw.high - raw.mean), rest.high - rest.mean], shared)
    variance = reach([weight * np.sqrt(raw.variance), np.sqrt(rest.variance)], shared) ** 2
    return Found(
        value,
        variance,
        np.clip(low, 0.0, 1.0),
        np.clip(high, 0.0, 1.0),
        weight,
        np.clip(weight * raw.mean + rest.low, 0.0, 1.0),
        np.clip(weight * raw.mean + rest.high, 0.0, 1.0),
        np.ones(len(value), dtype=bool),
    )


def tuning(verdicts: Array, labels: Array, where: Layout) -> Array:
    """λ = Cov(y, f) / ((1 + n/N) Var(f)) in [0, 1], per row: PPI++ (arXiv 2311.01453), for a mean."""
    centred = verdicts - verdicts.mean(axis=1, keepdims=True)
    covariance = (centred * labels).sum(axis=1)
    square = (centred**2).sum(axis=1) * (1 + where.labelled.n / where.judged.n)
    found = np.divide(covariance, square, out=np.zeros_like(covariance), where=square > 0)
    return np.asarray(np.clip(found, 0.0, 1.0))


def _rest(differences: Array, where: Layout, tuned: bool) -> Part:
    """The mean of y - λ f as a part."""
    groups = where.labelled
    found = spread(differences, groups)
    fitted = (groups.count - 1) / (groups.count - 3) if tuned else 1.0
    found = Spread(found.mean, found.variance * fitted, found.squares)
    low, high = paired_limits(found, groups, quantile(groups.count - 1 if tuned else groups.count))
    shared = None
    if not where.apart:
        deviations = (differences - found.mean[:, None]) / groups.n
        shared = pulls(deviations, groups, where.labelled_at, where.count)
    return Part(found.mean, found.variance, low, high, shared)
