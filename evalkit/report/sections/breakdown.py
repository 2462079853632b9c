"""Accuracy by what a benchmark says of its examples: category and task, turn depth, answer kind, steps.

Nothing lists the facets: every one of `Example.facets` with two to fifty values among the scored examples
gets a table.
"""

from __future__ import annotations

import statistics
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.example import LabelGold
from evalkit.report.items import Item, Mean, mean_of
from evalkit.report.markdown import code, percent, table
from evalkit.report.material import Material, Section

MOST_VALUES = 50

_NOTE = (
    "*Micro*: the mean over examples. *Macro*: the mean of the lines above it, each counting the same. "
    "Errors are clustered by page, dialogue or file; where each line of a table is one file, its rows are "
    "the sample."
)


def section(material: Material) -> Section | None:
    """Every benchmark with a facet that tells its examples apart; None if there is none."""
    bodies, data = [], {}
    for name, items in material.scored().items():
        found = {facet: parts for facet in _facets(items) if (parts := breakdown(items, facet))}
        if not found:
            continue
        micro = mean_of(items)
        data[name] = {
            facet: {
                "parts": {str(value): mean.as_json() for value, mean in parts.items()},
                **{kind: mean.as_json() for kind, mean in _averages(parts, micro).items()},
            }
            for facet, parts in found.items()
        }
        tables = [_table(facet, parts, micro) for facet, parts in found.items()]
        bodies.append("\n\n".join([f"### {material.titles[name]}", *tables]))
    if not bodies:
        return None
    return Section("breakdown", "Breakdown", "\n\n".join([*bodies, _NOTE]), data)


def _facets(items: Sequence[Item]) -> list[str]:
    # The label of a classification is its own gold: recall per class says the same.
    return [
        facet
        for facet in dict.fromkeys(facet for item in items for facet in item.example.facets)
        if not (facet == "label" and isinstance(items[0].example.gold, LabelGold))
    ]


def breakdown(items: Sequence[Item], facet: str) -> dict[Any, Mean]:
    """The accuracy of every value of `facet`, in order; nothing if it has one value or too many."""
    parts: dict[Any, list[Item]] = defaultdict(list)
    for item in items:
        if item.value is not None:
            parts[item.example.facets.get(facet)].append(item)
    if not 2 <= len(parts) <= MOST_VALUES:
        return {}
    one_group_each = all(len({item.example.group for item in part}) == 1 for part in parts.values())
    ordered = sorted(parts.items(), key=lambda entry: _order(entry[0]))
    return {value: mean_of(part, clustered=not one_group_each) for value, part in ordered}


def _order(value: object) -> tuple[bool, float, str]:
    """Numbers by size, then anything else by its text."""
    if isinstance(value, int | float):
        return False, float(value), ""
    return True, 0.0, str(value)


def _averages(parts: Mapping[Any, Mean], micro: Mean) -> dict[str, Mean]:
    # Counts (steps, turns) are no classes that should weigh the same.
    if not all(isinstance(value, str) for value in parts):
        return {"micro": micro}
    return {"macro": macro(list(parts.values())), "micro": micro}


def macro(parts: Sequence[Mean]) -> Mean:
    """The mean of the parts' means, and its error if they are independent; ``n`` counts their examples."""
    values = [part.value for part in parts if part.value is not None]
    errors = [part.error for part in parts if part.error is not None]
    error = sum(each**2 for each in errors) ** 0.5 / len(errors) if len(errors) == len(values) else None
    return Mean(statistics.fmean(values), error, sum(part.n for part in parts))


def _table(facet: str, parts: Mapping[Any, Mean], micro: Mean) -> str:
    rows = [[code(str(value)), percent(mean), str(mean.n)] for value, mean in parts.items()]
    rows += [
        [f"*{kind} average*", percent(mean), str(mean.n)] for kind, mean in _averages(parts, micro).items()
    ]
    return table([facet.replace("_", " "), "accuracy, %", "n"], rows)
