"""The sample of a run's answers that a person labels."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from pathlib import Path

from evalkit.judge.ledger import read_ledger
from evalkit.judge.sample import even, proportional, shuffled
from evalkit.judge.subject import Subject


def label_sample(subjects: Mapping[str, Sequence[Subject]], n: int, seed: int, folder: Path) -> list[Subject]:
    """`n` answers in random order: evenly from the benchmarks, within one in proportion to its strata.

    Strata are the default rule's verdict, the judge's where the run in `folder` has judgements, and the kind
    of answer asked for.

    Raises:
        UserError: the run's judgements cannot be read.
    """
    ledger = read_ledger(folder)
    judged = {name: entry.correct for name, entry in ledger.entries.items()} if ledger else {}

    def stratum(subject: Subject) -> Hashable:
        return subject.rule, judged.get(subject.name), subject.kind

    shares = even([len(of_one) for of_one in subjects.values()], n)
    chosen = [
        subject
        for of_one, share in zip(subjects.values(), shares, strict=True)
        for subject in proportional(of_one, share, seed, stratum)
    ]
    return shuffled(chosen, seed)
