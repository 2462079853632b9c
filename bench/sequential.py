"""Do verdicts hold when one looks after every page, and what do they take? Simulated, and on kept runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bench.statistics import Design, designs, differences, latent
from evalkit.compare.comparison import compare
from evalkit.compare.pairs import PairedBenchmark
from evalkit.config.options import read_arguments
from evalkit.run.find import find_run
from evalkit.run.runner import read_run
from evalkit.schema import UserError
from evalkit.stats.intervals import Array
from evalkit.stats.paired import required_items
from evalkit.stats.sequential import PageBets, log_capital
from evalkit.sweep.sequential import page_rank
from evalkit.text import output_console, show_lines, show_table

HELP = """
usage: python -m bench sequential simulate [repeats=N]
       python -m bench sequential REFERENCE RUN ... [margin=POINTS] [seed=N]

simulate: benchmarks of pages whose questions change together, with a look after every page: how often a
candidate that is equal is called worse or better, one that loses the margin as good, and how often the
interval leaves the truth at some look before one stops; then the items that a verdict takes, beside those
that a plan for one look takes. Exit code 1 if more than 5 % (and three simulation errors) are false.

With runs: their answers, looked at page by page in the order of a sweep with stop=resolved; how many answers
a verdict would have taken, and what all of them give.

example:
  python -m bench sequential simulate repeats=500
