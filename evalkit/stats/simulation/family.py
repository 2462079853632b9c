"""False verdicts in a family of members that share one reference, on several benchmarks, after Holm."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from evalkit.compare.comparison import Estimate
from evalkit.stats.average import average_estimate
from evalkit.stats.clusters import Array, spread
from evalkit.stats.paired import paired_limits, quantile
from evalkit.stats.score_test import score_statistic
from evalkit.stats.simulation.designs import Design, latent

MEMBERS = 10
BENCHMARKS = (
    Design(150, "1", 0.0),
    Design(20, "4", 0.3),
    Design(50, "1-4", 0.3),
    Design(50, "4", 0.6),
    Design(150, "2", 0.3),
)
ACCURACY = 0.75
ALPHA = 0.05


@dataclass(frozen=True, slots=True)
class Rates:
    """Shares of the repeats with at least one false verdict at 5 %, of `repeats`.

    Verdicts over members × benchmarks, over the members' averages, and over members × benchmarks without
    Holm's correction. `kind` is "worse" (no difference is true) or "as good" (a loss of the margin is).
    """

    kind: str
    discordant: float
    repeats: int
    benchmarks: float
    averages: float
    uncorrected: float


def false_worse(rng: np.random.Generator, repeats: int, discordant: float) -> Rates:
    """How often any of ten members equal to the reference is called worse."""
    from scipy.stats import t

    cells, averages = _estimates(rng, repeats, discordant, 0.0)

    def p_values(found: Found) -> Array:
        p = 2 * t.sf(np.abs(found.statistic(0.0)), found.clusters - 1)
        return np.where(found.value < 0, p, 1.0)

    return _rates("worse", discordant, p_values(cells), p_values(averages))


def false_as_good(rng: np.random.Generator, repeats: int, discordant: float, margin: float) -> Rates:
    """How often any of ten members that lose exactly the margin is called as good."""
    from scipy.stats import t

    cells, averages = _estimates(rng, repeats, discordant, margin)

    def p_values(found: Found) -> Array:
        return np.asarray(t.sf(found.statistic(-margin), found.clusters - 1))

    return _rates("as good", discordant, p_values(cells), p_values(averages))


@dataclass(frozen=True, slots=True)
class Found:
    """Estimates of many tests, repeats × tests, and the number of clusters of each test."""

    value: Array
    error: Array
    low: Array
    high: Array
    clusters: Array

    def statistic(self, null: float) -> Array:
        """Statistics against `null`, of the same shape."""
        factors = np.array([quantile(int(count)) for count in self.clusters])
        return score_statistic(self.value, self.error, self.low, self.high, factors, null)


def _rates(kind: str, discordant: float, p: Array, averages: Array) -> Rates:
    # Holm rejects something exactly if its first step does: the smallest p times the number of tests.
    def any_rejected(values: Array) -> float:
        return float((values.min(axis=1) * values.shape[1] < ALPHA).mean())

    uncorrected = float((p.min(axis=1) < ALPHA).mean())
    return Rates(kind, discordant, len(p), any_rejected(p), any_rejected(averages), uncorrected)


def _estimates(rng: np.random.Generator, repeats: int, discordant: float, loss: float) -> tuple[Found, Found]:
    """Members × benchmarks, and the members' averages.

    Reference and members flip the same underlying answers, each on its own, so members differ from the
    reference together wherever the reference flipped. Members that lose get some right answers wrong besides.
    """
    # Two independent flips of chance f disagree on 2 f (1 - f) of the items.
    flip = (1 - math.sqrt(1 - 2 * max(discordant - loss, 0.0))) / 2
    right = ACCURACY * (1 - flip) + (1 - ACCURACY) * flip
    cells = []
    for design in BENCHMARKS:
        truth = latent(rng, repeats, design) < ACCURACY
        reference = truth ^ (latent(rng, repeats, design) < flip)
        for _ in range(MEMBERS):
            member = truth ^ (latent(rng, repeats, design) < flip)
            if loss:
                member &= latent(rng, repeats, design) >= loss / right
            cells.append(_found(member.astype(np.float64) - reference, design))
    averages = [_average(cells[member::MEMBERS]) for member in range(MEMBERS)]
    return _join(cells), _join(averages)


def _found(differences: Array, design: Design) -> Found:
    clusters = design.clusters
    found = spread(differences, clusters)
    low, high = paired_limits(found, clusters, quantile(design.pages))
    value, error, low, high = np.array([found.mean, np.sqrt(found.variance), low, high])[:, :, None]
    return Found(value, error, low, high, np.array([design.pages]))


def _average(parts: list[Found]) -> Found:
    """The averages of these benchmarks, by `average_estimate`, repeat by repeat."""
    counts = [int(part.clusters[0]) for part in parts]
    joined = _join(parts)
    rows = []
    for values in np.stack([joined.value, joined.error, joined.low, joined.high], axis=2).tolist():
        mean = average_estimate(
            [
                Estimate(value, error, low, high, count, count)
                for (value, error, low, high), count in zip(values, counts, strict=True)
            ]
        )
        rows.append((mean.value, mean.error or 0.0, mean.low, mean.high))
    columns = np.array(rows).T[:, :, None]
    return Found(columns[0], columns[1], columns[2], columns[3], np.array([sum(counts)]))


def _join(tests: list[Found]) -> Found:
    return Found(
        np.hstack([test.value for test in tests]),
        np.hstack([test.error for test in tests]),
        np.hstack([test.low for test in tests]),
        np.hstack([test.high for test in tests]),
        np.concatenate([test.clusters for test in tests]),
    )
