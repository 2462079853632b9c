"""The parts of report.md on several answers to one example, and on the limit of an answer's tokens."""

from __future__ import annotations

from evalkit.metrics import scored_benchmarks
from evalkit.report.sections import Section, accuracy_cell, accuracy_json
from evalkit.run.info import Run
from evalkit.samples import Several, budget_curve, several
from evalkit.text import percent, table

_SEVERAL_NOTE = (
    "*pass@k*: the chance that one of k answers is right (unbiased; pass@1 is the mean). *maj@k*: the answer "
    "that most of an example's answers give. *Confident*: the vote's accuracy where more than half of the "
    "answers agree, *unsure* where they do not. Intervals are clustered by page, dialogue or file."
)


def samples_section(run: Run) -> Section | None:
    """Every benchmark with two or more judged answers to every example; None if there is none."""
    found = {
        name: result
        for name, (items, rule) in scored_benchmarks(run).items()
        if (result := several(items, rule)) is not None
    }
    if not found:
        return None
    titles = [run.info.benchmarks[name].title for name in found]
    columns = list(found.values())
    ks = sorted({k for column in columns for k in column.pass_at})
    rows = [
        [f"pass@{k}, %", *(percent(each) if (each := column.pass_at.get(k)) else "-" for column in columns)]
        for k in ks
    ]
    rows.append(["maj@k, %", *(f"{percent(column.majority)} (k={column.samples})" for column in columns)])
    rows.append(["confident, %", *(accuracy_cell(column.confident) for column in columns)])
    rows.append(["unsure, %", *(accuracy_cell(column.unsure) for column in columns)])
    return Section(
        "samples",
        "Several answers to one question",
        "\n\n".join([table(["", *titles], rows), _SEVERAL_NOTE]),
        {name: _several_json(result) for name, result in found.items()},
    )


def _several_json(found: Several) -> dict[str, object]:
    return {
        "samples": found.samples,
        "pass_at": {str(k): accuracy_json(estimate) for k, estimate in found.pass_at.items()},
        "majority": accuracy_json(found.majority),
        "confident": accuracy_json(found.confident),
        "unsure": accuracy_json(found.unsure),
    }


_BUDGET_NOTE = (
    "What the score would be if answers were cut off after so many tokens: a longer one counts as wrong. "
    "*Ended*: the share of answers that are not longer. From this run's answers: nothing new was generated."
)


def budget_section(run: Run) -> Section | None:
    """Every benchmark whose answers differ in length beyond one limit; None if there is none."""
    bodies, data = [], {}
    for name, (items, rule) in scored_benchmarks(run).items():
        points = budget_curve(items, rule)
        if len(points) < 2:
            continue
        rows = [[str(point.tokens), percent(point.accuracy), f"{100 * point.ended:.0f}"] for point in points]
        bodies.append(
            f"### {run.info.benchmarks[name].title}\n\n{table(['tokens', 'accuracy, %', 'ended, %'], rows)}"
        )
        data[name] = [
            {"tokens": point.tokens, "ended": point.ended, **accuracy_json(point.accuracy)}
            for point in points
        ]
    if not bodies:
        return None
    return Section(
        "budget", "Accuracy by the limit of an answer's tokens", "\n\n".join([*bodies, _BUDGET_NOTE]), data
    )
