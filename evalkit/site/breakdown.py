"""Accuracy by what a benchmark says of its examples: category and task, turn depth, answer kind, steps.

Nothing lists the facets: every one with two to fifty values among the scored examples gets a table.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from evalkit.compare.comparison import Estimate
from evalkit.site.runs import Run
from evalkit.site.tally import Item, accuracy, items

MOST_VALUES = 50


@dataclass(frozen=True, slots=True)
class Table:
    """One facet: per value an accuracy of each run, None where a run has no such example."""

    facet: str
    rows: list[tuple[str, list[Estimate | None]]]


@dataclass(frozen=True, slots=True)
class Part:
    """One benchmark and the runs that have scored answers to it. `same`: facets with a single value."""

    title: str
    runs: list[Run]
    tables: list[Table]
    same: list[tuple[str, str]]


def parts(titles: Mapping[str, str], runs: Sequence[Run]) -> list[Part]:
    """The benchmarks with facets."""
    found = []
    for name, title in titles.items():
        scored = {run.number: items(run.rows(name), run.rule(name)) for run in runs}
        those = [run for run in runs if scored[run.number]]
        part = _part(title, those, [scored[run.number] for run in those])
        if part.tables or part.same:
            found.append(part)
    return found


def _part(title: str, runs: list[Run], scored: Sequence[Sequence[Item]]) -> Part:
    facets = dict.fromkeys(facet for each in scored for item in each for facet in item.facets)
    tables: list[Table] = []
    same: list[tuple[str, str]] = []
    for facet in facets:
        columns = [_by_value(each, facet) for each in scored]
        values = sorted({value for column in columns for value in column}, key=_order)
        if len(values) == 1:
            same.append((_words(facet), _words(values[0])))
        elif len(values) <= MOST_VALUES:
            tables.append(Table(_words(facet), _rows(values, columns)))
    return Part(title, runs, tables, same)


def _by_value(scored: Sequence[Item], facet: str) -> dict[object, list[Item]]:
    found: dict[object, list[Item]] = defaultdict(list)
    for item in scored:
        if facet in item.facets:
            found[_hashable(item.facets[facet])].append(item)
    return found


def _hashable(value: object) -> object:
    return value if isinstance(value, int | float | str) else str(value)


def _rows(
    values: Sequence[object], columns: Sequence[Mapping[object, Sequence[Item]]]
) -> list[tuple[str, list[Estimate | None]]]:
    # Where every line is one file, its rows are the sample: clustered by file nothing could be estimated.
    one_group = all(len({item.group for item in part}) == 1 for column in columns for part in column.values())
    return [
        (_words(value), [accuracy(column.get(value, []), clustered=not one_group) for column in columns])
        for value in values
    ]


def _order(value: object) -> tuple[bool, float, str]:
    """Numbers by size, then anything else by its text."""
    if isinstance(value, int | float):
        return False, float(value), ""
    return True, 0.0, str(value)


def _words(value: object) -> str:
    return str(value).replace("_", " ")
