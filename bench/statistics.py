"""Do the statistics keep their promises? Coverage, false verdicts and power on simulated benchmarks.

How often intervals hold the true value, and how often a loss of the margin is called harmless.

Simulated benchmarks: pages of questions that are right and wrong, or change, together.

False verdicts in a family of members that share one reference, on several benchmarks, after Holm.

How often a true loss is shown, and a harmless difference called as good.

The simulations as one, and whether what they find is as promised.

The simulations as tables.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np
from rich.console import Console
from rich.table import Table

from evalkit.schema import Estimate, UserError, nearest
from evalkit.stats.intervals import Array, Clusters, Spread, average_estimate, clusters_of, quantile, spread
from evalkit.stats.paired import mean_limits, paired_limits, required_items, score_statistic
from evalkit.text import output_console

ENOUGH_PAGES = 20
ENOUGH_VARYING = 10
_BATCH = 2000  # repeats at a time: bounds the memory


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


QUESTIONS = ("1", "2", "4", "1-4")
"""Questions per page; "1-4": every fourth page has one, two, three, four."""


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


DISCORDANT_SHARES = 0.1
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
        design = Design(required_items(loss, DISCORDANT_SHARES), "1", 0.0)
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
        found = spread(differences(u, DISCORDANT_SHARES, difference), clusters)
        low, high = paired_limits(found, clusters, factor)
        error = np.sqrt(found.variance)
        shown += int((score_statistic(found.mean, error, low, high, factor, 0.0) < -factor).sum())
        as_good += int((score_statistic(found.mean, error, low, high, factor, -margin) > accepted).sum())
    return shown / repeats, as_good / repeats


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


_LEGEND = f"""\
Shares in %. Pages of 1, 2, 4 or 1 to 4 questions; correlation is that of two questions of one page.
In coverage tables: reported interval / mean ± 1.96·unclustered error, which is what ignoring pages would say.
* Not promised: fewer than {ENOUGH_PAGES} pages, or fewer than {ENOUGH_VARYING} independent wrong (right,
  changed) items expected. So few are a small whole number, of which every interval leaves out either none or
  several per cent of the cases; the reported one is made to err on the wide side."""


def print_simulation(found: Simulation, console: Console) -> bool:
    """Print all tables, and the promises last; returns whether all were kept."""
    _say(console, _LEGEND)
    _say(console, f"\nCoverage of the 95 % interval of an accuracy, {found.repeats:,} samples each")
    console.print(_grid(found.single, lambda cell: f"{cell.rate:.0%} right", _coverage_rows))
    _say(console, f"\nCoverage of the 95 % interval of a paired difference, {found.repeats:,} samples each")
    console.print(_grid(found.paired, _changes, _coverage_rows))
    _say(
        console,
        f"\nA true loss of exactly the margin, {MARGIN:.0%}, called as good (one test at 5 %, uncorrected): "
        "reported test / plain t test",
    )
    console.print(_grid(found.at_margin, _changes, _accepted))
    _print_families(found, console)
    _print_powers(found, console)
    return _print_checks(found.checks(), console)


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False)


def _grid(cells: Sequence[Cell], head: Callable[[Cell], str], text: Callable[[Cell], str]) -> Table:
    """A row for each design; the cells of a design stand together."""
    rows = [(design, list(group)) for design, group in groupby(cells, key=lambda cell: cell.design)]
    table = Table("pages", "questions", "correlation", *(head(cell) for cell in rows[0][1]), box=None)
    for design, group in rows:
        marks = (text(cell) + ("" if cell.enough else " *") for cell in group)
        table.add_row(str(design.pages), design.questions, f"{design.correlation:.1f}", *marks)
    return table


def _changes(cell: Cell) -> str:
    return (
        f"{cell.rate:.0%} changed, {100 * cell.truth:+.3g}" if cell.truth else f"{cell.rate:.0%} changed, 0"
    )


def _coverage_rows(cell: Cell) -> str:
    return f"{100 * cell.covered:.1f} / {100 * cell.naive_covered:.1f}"


def _accepted(cell: Cell) -> str:
    return f"{100 * (cell.accepted or 0):.1f} / {100 * (cell.t_accepted or 0):.1f}"


def _print_families(found: Simulation, console: Console) -> None:
    names = ", ".join(_name(design) for design in BENCHMARKS)
    _say(console, f"\nAny false verdict among {MEMBERS} members that share a reference, on {names}")
    table = Table("false", "changed", "samples", "members × benchmarks", "averages", "without Holm", box=None)
    for rates in found.families:
        shares = (f"{100 * share:.1f}" for share in (rates.benchmarks, rates.averages, rates.uncorrected))
        table.add_row(rates.kind, f"{rates.discordant:.0%}", f"{rates.repeats:,}", *shares)
    console.print(table)


def _print_powers(found: Simulation, console: Console) -> None:
    _say(
        console,
        f"\nPower with {DISCORDANT_SHARES:.0%} of the items changed, one test at 5 %: a loss shown, or one "
        f"of {MARGIN:.0%} ruled out. Planned: as many items as `required` says for power 80 % at that loss",
    )
    table = Table("items", "pages", "correlation", "true difference", "loss shown", "as good", "", box=None)
    for power in found.powers:
        design = power.design
        table.add_row(
            f"{design.clusters.n:,}",
            f"{design.pages:,}",
            f"{design.correlation:.1f}",
            f"{100 * power.difference:+.0f}" if power.difference else "0",
            f"{100 * power.shown:.1f}",
            f"{100 * power.as_good:.1f}",
            "planned" if power.planned else "",
        )
    console.print(table)


def _print_checks(checks: Sequence[Check], console: Console) -> bool:
    _say(
        console,
        "\nPromises, where there is enough to see; beyond a bound by more than 3 simulation errors is broken",
    )
    table = Table("promise", "points", "simulated", "bounds", "", box=None)
    for check in checks:
        low, high = (f"{100 * bound:.0f}" for bound in check.bounds)
        simulated = f"{100 * check.lowest:.1f} to {100 * check.highest:.1f}"
        kept = "kept" if check.kept else "BROKEN"
        table.add_row(check.title, str(check.points), simulated, f"{low} to {high}", kept)
    console.print(table)
    return all(check.kept for check in checks)


def _name(design: Design) -> str:
    return f"{design.pages} pages of {design.questions}"


HELP = """
usage: python -m bench statistics simulate [repeats=10000] [seed=0] [clusters=20,50,150]
       python -m bench statistics judge [repeats=4000] [seed=0]

