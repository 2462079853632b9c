"""The site's tables of figures, all runs beside each other: breakdowns, failures, and every rule."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from evalkit.board.board import SiteRun
from evalkit.metrics import PARTIAL, Failures, accuracy, breakdown, failures
from evalkit.schema import DEFAULT, Estimate, Item, Outcome


@dataclass(frozen=True, slots=True)
class BreakdownTable:
    """One facet: per value an accuracy of each run, None where a run has no such example."""

    facet: str
    rows: list[tuple[str, list[Estimate | None]]]


@dataclass(frozen=True, slots=True)
class BreakdownPart:
    """One benchmark and the runs that have scored answers to it. `same`: facets with a single value."""

    title: str
    runs: list[SiteRun]
    tables: list[BreakdownTable]
    same: list[tuple[str, str]]


def breakdown_parts(titles: Mapping[str, str], runs: Sequence[SiteRun]) -> list[BreakdownPart]:
    """The benchmarks with facets."""
    found = []
    for name, title in titles.items():
        scored = {run.number: _scored(run, name) for run in runs}
        those = [run for run in runs if scored[run.number]]
        part = _breakdown_part(title, those, {run.number: run.rule(name) for run in those}, scored)
        if part.tables or part.same:
            found.append(part)
    return found


def _scored(run: SiteRun, benchmark: str) -> list[Item]:
    rule = run.rule(benchmark)
    return [item for item in run.items(benchmark) if item.value(rule) is not None]


def _breakdown_part(
    title: str, runs: list[SiteRun], rules: Mapping[int, str], scored: Mapping[int, Sequence[Item]]
) -> BreakdownPart:
    facets = dict.fromkeys(facet for run in runs for item in scored[run.number] for facet in item.facets)
    tables: list[BreakdownTable] = []
    same: list[tuple[str, str]] = []
    for facet in facets:
        columns = [_by_value(scored[run.number], rules[run.number], facet) for run in runs]
        values = dict.fromkeys(value for column in columns for value in column)
        if len(values) == 1:
            same.append((_words(facet), _words(next(iter(values)))))
        elif values:
            order = sorted(values, key=_order)
            rows = [(_words(value), [column.get(value) for column in columns]) for value in order]
            tables.append(BreakdownTable(_words(facet), rows))
    return BreakdownPart(title, runs, tables, same)


def _by_value(items: Sequence[Item], rule: str, facet: str) -> dict[object, Estimate]:
    """The accuracy of every value of a facet, or of the only one; nothing if there are too many."""
    having = [item for item in items if facet in item.facets]
    values = {_hashable(item.facets[facet]) for item in having}
    everything = accuracy(having, rule)
    if len(values) == 1 and everything is not None:
        return {values.pop(): everything}
    return dict(breakdown(having, rule, facet))


def _hashable(value: object) -> object:
    return value if isinstance(value, int | float | str) else str(value)


def _order(value: object) -> tuple[bool, float, str]:
    """Numbers by size, then anything else by its text."""
    if isinstance(value, int | float):
        return False, float(value), ""
    return True, 0.0, str(value)


def _words(value: object) -> str:
    return str(value).replace("_", " ")


@dataclass(frozen=True, slots=True)
class FailuresPart:
    """How the runs fail on one benchmark; `kinds` are those that occur, in the taxonomy's order."""

    title: str
    kinds: list[str]
    lines: list[tuple[SiteRun, Failures]]


def failures_parts(titles: Mapping[str, str], runs: Sequence[SiteRun]) -> list[FailuresPart]:
    """The benchmarks that any run has answered."""
    found = []
    for name, title in titles.items():
        lines = [(run, failures(items, run.rule(name))) for run in runs if (items := run.items(name))]
        if lines:
            kinds = [kind for kind in get_args(Outcome) if any(kind in of.outcomes for _, of in lines)]
            found.append(FailuresPart(title, kinds, lines))
    return found


@dataclass(frozen=True, slots=True)
class RulesLine:
    """One rule. `partial`: it judges so few of the examples that it stands for another population."""

    rule: str
    cells: list[Estimate | None]
    partial: bool


@dataclass(frozen=True, slots=True)
class RulesPart:
    """One benchmark: the runs with scored answers to it, and its rules, the highest accuracy first.

    `main` is the rule that counts there.
    """

    title: str
    main: str
    runs: list[SiteRun]
    lines: list[RulesLine]


def rules_parts(titles: Mapping[str, str], runs: Sequence[SiteRun]) -> list[RulesPart]:
    """The benchmarks that more than one rule can score."""
    found = []
    for name, title in titles.items():
        main = _main(name, runs)
        those = [run for run in runs if accuracy(run.items(name), main) is not None]
        rules = sorted({rule for run in those for rule in _rules(run.items(name))})
        by_rule = {rule: [accuracy(run.items(name), rule) for run in those] for rule in rules}
        lines = [
            RulesLine(rule, cells, _count(cells) < PARTIAL * _count(by_rule[main]))
            for rule, cells in by_rule.items()
            if any(cells)
        ]
        if len(lines) > 1:
            lines.sort(key=lambda line: (line.partial, -_mean(line.cells), line.rule != main, line.rule))
            found.append(RulesPart(title, main, those, lines))
    return found


def _main(benchmark: str, runs: Sequence[SiteRun]) -> str:
    """The rule that counts there for the first run."""
    return next((info.rule for run in runs if (info := run.run.info.benchmarks.get(benchmark))), DEFAULT)


def _rules(items: Sequence[Item]) -> set[str]:
    return {rule for item in items for sample in item.samples for rule in sample.scores}


def _count(cells: Sequence[Estimate | None]) -> int:
    return sum(cell.n for cell in cells if cell)


def _mean(cells: Sequence[Estimate | None]) -> float:
    known = [cell.value for cell in cells if cell]
    return sum(known) / len(known)
