"""The simulated judges as one grid, and whether the intervals keep what is promised of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.stats.judged.simulation.cells import Cell, Labels, Setting, cell
from evalkit.stats.simulation.promises import Check

JUDGES = (
    (0.6, 0.6),
    (0.6, 0.98),
    (0.98, 0.6),
    (0.7, 0.9),
    (0.8, 0.8),
    (0.9, 0.9),
    (0.9, 0.98),
    (0.98, 0.98),
)
"""Specificity and sensitivity."""
PAGED_JUDGES = ((0.6, 0.98), (0.7, 0.9), (0.9, 0.9), (0.98, 0.98))
TRUTHS = (0.3, 0.6, 0.9)
LABELLED = (50, 100, 200, 500)
JUDGED = (100, 500, 2000)
PAGED_LABELLED = (100, 200, 400)
COVERAGE = (0.93, 0.97)


@dataclass(frozen=True, slots=True)
class JudgeSimulation:
    """Everything that was simulated, `repeats` data sets for each cell."""

    cells: list[Cell]
    repeats: int

    def checks(self) -> list[Check]:
        """The promises, each over the cells of which it is made, if there are any."""
        single = [found for found in self.cells if not found.setting.paged]
        paged = [found for found in self.cells if found.setting.paged]
        made = []
        for cells, where in ((single, "independent items"), (paged, "pages")):
            corrected = [found.corrected for found in cells if not found.lacks("corrected")]
            powered = [found.powered for found in cells if found.powered and not found.lacks("powered")]
            made.append(self._check(f"corrected score ({where})", corrected))
            made.append(self._check(f"prediction-powered score ({where})", powered))
        return [check for check in made if check is not None]

    def comparisons(self) -> list[tuple[str, Sequence[float]]]:
        """Coverages of what is not used, where the corrected score's is promised."""
        promised = [found for found in self.cells if not found.lacks("corrected")]
        return [
            ("raw judged score", [found.raw for found in promised]),
            ("textbook interval of the corrected score", [found.textbook for found in promised]),
        ]

    def _check(self, title: str, shares: Sequence[float]) -> Check | None:
        if not shares:
            return None
        return Check(title, min(shares), max(shares), COVERAGE, len(shares), self.repeats)


def settings() -> list[Setting]:
    """The grid of independent items."""
    by_labels: tuple[tuple[Labels, tuple[int, ...]], ...] = (("random", JUDGED), ("per class", JUDGED[::2]))
    return [
        Setting(q0, q1, truth, n, m, labels)
        for labels, judged in by_labels
        for q0, q1 in JUDGES
        for truth in TRUTHS
        for n in judged
        for m in LABELLED
    ]


def paged_settings() -> list[Setting]:
    """The grid of pages of four items: a quarter of the items are labelled."""
    by_labels: tuple[Labels, ...] = ("other pages", "same pages")
    return [
        Setting(q0, q1, truth, 3 * m, m, labels)
        for labels in by_labels
        for q0, q1 in PAGED_JUDGES
        for truth in TRUTHS
        for m in PAGED_LABELLED
    ]


def simulate_judges(repeats: int, seed: int, grid: Sequence[Setting]) -> JudgeSimulation:
    """Run the settings. Equal arguments give equal results."""
    rng = np.random.default_rng(seed)
    return JudgeSimulation([cell(rng, repeats, setting) for setting in grid], repeats)
