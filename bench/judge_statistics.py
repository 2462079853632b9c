"""Do the intervals of judged scores hold the truth? Judges whose errors are known, by simulation.

Simulated judges: how often the intervals hold the true score.

The simulated judges as one grid, and whether the intervals keep what is promised of them.

The simulated judges as tables.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Literal

import numpy as np
from rich.console import Console
from rich.table import Table

from bench.statistics import Check, Design, latent
from evalkit.stats.intervals import Array, Spread, quantile
from evalkit.stats.judged import (
    EstimateRows,
    Layout,
    Mask,
    Part,
    Z,
    class_parts,
    correct,
    layout,
    power,
    raw_part,
)
from evalkit.stats.paired import mean_limits

Labels = Literal["random", "per class", "other pages", "same pages"]
PAGE = 4
"""Items of a page, in the settings with pages."""
CORRELATION = 0.4
_BATCH = 1000  # repeats at a time: bounds the memory

FEW_OF_A_CLASS = {"corrected": 10, "powered": 20}
FEW_MISTAKES = {"corrected": 3, "powered": 5}
FEW_ON_FREQUENT = 2
FEW_PAGES = 20
OFTEN_REFUSED = 0.01


@dataclass(frozen=True, slots=True)
class Setting:
    """A judge, the true score, and the items.

    `specificity` and `sensitivity` are q₀ and q₁, `truth` is the share of right answers, `judged` and
    `labelled` count items. `labels`: the labelled items are a random sample of items on their own (random),
    half right and half wrong ones (per class), whole pages of four (other pages), or every fourth item of
    the judged pages (same pages). Items of a page are right together, and judged leniently or strictly
    together, with correlation 0.4.
    """

    specificity: float
    sensitivity: float
    truth: float
    judged: int
    labelled: int
    labels: Labels

    @property
    def paged(self) -> bool:
        return self.labels in ("other pages", "same pages")

    @property
    def classes(self) -> tuple[float, float]:
        """Independent labelled items with a right and with a wrong answer that are to be expected."""
        right = 0.5 if self.labels == "per class" else self.truth
        items = self.labelled / (1 + (PAGE - 1) * CORRELATION if self.labels == "other pages" else 1)
        return items * right, items * (1 - right)

    @property
    def mistakes(self) -> tuple[float, float]:
        """Independent mistakes of the judge on labelled right and wrong answers that are to be expected."""
        right, wrong = self.classes
        return right * (1 - self.sensitivity), wrong * (1 - self.specificity)


@dataclass(frozen=True, slots=True)
class Cell:
    """Shares of the repeats in which an interval held the truth.

    `raw` is the judge's own score with its interval, `textbook` θ̂ ± 1.96 delta-method errors of independent
    items. `refused`: how often there was no corrected score; its interval is then 0 to 1. `powered` is
    None where the labelled items are no random sample.
    """

    setting: Setting
    corrected: float
    powered: float | None
    raw: float
    textbook: float
    refused: float

    def lacks(self, method: Literal["corrected", "powered"]) -> str:
        """Why nothing is promised of the interval here, as letters (see the report); empty: it is."""
        setting = self.setting
        on_right, on_wrong = setting.mistakes
        on_frequent = on_right if setting.truth > 0.5 else on_wrong
        few_on_frequent = method == "corrected" and on_frequent < FEW_ON_FREQUENT
        few_pages = setting.labels == "other pages" and setting.labelled < FEW_PAGES * PAGE
        lacking = [
            ("c", min(setting.classes) < FEW_OF_A_CLASS[method] or few_pages),
            ("m", on_right + on_wrong < FEW_MISTAKES[method] or few_on_frequent),
            ("u", method == "corrected" and self.refused > OFTEN_REFUSED),
        ]
        return "".join(letter for letter, lacks in lacking if lacks)


def cell(rng: np.random.Generator, repeats: int, setting: Setting) -> Cell:
    """One point of the grid."""
    batches = [_BATCH] * (repeats // _BATCH) + [repeats % _BATCH] * (repeats % _BATCH > 0)
    where = _places(setting)
    held = np.zeros(5)
    for size in batches:
        held += _held(*_draw(rng, size, setting, where), setting, where)
    corrected, powered, raw, textbook, usable = (float(share) for share in held / repeats)
    return Cell(
        setting, corrected, None if setting.labels == "per class" else powered, raw, textbook, 1 - usable
    )


def _held(raw: Part, verdicts: Array, labels: Array, setting: Setting, where: Layout) -> Array:
    """How many rows' intervals hold the truth, in the order of the fields of `Cell`; last the usable rows."""
    yes, no = class_parts(verdicts, labels, where)
    found = correct(raw, yes, no)
    powered = power(raw, verdicts, labels, where, tuned=True)
    held = [_holds(limits, setting.truth) for limits in (found, powered, raw)]
    held += [_textbook(raw.mean, yes.mean, no.mean, labels.sum(axis=1), setting), found.usable]
    return np.array([row.sum() for row in held], dtype=np.float64)


