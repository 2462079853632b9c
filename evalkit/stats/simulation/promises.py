"""The simulations as one, and whether what they find is as promised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from evalkit.stats.simulation.coverage import Cell, paired_cell, single_cell
from evalkit.stats.simulation.designs import designs
from evalkit.stats.simulation.family import Rates, false_as_good, false_worse
from evalkit.stats.simulation.power import Power, powers

PAGES = (20, 50, 150)
CORRELATIONS = (0.0, 0.3, 0.6)
ACCURACIES = (0.5, 0.75, 0.9)
DISCORDANT = (0.02, 0.1, 0.3)
MARGIN = 0.02


@dataclass(frozen=True, slots=True)
class Check:
    """A promise: the lowest and highest simulated share over some points, and the bounds.

    Kept if no share is beyond a bound by more than three simulation errors: √(p (1 - p) / repeats) each, with
    p the bound.
    """

    title: str
    lowest: float
    highest: float
    bounds: tuple[float, float]
    points: int
    repeats: int

    @property
    def kept(self) -> bool:
        """Whether the promise held."""
        low, high = self.bounds
        return self.lowest >= low - self._slack(low) and self.highest <= high + self._slack(high)

    def _slack(self, bound: float) -> float:
        return 3 * math.sqrt(bound * (1 - bound) / self.repeats)


@dataclass(frozen=True, slots=True)
class Simulation:
    """Everything that was simulated. `at_margin` are paired cells whose true loss is exactly the margin."""

    single: list[Cell]
    paired: list[Cell]
    at_margin: list[Cell]
    families: list[Rates]
    powers: list[Power]
    repeats: int

    def checks(self) -> list[Check]:
        """The promises; those on cells over the cells with enough to see, if there are any."""
        coverage = (0.93, 0.97)
        worse = [rate for rate in self.families if rate.kind == "worse"]
        as_good = [rate for rate in self.families if rate.kind == "as good"]
        accepted = [cell.accepted for cell in self.at_margin if cell.enough and cell.accepted is not None]
        planned = [power.shown for power in self.powers if power.planned]
        made = [
            self._check("accuracy: coverage of the interval", _covered(self.single), coverage),
            self._check("difference: coverage of the interval", _covered(self.paired), coverage),
            self._check("one false 'as good' at a loss of the margin, uncorrected", accepted, (0.0, 0.06)),
            *(_family(f"any false 'worse' in a family, Holm ({part})", worse, part) for part in _PARTS),
            *(_family(f"any false 'as good' in a family, Holm ({part})", as_good, part) for part in _PARTS),
            self._check("power of the planned number of items", planned, (0.78, 0.82)),
        ]
        return [check for check in made if check is not None]

    def _check(self, title: str, shares: Sequence[float], bounds: tuple[float, float]) -> Check | None:
        if not shares:
            return None
        return Check(title, min(shares), max(shares), bounds, len(shares), self.repeats)


_PARTS = ("benchmarks", "averages")


def _covered(cells: Sequence[Cell]) -> list[float]:
    return [cell.covered for cell in cells if cell.enough]


def _family(title: str, rates: Sequence[Rates], part: str) -> Check:
    shares = [float(getattr(rate, part)) for rate in rates]
    return Check(title, min(shares), max(shares), (0.0, 0.05), len(shares), rates[0].repeats)


def simulate(repeats: int, seed: int, pages: tuple[int, ...] = PAGES) -> Simulation:
    """Run everything: `repeats` simulated samples for each point, a fifth of them for each family.

    Equal arguments give equal results. About 50 CPU seconds for 10,000 repeats.
    """
    rng = np.random.default_rng(seed)
    grid = designs(pages, CORRELATIONS)
    single = [single_cell(rng, repeats, design, accuracy) for design in grid for accuracy in ACCURACIES]
    paired = [
        paired_cell(rng, repeats, design, discordant, difference, MARGIN)
        for design in grid
        for discordant in DISCORDANT
        for difference in (0.0, -discordant / 2)
    ]
    at_margin = [
        paired_cell(rng, repeats, design, discordant, -MARGIN, MARGIN)
        for design in grid
        for discordant in DISCORDANT
    ]
    few = max(repeats // 5, 1)
    families = [false_worse(rng, few, discordant) for discordant in DISCORDANT]
    families += [false_as_good(rng, few, discordant, MARGIN) for discordant in DISCORDANT]
    return Simulation(single, paired, at_margin, families, powers(rng, repeats, MARGIN), repeats)
