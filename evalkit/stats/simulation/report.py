"""The simulations as tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table

from evalkit.stats.simulation.coverage import ENOUGH_PAGES, ENOUGH_VARYING, Cell
from evalkit.stats.simulation.designs import Design
from evalkit.stats.simulation.family import BENCHMARKS, MEMBERS
from evalkit.stats.simulation.power import DISCORDANT
from evalkit.stats.simulation.promises import MARGIN, Check, Simulation

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
    console.print(_grid(found.single, lambda cell: f"{cell.rate:.0%} right", _covered))
    _say(console, f"\nCoverage of the 95 % interval of a paired difference, {found.repeats:,} samples each")
    console.print(_grid(found.paired, _changes, _covered))
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


def _covered(cell: Cell) -> str:
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
        f"\nPower with {DISCORDANT:.0%} of the items changed, one test at 5 %: a loss shown, or one of "
        f"{MARGIN:.0%} ruled out. Planned: as many items as `required` says for power 80 % at that loss",
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