def _holds(found: EstimateRows | Part, truth: float) -> Mask:
    return np.asarray((found.low <= truth) & (truth <= found.high))


def _textbook(raw: Array, yes: Array, no: Array, right: Array, setting: Setting) -> Mask:
    """Wald's interval of θ̂, items independent; a row without one of the classes does not hold the truth."""
    with np.errstate(divide="ignore", invalid="ignore"):
        value = (raw - no) / (yes - no)
        square = raw * (1 - raw) / setting.judged + value**2 * yes * (1 - yes) / right
        square += (1 - value) ** 2 * no * (1 - no) / (setting.labelled - right)
        return np.asarray(np.abs(value - setting.truth) <= Z * np.sqrt(square) / np.abs(yes - no))


def _draw(rng: np.random.Generator, size: int, setting: Setting, where: Layout) -> tuple[Part, Array, Array]:
    """Raw score, and verdicts and labels of the labelled items."""
    if setting.paged:
        design = Design((setting.judged + setting.labelled) // PAGE, str(PAGE), CORRELATION)
        labels = (latent(rng, size, design) < setting.truth).astype(np.float64)
        verdicts = _judge(latent(rng, size, design), labels, setting)
        ours = ~_labelled(setting)
        return raw_part(verdicts[:, ours], where), verdicts[:, ~ours], labels[:, ~ours]
    shape = size, setting.labelled
    if setting.labels == "per class":
        labels = np.broadcast_to((np.arange(setting.labelled) % 2).astype(np.float64), shape)
    else:
        labels = (rng.random(shape) < setting.truth).astype(np.float64)
    said = setting.truth * setting.sensitivity + (1 - setting.truth) * (1 - setting.specificity)
    raw = _counted(rng.binomial(setting.judged, said, size).astype(np.float64), where)
    return raw, _judge(rng.random(shape), labels, setting), labels


def _judge(u: Array, labels: Array, setting: Setting) -> Array:
    return (u < np.where(labels > 0, setting.sensitivity, 1 - setting.specificity)).astype(np.float64)


def _counted(yes: Array, where: Layout) -> Part:
    """As `raw_part`, from the number of yes among independent items."""
    n = where.judged.n
    mean = yes / n
    squares = n * mean * (1 - mean)
    found = Spread(mean, squares / (n - 1) / n, squares)
    return Part(mean, found.variance, *mean_limits(found, where.judged, quantile(n)))


def _labelled(setting: Setting) -> Mask:
    """Which of the items of all pages are labelled."""
    items = np.arange(setting.judged + setting.labelled)
    return np.asarray(items % PAGE == PAGE - 1 if setting.labels == "same pages" else items >= setting.judged)


def _places(setting: Setting) -> Layout:
    items = np.arange(setting.judged + setting.labelled)
    if not setting.paged:
        return layout([str(i) for i in items[: setting.judged]], [str(i) for i in items[setting.judged :]])
    chosen = _labelled(setting)
    pages = items // PAGE
    return layout([str(i) for i in pages[~chosen]], [str(i) for i in pages[chosen]])


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
