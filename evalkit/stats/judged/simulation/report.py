"""The simulated judges as tables."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.table import Table

from evalkit.stats.judged.simulation.cells import (
    CORRELATION,
    FEW_MISTAKES,
    FEW_OF_A_CLASS,
    FEW_ON_FREQUENT,
    FEW_PAGES,
    OFTEN_REFUSED,
    PAGE,
    Cell,
    Labels,
    Setting,
)
from evalkit.stats.judged.simulation.promises import JudgeSimulation

_LEGEND = f"""\
Coverage of 95 % intervals in %: corrected score / prediction-powered score, for every number of labelled
items; beside them what the judge's own score covers, whatever the labels (raw). q0 and q1 are the judge's
specificity and sensitivity, the truth is the share of right answers. Letters: not promised there, because
  c  fewer than {FEW_OF_A_CLASS["corrected"]} labelled items of a class are expected \
({FEW_OF_A_CLASS["powered"]} for prediction-powered), or fewer than {FEW_PAGES} labelled pages
  m  fewer than {FEW_MISTAKES["corrected"]} mistakes of the judge on labelled items are expected, or fewer
     than {FEW_ON_FREQUENT} on the more frequent kind of answers ({FEW_MISTAKES["powered"]} in all for \
prediction-powered): the interval errs on the wide side
  u  in more than {OFTEN_REFUSED:.0%} of the samples sensitivity + specificity is not above 1 beyond chance:
     no score then, and 0 to 1 as its interval"""

_TITLES: dict[Labels, str] = {
    "random": "Labelled items: a random sample of independent items",
    "per class": "Labelled items: half right, half wrong answers (prediction-powered needs a random sample)",
    "other pages": f"Pages of {PAGE} (correlation {CORRELATION}), a quarter of them labelled as a whole",
    "same pages": f"Pages of {PAGE} (correlation {CORRELATION}), one item of every page labelled",
}


def print_judges(found: JudgeSimulation, console: Console) -> bool:
    """Print all tables, and the promises last; returns whether all were kept."""
    _say(console, _LEGEND)
    for labels, cells in groupby(found.cells, key=lambda cell: cell.setting.labels):
        _say(console, f"\n{_TITLES[labels]}; {found.repeats:,} samples each")
        console.print(_table(list(cells)))
    return _print_checks(found, console)


def _table(cells: Sequence[Cell]) -> Table:
    """A row for each judge, truth and number of judged items; or for the first two with pages."""
    numbers = sorted({cell.setting.labelled for cell in cells})
    heads = (f"{number} labelled" for number in numbers)
    table = Table("q0", "q1", "truth", "judged", "raw", *heads, box=None)
    for (q0, q1, truth, judged), group in groupby(cells, key=lambda cell: _row(cell.setting)):
        row = list(group)
        low, high = (100 * end([cell.raw for cell in row]) for end in (min, max))
        raw = f"{low:.1f}" if high - low < 0.05 else f"{low:.1f} to {high:.1f}"
        table.add_row(f"{q0:g}", f"{q1:g}", f"{truth:.0%}", judged, raw, *(_text(cell) for cell in row))
    return table


def _row(setting: Setting) -> tuple[float, float, float, str]:
    judged = "3 × labelled" if setting.paged else f"{setting.judged:,}"
    return setting.specificity, setting.sensitivity, setting.truth, judged


def _text(cell: Cell) -> str:
    corrected = f"{100 * cell.corrected:.1f}{cell.lacks('corrected')}"
    if cell.powered is None:
        return corrected
    return f"{corrected} / {100 * cell.powered:.1f}{cell.lacks('powered')}"


def _print_checks(found: JudgeSimulation, console: Console) -> bool:
    _say(
        console,
        "\nPromises, where no letter stands; beyond a bound by more than 3 simulation errors is broken. "
        "Beside them, without a promise, what is not used",
    )
    table = Table("coverage of the interval", "points", "simulated", "bounds", "", box=None)
    checks = found.checks()
    for check in checks:
        low, high = (f"{100 * bound:.0f}" for bound in check.bounds)
        simulated = f"{100 * check.lowest:.1f} to {100 * check.highest:.1f}"
        kept = "kept" if check.kept else "BROKEN"
        table.add_row(check.title, str(check.points), simulated, f"{low} to {high}", kept)
    for title, shares in found.comparisons():
        if shares:
            simulated = f"{100 * min(shares):.1f} to {100 * max(shares):.1f}"
            table.add_row(title, str(len(shares)), simulated, "", "")
    console.print(table)
    return all(check.kept for check in checks)


def _say(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False)
