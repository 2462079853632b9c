"""Do verdicts hold when one looks after every page, and what do they take? Simulated, and on kept runs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from bench.control import benchmarks
from bench.statistics import Design, designs
from evalkit.compare.comparison import compare
from evalkit.compare.needed import sizes_of
from evalkit.compare.pairs import PairedBenchmark
from evalkit.config.options import read_arguments
from evalkit.run.find import find_run
from evalkit.run.runner import read_run
from evalkit.schema import UserError
from evalkit.stats.intervals import Array
from evalkit.stats.paired import (
    p_difference,
    p_non_inferior,
    paired_difference,
    required_items,
    verdict,
)
from evalkit.stats.sequential import PageBets, log_capital
from evalkit.sweep.sequential import page_rank
from evalkit.text import output_console, show_lines, show_table

HELP = """
usage: python -m bench sequential simulate [repeats=N]
       python -m bench sequential REFERENCE RUN ... [margin=POINTS] [seed=N] [drawn=N]

simulate: benchmarks of pages whose questions change together, with a look after every page: how often a
candidate that is equal is called worse or better, one that loses the margin as good, and how often the
interval leaves the truth at some look before one stops; then the items that a verdict takes, beside those
that a plan for one look takes. Exit code 1 if more than 5 % (and three simulation errors) are false.

With runs: their answers, looked at page by page in the order of a sweep with stop=resolved; how many answers
a verdict would have taken, and what all of them give. With drawn=N also on N benchmarks of the real size,
made of the kept pages drawn again: where a plan for all answers has a verdict, how often looks page by page
have the same one, none, or another, and after what share of the answers.

example:
  python -m bench sequential simulate repeats=500
