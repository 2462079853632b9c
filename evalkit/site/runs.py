"""The runs on the site: the board's measured entries with their records, and how each is called."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from evalkit.leaderboard.board import Board, Measured
from evalkit.records.record import Record, Row


@dataclass(frozen=True, slots=True)
class Run:
    """An entry. `label` tells it apart for readers, `slug` in links; `number` is its place on the board.

    `answers` are its rows by benchmark.
    """

    number: int
    label: str
    slug: str
    measured: Measured
    record: Record
    answers: dict[str, list[Row]]

    @property
    def anchor(self) -> str:
        """Where provenance.html describes it."""
        return f"run-{self.number}"

    @property
    def unfit(self) -> set[str]:
        """The benchmarks of which a judge's scores are withheld."""
        return {
            each.benchmark
            for each in self.measured.judged
            if each.fitness is not None and each.fitness.shown == "withheld"
        }

    def rule(self, benchmark: str) -> str:
        """The rule whose number counts on one benchmark."""
        cell = self.measured.cells.get(benchmark)
        return cell.rule if cell else self.measured.rule

    def rows(self, benchmark: str) -> list[Row]:
        """Its answers on one benchmark."""
        return self.answers.get(benchmark, [])


def runs_of(board: Board, records: Mapping[str, Record]) -> list[Run]:
    """The board's entries in its order. `records` is by the entries' `file`."""
    labels = _distinct(
        board.measured,
        lambda entry: entry.title,
        lambda entry: f"{entry.title} ({entry.protocol}, {entry.data})",
        lambda entry: f"{entry.title} ({entry.run})",
    )
    slugs = _distinct(board.measured, lambda entry: entry.model, lambda entry: f"{entry.model}/{entry.run}")
    return [
        Run(number, label, slug, entry, records[entry.file], _by_benchmark(records[entry.file]))
        for number, (entry, label, slug) in enumerate(zip(board.measured, labels, slugs, strict=True))
    ]


def _by_benchmark(record: Record) -> dict[str, list[Row]]:
    found: dict[str, list[Row]] = defaultdict(list)
    for row in record.rows:
        found[row.benchmark].append(row)
    return dict(found)


def _distinct(entries: Sequence[Measured], *namings: Callable[[Measured], str]) -> list[str]:
    """Each entry by the shortest naming under which nothing else has its name; by the last one if none."""
    found = [""] * len(entries)
    for naming in reversed(namings):
        names = [naming(entry) for entry in entries]
        counts = Counter(names)
        found = [
            name if counts[name] == 1 or not last else last for name, last in zip(names, found, strict=True)
        ]
    return found
