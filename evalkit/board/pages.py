"""Why files score what they score, all runs beside each other: failures, kinds of question, rules."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

from evalkit.board.board import SiteRun
from evalkit.metrics import PARTIAL, Failures, accuracy, breakdown, failures
from evalkit.schema import DEFAULT, Estimate, Item, Outcome
from evalkit.stats.paired import paired_difference

LEAST = 10
"""Examples that a row must have: fewer say nothing of a kind of question."""


@dataclass(frozen=True, slots=True)
class Cell:
    """An accuracy, and its paired difference to the reference over the same examples, if there is one."""

    estimate: Estimate
    difference: Estimate | None

    @property
    def told(self) -> str:
        """`better` or `worse` where the difference's interval excludes 0, else nothing."""
        if self.difference is None or self.difference.error is None:
            return ""
        return "better" if self.difference.low > 0 else "worse" if self.difference.high < 0 else ""


@dataclass(frozen=True, slots=True)
class BreakdownTable:
    """One facet: per value a cell of each run, None where a run has too few such examples.

    `left_out` counts values with fewer than ten examples in every run. `name` is the facet as data calls it;
    rows are (value as data has it, in words, cells).
    """

    name: str
    facet: str
    rows: list[tuple[str, str, list[Cell | None]]]
    left_out: int


@dataclass(frozen=True, slots=True)
class BreakdownPart:
    """One benchmark and the runs that have scored answers to it. `same`: facets with a single value."""

    name: str
    title: str
    runs: list[SiteRun]
    tables: list[BreakdownTable]
    same: list[tuple[str, str]]


def breakdown_parts(
    titles: Mapping[str, str], runs: Sequence[SiteRun], references: Mapping[int, SiteRun], least: int = LEAST
) -> list[BreakdownPart]:
    """The benchmarks with facets of which something can be said.

    Args:
        references: by a run's number the run that it is held to.
        least: examples that a row must have.
    """
    found = []
    for name, title in titles.items():
        scored = {run.number: _scored(run, name) for run in runs}
        those = [run for run in runs if scored[run.number]]
        part = _breakdown_part(name, title, those, scored, references, least)
        if part.tables:
            found.append(part)
    return found


def _scored(run: SiteRun, benchmark: str) -> list[Item]:
    rule = run.rule(benchmark)
    return [item for item in run.items(benchmark) if item.value(rule) is not None]


def _breakdown_part(
    name: str,
    title: str,
    runs: list[SiteRun],
    scored: Mapping[int, Sequence[Item]],
    references: Mapping[int, SiteRun],
    least: int,
) -> BreakdownPart:
    facets = dict.fromkeys(facet for run in runs for item in scored[run.number] for facet in item.facets)
    tables: list[BreakdownTable] = []
    same: list[tuple[str, str]] = []
    for facet in facets:
        columns = [_by_value(scored[run.number], run.rule(name), facet) for run in runs]
        bases = [_base(references.get(run.number), name, scored) for run in runs]
        values = dict.fromkeys(value for column in columns for value in column)
        if len(values) == 1:
            same.append((_words(facet), _words(next(iter(values)))))
            continue
        rows = []
        for value in sorted(values, key=_order):
            cells = [
                _cell(estimate, run, name, facet, value, scored[run.number], base)
                if (estimate := column.get(value)) and estimate.n >= least
                else None
                for run, column, base in zip(runs, columns, bases, strict=True)
            ]
            if any(cells):
                rows.append((str(value), _words(value), cells))
        if rows:
            tables.append(BreakdownTable(facet, _words(facet), rows, len(values) - len(rows)))
    return BreakdownPart(name, title, runs, tables, same)


def _base(
    reference: SiteRun | None, benchmark: str, scored: Mapping[int, Sequence[Item]]
) -> dict[tuple[str, int | None], float]:
    """The reference's score by example."""
    if reference is None:
        return {}
    rule = reference.rule(benchmark)
    items = scored.get(reference.number, ())
    return {item.key: value for item in items if (value := item.value(rule)) is not None}


def _cell(
    estimate: Estimate,
    run: SiteRun,
    benchmark: str,
    facet: str,
    value: object,
    items: Sequence[Item],
    base: Mapping[tuple[str, int | None], float],
) -> Cell:
    rule = run.rule(benchmark)
    both = [
        (score, base[item.key], item.group)
        for item in items
        if facet in item.facets
        and _hashable(item.facets[facet]) == value
        and item.key in base
        and (score := item.value(rule)) is not None
    ]
    if not both:
        return Cell(estimate, None)
    # As for accuracies: where all are of one group, its rows are the sample.
    one_group = len({group for _, _, group in both}) == 1
    clusters = [str(number) if one_group else group for number, (_, _, group) in enumerate(both)]
    return Cell(estimate, paired_difference([a for a, _, _ in both], [b for _, b, _ in both], clusters))


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

    name: str
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
            found.append(FailuresPart(name, title, kinds, lines))
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

    name: str
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
            found.append(RulesPart(name, title, main, those, lines))
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