"""

ALPHA = 0.05
MARGIN = 0.02
PAGES = (200, 1000)
CORRELATIONS = (0.0, 0.3, 0.6)
DISCORDANT = (0.05, 0.1, 0.3)
LARGEST = 4
_CHUNK = 100  # repeats at a time: bounds the memory
POWER_DESIGN = Design(4000, "1", 0.0)
POWERS = ((0.3, -0.2), (0.3, -0.1), (0.1, -0.1), (0.1, -0.05), (0.1, 0.0), (0.05, 0.0), (0.02, 0.0))
"""Shares of items that change, and true differences."""


@dataclass(frozen=True, slots=True)
class Looks:
    """One design under one true difference: shares of the repeats.

    ``changed``: "no difference" was refused at some look. ``as_good``: a loss of the margin was.
    ``left``: the interval left the truth at some look.
    """

    design: Design
    discordant: float
    difference: float
    changed: float
    as_good: float
    left: float


def looks(
    rng: np.random.Generator, repeats: int, design: Design, discordant: float, difference: float
) -> Looks:
    """How often bets on the pages of a simulated benchmark ever reach a verdict."""
    refused = np.zeros(3)
    for start in range(0, repeats, _CHUNK):
        sums, sizes = _pages(rng, min(_CHUNK, repeats - start), design, discordant, difference)
        capitals = (
            _both(sums, sizes, 0.0, LARGEST),
            log_capital(sums, sizes, -MARGIN, LARGEST, 1),
            _both(sums, sizes, difference, LARGEST),
        )
        refused += [float((capital.max(axis=1) >= -np.log(ALPHA)).sum()) for capital in capitals]
    return Looks(design, discordant, difference, *(refused / repeats))


def items_to_verdict(
    rng: np.random.Generator, repeats: int, discordant: float, difference: float
) -> tuple[float, float]:
    """The median number of items until a verdict, and the share of repeats with one, of 4,000 items."""
    design, taken = POWER_DESIGN, []
    for start in range(0, repeats, _CHUNK):
        sums, sizes = _pages(rng, min(_CHUNK, repeats - start), design, discordant, difference)
        capital = np.maximum(_both(sums, sizes, 0.0, 1), log_capital(sums, sizes, -MARGIN, 1, 1))
        reached = capital >= -np.log(ALPHA)
        taken.append(np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, design.pages + 1))
    found = np.concatenate(taken)
    return float(np.median(found)), float((found <= design.pages).mean())


def _pages(
    rng: np.random.Generator, repeats: int, design: Design, discordant: float, difference: float
) -> tuple[Array, Array]:
    items = differences(latent(rng, repeats, design), discordant, difference)
    starts = design.clusters.starts
    sums = np.add.reduceat(items, starts, axis=1)
    return sums, np.diff(np.append(starts, design.clusters.n)).astype(np.float64)


def _both(sums: Array, sizes: Array, null: float, largest: int) -> Array:
    two = [log_capital(sums, sizes, null, largest, sign) for sign in (1, -1)]
    return np.asarray(np.logaddexp(*two) - np.log(2))


def main(arguments: Sequence[str]) -> int:
    given = read_arguments("sequential", arguments, {"repeats": "500", "margin": "2", "seed": "0"})
    if given.places == ["simulate"]:
        return _simulate(given.whole("repeats"))
    if len(given.places) < 2:
        raise UserError("sequential: simulate, or a reference's run and at least one other")
    _replay(given.places, given.number("margin", 0, 100) / 100, given.whole("seed"))
    return 0


def _simulate(repeats: int) -> int:
    rng = np.random.default_rng(0)
    grid = [(d, share) for d in designs(PAGES, CORRELATIONS) for share in DISCORDANT]
    equal = [looks(rng, repeats, design, share, 0.0) for design, share in grid]
    losing = [looks(rng, repeats, design, share, -MARGIN) for design, share in grid]
    allowed = ALPHA + 3 * (ALPHA * (1 - ALPHA) / repeats) ** 0.5
    promises = {
        "equal, called worse or better": [each.changed for each in equal],
        "loses the margin, called as good": [each.as_good for each in losing],
        "the interval left the truth": [each.left for each in (*equal, *losing)],
    }
    rows = [
        [what, str(len(shares)), *(f"{100 * share:.1f} %" for share in (np.mean(shares), max(shares)))]
        for what, shares in promises.items()
    ]
    console = output_console()
    show_table(console, "false, with a look after every page", ["what", "designs", "mean", "most"], rows)
    rows = []
    for discordant, difference in POWERS:
        items, share = items_to_verdict(rng, min(repeats, 300), discordant, difference)
        plan = f"{required_items(difference, discordant):,}" if difference else "-"
        median = f"{items:,.0f}" if items <= POWER_DESIGN.pages else "more"
        rows.append([f"{discordant:.2f}", f"{difference:+.2f}", median, f"{100 * share:.0f} %", plan])
    header = ["changes", "difference", "items (median)", "verdict within 4,000", "planned for one look"]
    show_table(console, "what a verdict takes, independent items, margin 2 points", header, rows)
    return int(any(max(shares) > allowed for shares in promises.values()))


def _gains(paired: PairedBenchmark) -> dict[str, list[float]]:
    """By page, candidate - reference of its items."""
    pages: dict[str, list[float]] = {}
    for ours, theirs in paired.pairs:
        mine, their = ours.value(paired.rule), theirs.value(paired.rule)
        if mine is not None and their is not None:
            pages.setdefault(theirs.group, []).append(mine - their)
    return pages


def _replay(places: Iterable[str], margin: float, seed: int) -> None:
    reference, *others = (read_run(find_run(place)) for place in places)
    rows = []
    for other in others:
        found = compare(reference, other, None, margin)
        for paired, fixed in zip(found.pairs, found.comparisons, strict=False):
            pages = _gains(paired)
            bets, verdict = PageBets(max(map(len, pages.values())), margin), "not resolved"
            for page in sorted(pages, key=lambda group: page_rank(seed, paired.benchmark, group)):
                bets.add(sum(pages[page]), len(pages[page]))
                if bets.p_difference < ALPHA or bets.p_non_inferior < ALPHA:
                    verdict = "as good" if bets.p_non_inferior < ALPHA else "worse"
                    verdict = "better" if bets.p_difference < ALPHA and bets.gain > 0 else verdict
                    break
            low, high = bets.limits()
            share = f"{bets.items} of {fixed.difference.n}"
            seen = f"{100 * bets.difference:+.1f} [{100 * low:.1f}, {100 * high:.1f}]"
            rows.append([other.info.model.title, paired.title, verdict, share, seen, fixed.verdict.kind])
    header = ["run", "benchmark", "page by page", "answers", "difference", "all answers"]
    show_table(output_console(), "verdicts page by page, uncorrected", header, rows)
    show_lines(output_console(), ["limits hold however often one looks"])
