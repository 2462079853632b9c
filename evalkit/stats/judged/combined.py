"""One accuracy from items that the rules decide and items that a judge decides."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from evalkit.compare.comparison import Estimate
from evalkit.stats.clusters import Array, clusters_of, spread
from evalkit.stats.judged.score import JudgedScore
from evalkit.stats.paired import mean_limits, quantile


def combined(
    scores: Sequence[float], by_judge: Sequence[bool], clusters: Sequence[str] | None, judged: JudgedScore
) -> Estimate | None:
    """(points by the rules + θ̂ · items by the judge) / all items, with an interval that carries both.

    A judged item counts θ̂ + slope · (f - mean f), what its verdict f adds to θ̂; the clustered spread of these
    and of the rules' scores is the items' part of the error (pages that are hard for both, and how many
    items the rules leave, are in it). The labelled items' part is that of θ̂, times the share of judged items.
    The limits of both are added as by MOVER (Zou & Donner 2008). If labelled items share clusters with these
    ones, that is not taken into account here.

    Args:
        scores: the rule's score, or the judge's verdict, of each item; in [0, 1].
        by_judge: which of them are the judge's: the very items that `judged` was estimated from.
        clusters: the cluster of each item; None: every item on its own.

    Returns:
        None if there is no estimate of the judged part.

    Raises:
        ValueError: the lengths differ, or the judge's items are not those of `judged`.
    """
    names = [str(i) for i in range(len(scores))] if clusters is None else clusters
    if not len(scores) == len(by_judge) == len(names):
        raise ValueError(f"{len(scores)} scores but {len(by_judge)} deciders and {len(names)} clusters")
    mine = np.asarray(by_judge, dtype=bool)
    verdicts = np.asarray(scores, dtype=np.float64)[mine]
    if len(verdicts) != judged.raw.n or not math.isclose(verdicts.mean(), judged.raw.value, abs_tol=1e-9):
        raise ValueError("the judge's items are not those that its score was estimated from")
    if judged.estimate is None:
        return None
    counted = np.array(scores, dtype=np.float64)
    counted[mine] = judged.estimate.value + judged.slope * (verdicts - judged.raw.value)
    return _with_labels(counted, names, judged, judged.estimate, len(verdicts) / len(counted))


def _with_labels(
    counted: Array, names: Sequence[str], judged: JudgedScore, part: Estimate, share: float
) -> Estimate:
    groups = clusters_of(names)
    found = spread(counted[None, :], groups)
    value = float(np.clip(found.mean[0], 0.0, 1.0))
    if groups.count < 2:
        return Estimate(value, None, 0.0, 1.0, groups.n, groups.count)
    items_low, items_high = (float(limit[0]) for limit in mean_limits(found, groups, quantile(groups.count)))
    low = value - math.hypot(value - items_low, share * (part.value - judged.labels_low))
    high = value + math.hypot(items_high - value, share * (judged.labels_high - part.value))
    labels = max((part.error or 0.0) ** 2 - (judged.slope * (judged.raw.error or 0.0)) ** 2, 0.0)
    error = math.sqrt(float(found.variance[0]) + share**2 * labels)
    return Estimate(value, error, max(low, 0.0), min(high, 1.0), groups.n, groups.count)
