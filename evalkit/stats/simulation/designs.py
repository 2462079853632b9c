"""Simulated benchmarks: pages of questions that are right and wrong, or change, together."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from evalkit.stats.clusters import Array, Clusters, clusters_of

QUESTIONS = ("1", "2", "4", "1-4")
"""Questions per page; "1-4": every fourth page has one, two, three, four."""


@dataclass(frozen=True, slots=True)
class Design:
    """`correlation`: between two questions of a page, of being right (or of changing)."""

    pages: int
    questions: str
    correlation: float

    @property
    def clusters(self) -> Clusters:
        """The items of the pages, in order of page."""
        sizes = 1 + np.arange(self.pages) % 4 if self.questions == "1-4" else int(self.questions)
        return clusters_of(np.repeat(np.arange(self.pages), sizes))

    @property
    def effective(self) -> float:
        """Independent items that the clustered ones are worth, by Kish's design effect 1 + (bunch - 1) ρ."""
        clusters = self.clusters
        return clusters.n / (1 + (clusters.bunch - 1) * self.correlation)


def designs(pages: tuple[int, ...], correlations: tuple[float, ...]) -> list[Design]:
    """The grid; the correlation says nothing with one question per page."""
    return [
        Design(count, questions, correlation)
        for count in pages
        for questions in QUESTIONS
        for correlation in (correlations if questions != "1" else (0.0,))
    ]


def latent(rng: np.random.Generator, repeats: int, design: Design) -> Array:
    """Uniform numbers (repeats × items), equal within a page with a chance that gives the correlation.

    Lunn & Davies (1998), Biometrika 85: 487-490: an item takes its page's number with chance √ρ and its own
    otherwise, so any event of such numbers has correlation ρ within a page.
    """
    clusters = design.clusters
    page = rng.random((repeats, design.pages))
    own = rng.random((repeats, clusters.n))
    if not design.correlation:
        return own
    sizes = np.diff(np.append(clusters.starts, clusters.n))
    shared = rng.random((repeats, clusters.n)) < np.sqrt(design.correlation)
    return np.where(shared, np.repeat(page, sizes, axis=1), own)


def differences(u: Array, discordant: float, difference: float) -> Array:
    """Candidate - reference (-1, 0, 1) of items with these numbers, of that mean and share of changes."""
    loss, gain = (discordant - difference) / 2, (discordant + difference) / 2
    return np.where(u < loss, -1.0, np.where(u >= 1 - gain, 1.0, 0.0))
