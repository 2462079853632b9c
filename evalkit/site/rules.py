"""The same outputs under every rule: how much of a score is the rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalkit.compare.comparison import Estimate
from evalkit.report.figure import PARTIAL
from evalkit.site.runs import Run
from evalkit.site.tally import accuracy, items


@dataclass(frozen=True, slots=True)
class Line:
    """One rule. `partial`: it judges so few of the examples that it stands for another population."""

    rule: str
    cells: list[Estimate | None]
    partial: bool


@dataclass(frozen=True, slots=True)
class Part:
    """One benchmark: the runs with scored answers to it, and its rules, the highest accuracy first."""

    title: str
    runs: list[Run]
    lines: list[Line]


def parts(titles: Mapping[str, str], runs: Sequence[Run], main: str) -> list[Part]:
    """The benchmarks that more than one rule can score. `main` is the rule that counts."""
    found = []
    for name, title in titles.items():
        those = [run for run in runs if items(run.rows(name), main)]
        rules = sorted({rule for run in those for row in run.rows(name) for rule in row.verdicts})
        by_rule = {rule: [accuracy(items(run.rows(name), rule)) for run in those] for rule in rules}
        lines = [
            Line(rule, cells, _count(cells) < PARTIAL * _count(by_rule[main]))
            for rule, cells in by_rule.items()
            if any(cells)
        ]
        if len(lines) > 1:
            lines.sort(key=lambda line: (line.partial, -_mean(line.cells), line.rule != main, line.rule))
            found.append(Part(title, those, lines))
    return found


def _count(cells: Sequence[Estimate | None]) -> int:
    return sum(cell.n for cell in cells if cell)


def _mean(cells: Sequence[Estimate | None]) -> float:
    known = [cell.value for cell in cells if cell]
    return sum(known) / len(known)
