"""What is estimated from a judge's verdicts, and the labelled items that it takes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from evalkit.compare.comparison import Estimate
from evalkit.stats.clusters import Array
from evalkit.stats.judged.parts import Layout, Part, layout

Mask = NDArray[np.bool_]
Refusal = Literal["few_labels", "uninformative", "contradictory"]


@dataclass(frozen=True, slots=True)
class Labelled:
    """Items with the judge's verdict and the true label, in the same order.

    They must be other items than the judged ones that are to be estimated, from the same population; how
    they are chosen is for the estimator to say. `clusters` names the page or dialogue of each item; a name
    that occurs among the judged items too is the same cluster. Empty: every item on its own.

    Raises:
        ValueError: the lengths differ.
    """

    judge: Sequence[float]
    label: Sequence[float]
    clusters: Sequence[str] = ()

    def __post_init__(self) -> None:
        if len(self.judge) != len(self.label) or len(self.clusters) not in (0, len(self.label)):
            raise ValueError(
                f"{len(self.label)} labels but {len(self.judge)} verdicts and {len(self.clusters)} clusters"
            )


@dataclass(frozen=True, slots=True)
class JudgedScore:
    """The judge's raw score and what it comes to.

    `estimate` is None where the judge cannot be used, and anything from 0 to 1 may be true; `refusal` says
    why: ``few_labels``: no labelled item of one of the classes (corrected), or labelled items of fewer than
    five clusters (prediction-powered); ``uninformative``: sensitivity + specificity is not above 1 beyond
    chance; ``contradictory``: no score in [0, 1] could give this raw one, so the labelled items are not of
    the judged ones' kind. `raw` ignores that the judge errs.

    `slope` is how much the estimate moves with the raw score, `labels_low` and `labels_high` the limits
    that the labelled items alone would give: what `evalkit.stats.judged.combined` needs.
    """

    raw: Estimate
    estimate: Estimate | None
    refusal: Refusal | None
    slope: float
    labels_low: float
    labels_high: float


@dataclass(frozen=True, slots=True)
class Found:
    """An estimator's results, one of each for a row; `usable` is False where the limits are 0 and 1."""

    value: Array
    variance: Array
    low: Array
    high: Array
    slope: Array
    labels_low: Array
    labels_high: Array
    usable: Mask


def rows(scores: Sequence[float]) -> Array:
    """Scores as an array of a single row."""
    return np.asarray(scores, dtype=np.float64)[None, :]


def places(judged: Sequence[float], clusters: Sequence[str] | None, labelled: Labelled) -> Layout:
    """The layout of judged and labelled items.

    Raises:
        ValueError: no judged or no labelled items, scores or labels outside [0, 1], or lengths differ.
    """
    if clusters is not None and len(clusters) != len(judged):
        raise ValueError(f"{len(judged)} verdicts but {len(clusters)} clusters")
    if not len(judged) or not len(labelled.label):
        raise ValueError("no judged or no labelled items: nothing to estimate")
    if not all(0 <= score <= 1 for group in (judged, labelled.judge, labelled.label) for score in group):
        raise ValueError("verdicts and labels lie between 0 and 1")
    # Marked by kind, so that a made-up name meets no given one.
    ours = [f"j{i}" for i in range(len(judged))] if clusters is None else [f"c{name}" for name in clusters]
    theirs = [f"c{name}" for name in labelled.clusters] or [f"l{i}" for i in range(len(labelled.label))]
    return layout(ours, theirs)


def result(raw: Part, found: Found, where: Layout, few: Refusal | None, unfit: Refusal) -> JudgedScore:
    """A row of results as plain data. `few` is the refusal that is known beforehand, if there is one."""
    n, clusters = where.judged.n, where.judged.count
    error = math.sqrt(raw.variance[0]) if clusters > 1 else None
    seen = Estimate(float(raw.mean[0]), error, float(raw.low[0]), float(raw.high[0]), n, clusters)
    if few or not found.usable[0]:
        return JudgedScore(seen, None, few or unfit, 0.0, 0.0, 1.0)
    value = float(found.value[0])
    error = math.sqrt(found.variance[0]) if clusters > 1 else None
    estimate = Estimate(value, error, float(found.low[0]), float(found.high[0]), n, clusters)
    labels = float(found.labels_low[0]), float(found.labels_high[0])
    return JudgedScore(seen, estimate, None, float(found.slope[0]), *labels)
