"""Whether two runs of one file said the same to the letter, and where they first differ.

At temperature 0 a setting that promises the same text (a draft model, more slots, another build) is held to
that here. The texts of a dialogue's turn with the model's own history differ also where an earlier one did.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from evalkit.compare.pairs import PairedBenchmark
from evalkit.run.info import Run
from evalkit.run.schedule import common_prefix
from evalkit.schema import Item

_AROUND = 40  # characters shown from where they differ


@dataclass(frozen=True, slots=True)
class Difference:
    """Where the texts of one example leave each other: after `at` characters; what each goes on with."""

    benchmark: str
    id: str
    turn: int | None
    at: int
    reference: str
    candidate: str


@dataclass(frozen=True, slots=True)
class Texts:
    """Of `answers` pairs of answers, `same` are equal to the letter. `first`: the first that is not."""

    answers: int
    same: int
    first: Difference | None


def texts_of(reference: Run, candidate: Run, pairs: Iterable[PairedBenchmark]) -> Texts | None:
    """The texts of the pairs; None where answers were sampled, and nothing promises the same ones."""
    if any(run.info.generation.temperature != 0 for run in (reference, candidate)):
        return None
    answers = same = 0
    first: Difference | None = None
    for paired in pairs:
        for ours, theirs in paired.pairs:
            for before, after in zip(_texts(theirs), _texts(ours), strict=False):
                answers += 1
                same += before == after
                if before != after and first is None:
                    first = _difference(ours, before, after)
    return Texts(answers, same, first) if answers else None


def _texts(item: Item) -> list[str]:
    return [sample.text or "" for sample in item.samples]


def _difference(item: Item, before: str, after: str) -> Difference:
    at = common_prefix(before, after)
    here, there = before[at : at + _AROUND], after[at : at + _AROUND]
    return Difference(item.benchmark, item.id, item.turn, at, here, there)
