"""How often intervals hold the true value, and how often a loss of the margin is called harmless."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from evalkit.stats.clusters import Array, Clusters, Spread, spread
from evalkit.stats.paired import mean_limits, paired_limits, quantile
from evalkit.stats.score_test import score_statistic
from evalkit.stats.simulation.designs import Design, differences, latent

ENOUGH_PAGES = 20
ENOUGH_VARYING = 10
_BATCH = 2000  # repeats at a time: bounds the memory


@dataclass(frozen=True, slots=True)
class Cell:
    """One point of the grid.

    `rate` is the accuracy, or the share of changed items; `truth` the accuracy, or the difference. `varying`:
    how many independent items of the less frequent outcome (or changed ones) are expected. Coverages are
    shares of the repeats: of the interval that evalkit reports, of mean ± t·clustered error, and of mean ±
    1.96·unclustered error. `accepted`: how often the reported test rules a loss of the margin out, at 5 % and
    before any correction, and `t_accepted` the plain t test; None for accuracies.
    """

    design: Design
    rate: float
    truth: float
    varying: float
    covered: float
    t_covered: float
    naive_covered: float
    accepted: float | None = None
    t_accepted: float | None = None

    @property
    def enough(self) -> bool:
        """Whether there is enough to see for the promises to hold: see `evalkit.commands.statistics`."""
        return self.varying >= ENOUGH_VARYING and self.design.pages >= ENOUGH_PAGES


def single_cell(rng: np.random.Generator, repeats: int, design: Design, accuracy: float) -> Cell:
    """Coverage of one system's accuracy."""
    clusters, factor = design.clusters, quantile(design.pages)
    found = _simulate(rng, repeats, design, lambda u: (u < accuracy).astype(np.float64))
    limits = mean_limits(found, clusters, factor)
    varying = design.effective * min(accuracy, 1 - accuracy)
    return Cell(design, accuracy, accuracy, varying, *_coverages(found, clusters, factor, accuracy, limits))


def paired_cell(
    rng: np.random.Generator,
    repeats: int,
    design: Design,
    discordant: float,
    difference: float,
    margin: float,
) -> Cell:
    """Coverage of a paired difference, and how often a loss of the margin is ruled out.

    The difference's distribution does not depend on the two accuracies, given the discordant share.
    """
    from scipy.stats import t

    clusters, factor = design.clusters, quantile(design.pages)
    found = _simulate(rng, repeats, design, lambda u: differences(u, discordant, difference))
    low, high = paired_limits(found, clusters, factor)
    error = np.sqrt(found.variance)
    statistic = score_statistic(found.mean, error, low, high, factor, -margin)
    needed = float(t.ppf(0.95, design.pages - 1))
    return Cell(
        design,
        discordant,
        difference,
        design.effective * discordant,
        *_coverages(found, clusters, factor, difference, (low, high)),
        accepted=float((statistic > needed).mean()),
        t_accepted=float((found.mean + margin > needed * error).mean()),
    )


def _simulate(
    rng: np.random.Generator, repeats: int, design: Design, scores: Callable[[Array], Array]
) -> Spread:
    clusters = design.clusters
    sizes = [_BATCH] * (repeats // _BATCH) + [repeats % _BATCH] * (repeats % _BATCH > 0)
    parts = [spread(scores(latent(rng, size, design)), clusters) for size in sizes]
    return Spread(
        np.concatenate([part.mean for part in parts]),
        np.concatenate([part.variance for part in parts]),
        np.concatenate([part.squares for part in parts]),
    )


def _coverages(
    found: Spread, clusters: Clusters, factor: float, truth: float, limits: tuple[Array, Array]
) -> tuple[float, float, float]:
    low, high = limits
    off = np.abs(found.mean - truth)
    naive = 1.96 * np.sqrt(found.squares / (clusters.n - 1) / clusters.n)
    return (
        float(((low <= truth) & (truth <= high)).mean()),
        float((off <= factor * np.sqrt(found.variance)).mean()),
        float((off <= naive).mean()),
    )