"""

_DEFAULTS = {"repeats": "500", "margin": "2", "seed": "0", "drawn": "0"}
ALPHA = 0.05
MARGIN = 0.02
PAGES = (200, 1000)
CORRELATIONS = (0.0, 0.3, 0.6)
DISCORDANT = (0.05, 0.1, 0.3)
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
        pages = _pages(rng, min(_CHUNK, repeats - start), design, discordant, difference)
        capitals = (_both(*pages, 0.0), log_capital(*pages, -MARGIN, 1), _both(*pages, difference))
        refused += [float((capital.max(axis=1) >= -np.log(ALPHA)).sum()) for capital in capitals]
    return Looks(design, discordant, difference, *(refused / repeats))


def items_to_verdict(
    rng: np.random.Generator, repeats: int, discordant: float, difference: float
) -> tuple[float, float]:
    """The median number of items until a verdict, and the share of repeats with one, of 4,000 items."""
    design, taken = POWER_DESIGN, []
    for start in range(0, repeats, _CHUNK):
        pages = _pages(rng, min(_CHUNK, repeats - start), design, discordant, difference)
        capital = np.maximum(_both(*pages, 0.0), log_capital(*pages, -MARGIN, 1))
        reached = capital >= -np.log(ALPHA)
        taken.append(np.where(reached.any(axis=1), reached.argmax(axis=1) + 1, design.pages + 1))
    found = np.concatenate(taken)
    return float(np.median(found)), float((found <= design.pages).mean())


def _pages(
    rng: np.random.Generator, repeats: int, design: Design, discordant: float, difference: float
) -> tuple[Array, Array, Array]:
    """Sums of candidate - reference, and what the reference has right and wrong; repeats × pages."""
    made, starts = benchmarks(rng, repeats, design, discordant, difference), design.clusters.starts
    gains, right, wrong = (
        np.add.reduceat(each, starts, axis=1) for each in (made.gains, made.scores, 1 - made.scores)
    )
    return gains, right, wrong


def _both(sums: Array, right: Array, wrong: Array, null: float) -> Array:
    two = [log_capital(sums, right, wrong, null, sign) for sign in (1, -1)]
    return np.asarray(np.logaddexp(*two) - np.log(2))


def main(arguments: Sequence[str]) -> int:
    given = read_arguments("sequential", arguments, _DEFAULTS)
    if given.places == ["simulate"]:
        return _simulate(given.whole("repeats"))
    if len(given.places) < 2:
        raise UserError("sequential: simulate, or a reference's run and at least one other")
    margin, seed = given.number("margin", 0, 100) / 100, given.whole("seed", least=0)
    _replay(given.places, margin, seed, given.whole("drawn", least=0))
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


@dataclass(frozen=True, slots=True)
class Pages:
    """A benchmark's pages by name: candidate - reference of their items, and the reference's scores."""

    gains: dict[str, list[float]]
    scores: dict[str, list[float]]

    def sums(self, names: Sequence[str]) -> tuple[Array, Array, Array]:
        """Of these pages: gains, and what the reference has right and wrong."""
        gains = np.array([sum(self.gains[name]) for name in names])
        right = np.array([sum(self.scores[name]) for name in names])
        return gains, right, np.array([len(self.scores[name]) for name in names]) - right


def _pages_of(paired: PairedBenchmark) -> Pages:
    found = Pages({}, {})
    for ours, theirs in paired.pairs:
        mine, score = ours.value(paired.rule), theirs.value(paired.rule)
        if mine is not None and score is not None:
            found.gains.setdefault(theirs.group, []).append(mine - score)
            found.scores.setdefault(theirs.group, []).append(score)
    return found


def _replay(places: Iterable[str], margin: float, seed: int, drawn: int) -> None:
    reference, *others = (read_run(find_run(place)) for place in places)
    rows, again, sizes = [], [], sizes_of(reference)
    rng = np.random.default_rng(seed)
    for other in others:
        found = compare(reference, other, None, margin)
        for paired, fixed in zip(found.pairs, found.comparisons, strict=False):
            pages, title = _pages_of(paired), [other.info.model.title, paired.title]
            rows.append([*title, *_replayed(pages, paired.benchmark, margin, seed), fixed.verdict.kind])
            if drawn and len(pages.gains) > 1:
                again.append([*title, *_drawn(rng, pages, drawn, sizes.get(paired.benchmark), margin)])
    header = ["run", "benchmark", "page by page", "answers", "difference", "all answers"]
    console = output_console()
    show_table(console, "verdicts page by page, uncorrected", header, rows)
    show_lines(console, ["limits hold however often one looks"])
    if again:
        header = ["run", "benchmark", "pages", "questions", "all answers", "the same page by page"]
        header += ["none", "another", "answers (median)"]
        show_table(console, f"pages drawn again, {drawn} benchmarks of the real size each", header, again)


def _replayed(pages: Pages, benchmark: str, margin: float, seed: int) -> list[str]:
    names = sorted(pages.gains, key=lambda group: page_rank(seed, benchmark, group))
    gains, right, wrong = pages.sums(names)
    bets, verdict = PageBets(right.tolist(), wrong.tolist(), margin), "not resolved"
    for name, gain in zip(names, gains.tolist(), strict=True):
        bets.add(gain, len(pages.gains[name]))
        if bets.p_difference < ALPHA or bets.p_non_inferior < ALPHA:
            verdict = "as good" if bets.p_non_inferior < ALPHA else "worse"
            verdict = "better" if bets.p_difference < ALPHA and bets.gain > 0 else verdict
            break
    low, high = bets.limits()
    seen = f"{100 * bets.difference:+.1f} [{100 * low:.1f}, {100 * high:.1f}]"
    return [verdict, f"{bets.items} of {sum(map(len, pages.gains.values()))}", seen]


def _drawn(
    rng: np.random.Generator, pages: Pages, repeats: int, size: int | None, margin: float
) -> list[str]:
    """Benchmarks as large as the real one, of the kept pages drawn again: do looks take less?"""
    names, items = list(pages.gains), sum(map(len, pages.gains.values()))
    count = round((size or items) * len(names) / items)
    sums = np.array(pages.sums(names))
    planned, taken = dict[str, int](), list[float]()
    kinds = {"the same": 0, "none": 0, "another": 0}
    for _ in range(repeats):
        chosen = rng.integers(0, len(names), count)
        fixed = _planned([pages.gains[names[at]] for at in chosen], margin)
        planned[fixed] = planned.get(fixed, 0) + 1
        found, at = _stopped(sums[:, chosen], margin)
        sizes = (sums[1] + sums[2])[chosen]
        if fixed != "unresolved":
            same = (found == "worse") == (fixed == "worse")  # what is better is as good before it is better
            kinds["none" if found == "unresolved" else "the same" if same else "another"] += 1
            taken.append(float(sizes[:at].sum() / sizes.sum()))
    return [
        str(len(names)),
        f"{round(count * items / len(names)):,}",
        ", ".join(f"{kind} {number}" for kind, number in sorted(planned.items())),
        *(str(number) for number in kinds.values()),
        f"{100 * np.median(taken):.0f} %" if taken else "-",
    ]


def _planned(gains: Sequence[Sequence[float]], margin: float) -> str:
    flat = [gain for page in gains for gain in page]
    names = [str(number) for number, page in enumerate(gains) for _ in page]
    found = paired_difference(flat, [0.0] * len(flat), names)
    return verdict(found, p_difference(found), p_non_inferior(found, margin), margin).kind


def _stopped(sums: Array, margin: float) -> tuple[str, int]:
    """The verdict of bets on pages in this order, and after how many of them; all without one."""
    gains, right, wrong = (each[None] for each in sums)
    differ, as_good = _both(gains, right, wrong, 0.0)[0], log_capital(gains, right, wrong, -margin, 1)[0]
    reached = np.flatnonzero(np.maximum(differ, as_good) >= -np.log(ALPHA))
    if not len(reached):
        return "unresolved", sums.shape[1]
    at = int(reached[0])
    if differ[at] >= -np.log(ALPHA) and sums[0, : at + 1].sum() > 0:
        return "better", at + 1
    return ("as_good" if as_good[at] >= -np.log(ALPHA) else "worse"), at + 1
