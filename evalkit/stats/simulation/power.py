"""How often a true loss is shown, and a harmless difference called as good."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evalkit.stats.clusters import spread
from evalkit.stats.paired import paired_limits, quantile
from evalkit.stats.power import required_items
from evalkit.stats.score_test import score_statistic
from evalkit.stats.simulation.designs import Design, differences, latent

DISCORDANT = 0.1
LOSSES = (0.02, 0.03, 0.05)
"""True losses for which `required_items` is put to the test."""

SAMPLES = (Design(150, "1", 0.0), Design(150, "1-4", 0.3), Design(500, "1-4", 0.3), Design(2000, "1", 0.0))
_DIFFERENCES = (0.0, -0.01, -0.02, -0.05, -0.1)
_CHUNK = 500  # repeats at a time: bounds the memory


@dataclass(frozen=True, slots=True)
class Power:
    """Shares of the repeats in which one uncorrected test at 5 % shows a loss, or rules one out.

    `shown`: no difference is rejected and the difference is a loss. `as_good`: a loss of the margin or more
    is rejected. `planned`: the number of items is `required_items` for this loss and power 0.8.
    """

    design: Design
    difference: float
    shown: float
    as_good: float
    planned: bool = False


def powers(rng: np.random.Generator, repeats: int, margin: float) -> list[Power]:
    """Planned samples at the loss that they were planned for, then typical ones at several differences."""
    found = []
    for loss in LOSSES:
        design = Design(required_items(loss, DISCORDANT), "1", 0.0)
        found.append(Power(design, -loss, *_power(rng, repeats, design, -loss, margin), planned=True))
    for design in SAMPLES:
        for difference in _DIFFERENCES:
            found.append(Power(design, difference, *_power(rng, repeats, design, difference, margin)))
    return found


def _power(
    rng: np.random.Generator, repeats: int, design: Design, difference: float, margin: float
) -> tuple[float, float]:
    from scipy.stats import t

    clusters, factor = design.clusters, quantile(design.pages)
    accepted = float(t.ppf(0.95, design.pages - 1))
    shown = as_good = 0
    for start in range(0, repeats, _CHUNK):
        u = latent(rng, min(_CHUNK, repeats - start), design)
        found = spread(differences(u, DISCORDANT, difference), clusters)
        low, high = paired_limits(found, clusters, factor)
        error = np.sqrt(found.variance)
        shown += int((score_statistic(found.mean, error, low, high, factor, 0.0) < -factor).sum())
        as_good += int((score_statistic(found.mean, error, low, high, factor, -margin) > accepted).sum())
    return shown / repeats, as_good / repeats
