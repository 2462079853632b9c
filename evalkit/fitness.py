"""Whether a file can be chosen at all: the floors below which its answers are nobody's choice.

A file is unfit where more than half of its answers are cut off, so that its accuracy says how long answers
are and hardly anything else; or where its accuracy lies, with the whole of its 95 % interval, below what a
constant answer gets: always the most frequent label, always yes (or no), one letter of those offered. A
number or a free text is never right by a constant answer; there the floor is one right answer in twenty.
The floor of an average is the mean of its benchmarks' floors, as the average is the mean of their
accuracies.

The interval and not the accuracy decides, so that a good file on a handful of questions is not called unfit
by chance: what is not shown is not said.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from evalkit.schema import AVERAGE, Estimate, Item
from evalkit.stats.classification import majority_baseline
from evalkit.text import percent, tenths

MOSTLY_CUT_OFF = 0.5
"""Above this share of answers that were cut off, an accuracy is no longer the model's."""

NO_CONSTANT = 0.05
"""The floor where no constant answer is ever right: a file below it cannot do the task."""


@dataclass(frozen=True, slots=True)
class Unfit:
    """Why a file is no choice. `short` fits a table's cell, `reason` is a clause about "its answers"."""

    kind: Literal["cut_off", "floor"]
    short: str
    reason: str


def constant_answer(items: Iterable[Item]) -> float:
    """The share of these items that the best constant answer gets right, a fraction of 1; 0 for no items.

    Of labels and of yes and no that is the share of the most frequent gold answer, of options one of as many
    as were offered; numbers and free text have none.
    """
    right, n = 0.0, 0
    golds: dict[str, list[str]] = defaultdict(list)
    for item in items:
        n += 1
        if item.gold_kind in ("label", "yes_no"):
            golds[item.gold_kind].append(item.gold)
        elif item.gold_kind == "choice" and item.choices:
            right += 1 / len(item.choices)
    for each in golds.values():
        found = majority_baseline(each)
        right += found[1] * len(each) if found else 0.0
    return right / n if n else 0.0


def floor_of(benchmark: str, constants: Mapping[str, float], parts: Sequence[str]) -> float:
    """The floor of a benchmark's accuracy, or of the average over `parts`, a fraction of 1.

    Args:
        constants: what a constant answer gets, by benchmark; one that is not there has none.
    """
    names = parts if benchmark == AVERAGE and parts else [benchmark]
    return sum(max(NO_CONSTANT, constants.get(name, 0.0)) for name in names) / len(names)


def unfit(cut_off: float | None, accuracy: Estimate | None, floor: float) -> Unfit | None:
    """Why a file is unfit, None if it is not.

    Args:
        cut_off: the share of its answers that were cut off, None where nobody looked.
        accuracy: the one that decides; None where nothing is scored.
        floor: see `floor_of`.
    """
    if cut_off is not None and cut_off > MOSTLY_CUT_OFF:
        share = f"{100 * cut_off:.0f} %"
        return Unfit("cut_off", f"{share} cut off", f"{share} of its answers are cut off")
    if accuracy is None or accuracy.error is None or accuracy.high >= floor:
        return None
    if floor <= NO_CONSTANT:
        why = f"{percent(accuracy)} % of its answers are right, fewer than one in twenty"
        return Unfit("floor", "at the floor", why)
    right = f"{percent(accuracy)} % of its answers are right"
    why = f"{right}, and {tenths(floor)} % would be if it always gave the same"
    return Unfit("floor", "below chance", why)