simulate  draw benchmarks whose truth is known, and count: how often the 95 % intervals hold it (promise:
          93 to 97 %), how often a family of 10 members on 5 benchmarks holds a false "worse" or "as good"
          after Holm's correction (5 %), the power; beside them what unclustered errors and plain t tests say
judge     draw judges whose errors are known, and count how often the 95 % intervals of the corrected and of
          the prediction-powered score hold the truth (93 to 97 %); beside them the judge's own score

  repeats=N           samples for each point of the grid, a fifth of it for each family; 10,000 take a minute
                      (of judge: for each point; 4,000 take a minute and a half)
  clusters=N,N,...    numbers of pages; promised from 20 pages and 10 independent changed items on

exit code: 0 done and as promised, 1 a promise broken, 2 wrong request
"""

_SETTINGS = {
    "simulate": {"repeats": "10000", "seed": "0", "clusters": "20,50,150"},
    "judge": {"repeats": "4000", "seed": "0"},
}
_MOST_REPEATS, _MOST_CLUSTERS = 1_000_000, 2_000


def main(arguments: Sequence[str]) -> int:
    kind = arguments[0] if arguments else ""
    if kind not in _SETTINGS:
        raise UserError("statistics: say what to do: python -m bench statistics judge|simulate")
    options = dict(_SETTINGS[kind])
    for argument in arguments[1:]:
        name, given, text = argument.partition("=")
        if name not in options or not given:
            known = ", ".join(f"{key}=..." for key in options)
            raise UserError(
                f"statistics {kind}: no such setting: '{argument}'.{nearest(name, options)} ({known})"
            )
        options[name] = text
    repeats = _whole(options["repeats"], f"{kind}: repeats", 100, _MOST_REPEATS)
    seed = _whole(options["seed"], f"{kind}: seed", 0, 2**32 - 1)
    if kind == "judge":
        return _judge(repeats, seed)
    pages = (_whole(text, "simulate: clusters", 2, _MOST_CLUSTERS) for text in options["clusters"].split(","))
    return 0 if print_simulation(simulate(repeats, seed, tuple(pages)), output_console()) else 1


def _judge(repeats: int, seed: int) -> int:
    from bench.judge_statistics import paged_settings, print_judges, settings, simulate_judges

    found = simulate_judges(repeats, seed, [*settings(), *paged_settings()])
    return 0 if print_judges(found, output_console()) else 1


def _whole(text: str, name: str, least: int, most: int) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 12 and least <= int(text) <= most):
        raise UserError(f"statistics {name}={text}: give a whole number from {least:,} to {most:,}")
    return int(text)
