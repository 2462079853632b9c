"""Simulated judges: how often the intervals hold the true score."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from evalkit.stats.clusters import Array, Spread
from evalkit.stats.judged.corrected import class_parts, correct, raw_part
from evalkit.stats.judged.parts import Layout, Part, Z, layout
from evalkit.stats.judged.powered import power
from evalkit.stats.judged.score import Found, Mask
from evalkit.stats.paired import mean_limits, quantile
from evalkit.stats.simulation.designs import Design, latent

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


def _holds(found: Found | Part, truth: float) -> Mask:
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
