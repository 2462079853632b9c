"""The parts of report.md that are tables of a run's figures: failures, breakdowns, classification."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

from evalkit.metrics import (
    Classification,
    Failures,
    accuracy,
    breakdown,
    classification,
    counting_rule,
    facets_of,
    failures,
    macro,
    scored_benchmarks,
)
from evalkit.run.info import Run
from evalkit.schema import Estimate, Outcome
from evalkit.text import code, percent, share, table


@dataclass(frozen=True, slots=True)
class Section:
    """A part of report.md.

    ``body`` is Markdown without the heading. ``data`` is JSON-able and goes into results.json under
    `evalkit.report`, by benchmark. ``metrics`` go into lm-evaluation-harness's part of it: by benchmark, the
    metrics of the rule that counts. ``lines`` are for the terminal. ``files`` are written beside report.md.
    """

    name: str
    title: str
    body: str
    data: Mapping[str, object] = field(default_factory=dict)
    metrics: Mapping[str, Mapping[str, float | None]] = field(default_factory=dict)
    lines: Sequence[str] = ()
    files: Mapping[str, bytes] = field(default_factory=dict)


def accuracy_json(estimate: Estimate | None) -> dict[str, float | int | None]:
    """An accuracy in results.json: fractions of 1, the error also as one standard error."""
    if estimate is None:
        return {"accuracy": None, "stderr": None, "low": None, "high": None, "n": 0}
    error, low, high = estimate.error, estimate.low, estimate.high
    return {"accuracy": estimate.value, "stderr": error, "low": low, "high": high, "n": estimate.n}


def accuracy_cell(estimate: Estimate | None) -> str:
    """`45.0 [38.9, 51.2] (n=240)`"""
    return f"{percent(estimate)} (n={estimate.n})" if estimate else "-"


_BREAKDOWN_NOTE = (
    "*Micro*: the mean over examples. *Macro*: the mean of the lines above it, each counting the same. "
    "Intervals are clustered by page, dialogue or file; where each line of a table is one file, its rows are "
    "the sample."
)


def breakdown_section(run: Run) -> Section | None:
    """Every benchmark with a facet that tells its examples apart; None if there is none.

    Nothing lists the facets: each of `Example.facets` with two to fifty values among the scored examples gets
    a table.
    """
    bodies, data = [], {}
    for name, (items, rule) in scored_benchmarks(run).items():
        found = {facet: parts for facet in facets_of(items) if (parts := breakdown(items, rule, facet))}
        if not found:
            continue
        micro = accuracy(items, rule)
        data[name] = {
            facet: {
                "parts": {str(value): accuracy_json(part) for value, part in parts.items()},
                **{kind: accuracy_json(mean) for kind, mean in _averages(parts, micro).items()},
            }
            for facet, parts in found.items()
        }
        tables = [_breakdown_table(facet, parts, micro) for facet, parts in found.items()]
        bodies.append("\n\n".join([f"### {run.info.benchmarks[name].title}", *tables]))
    if not bodies:
        return None
    return Section("breakdown", "Breakdown", "\n\n".join([*bodies, _BREAKDOWN_NOTE]), data)


def _averages(parts: Mapping[object, Estimate], micro: Estimate | None) -> dict[str, Estimate]:
    averages = {"macro": macro(parts), "micro": micro}
    return {kind: found for kind, found in averages.items() if found is not None}


def _breakdown_table(facet: str, parts: Mapping[object, Estimate], micro: Estimate | None) -> str:
    rows = [[code(str(value)), percent(part), str(part.n)] for value, part in parts.items()]
    rows += [
        [f"*{kind} average*", percent(mean), str(mean.n)] for kind, mean in _averages(parts, micro).items()
    ]
    return table([facet.replace("_", " "), "accuracy, %", "n"], rows)


_FAILURES_NOTE = (
    "Counts are outputs. *Truncated* in italics: the output hit the token limit or ends inside its "
    "reasoning; among the outcomes, that it holds no answer either. *Right, then abandoned*: not correct, "
    "though the right value appears before another is committed to. *Decided by the question's unit*: wrong "
    "only because the question names another unit or scale. Tokens: those generated, reasoning included. "
    "`-`: not known."
)


def failures_section(run: Run) -> Section | None:
    """Every benchmark of the run."""
    found = {
        name: failures(items, counting_rule(items, run.info.benchmarks[name].rule))
        for name, items in run.by_benchmark().items()
        if items
    }
    if not found:
        return None
    titles = {name: run.info.benchmarks[name].title for name in found}
    rows = _failures_rows(list(found.values()))
    return Section(
        name="failures",
        title="Failures, truncation and length",
        body="\n\n".join([table(["Outcome", *titles.values()], rows), _FAILURES_NOTE]),
        data={name: _failures_json(result) for name, result in found.items()},
    )


def _failures_json(result: Failures) -> dict[str, object]:
    return {
        "outputs": result.answers,
        "failures": result.outcomes,
        "truncated": result.truncated,
        "right_then_abandoned": result.abandoned,
        "decided_by_unit": result.by_unit,
        "completion_tokens": {"median": result.tokens_median, "p95": result.tokens_p95},
        "all": accuracy_json(result.all),
        "without_truncated": accuracy_json(result.untruncated),
    }


def _failures_rows(columns: Sequence[Failures]) -> list[list[str]]:
    kinds = [kind for kind in get_args(Outcome) if any(kind in column.outcomes for column in columns)]
    rows = [["outputs", *(str(column.answers) for column in columns)]]
    rows += [
        [kind.replace("_", " "), *(share(column.outcomes.get(kind, 0), column.answers) for column in columns)]
        for kind in kinds
    ]
    rows += [
        ["*right, then abandoned*", *(_optional(column.abandoned) for column in columns)],
        ["*decided by the question's unit*", *(str(column.by_unit) for column in columns)],
        ["*truncated*", *(share(column.truncated, column.answers) for column in columns)],
        ["tokens, median", *(_optional(column.tokens_median) for column in columns)],
        ["tokens, 95th percentile", *(_optional(column.tokens_p95) for column in columns)],
        ["accuracy, %", *(accuracy_cell(column.all) for column in columns)],
        ["accuracy without truncated, %", *(accuracy_cell(column.untruncated) for column in columns)],
    ]
    return rows


def _optional(value: float | None) -> str:
    return "-" if value is None else f"{value:g}" if value < 1e5 else f"{value:.0f}"


NO_ANSWER = "no answer"

_CLASSIFICATION_NOTE = (
    "Rows of the confusion matrix are gold labels, columns what was answered; *no answer* also holds several "
    "labels at once and words that are no label. Macro-F1 is the mean of the classes' F1, its interval from "
    "a jackknife over examples. A model below the majority baseline is worse than always giving that label."
)


def classification_section(run: Run) -> Section | None:
    """The benchmarks all of whose golds are labels; None if there are none."""
    bodies, data, metrics = [], {}, {}
    for name, (items, rule) in scored_benchmarks(run).items():
        found = classification(items, rule)
        if found is None:
            continue
        bodies.append(f"### {run.info.benchmarks[name].title}\n\n{_classification_tables(found)}")
        data[name] = _classification_json(found)
        metrics[name] = {
            "macro_f1": found.macro_f1.value if found.macro_f1 else None,
            "macro_f1_stderr": found.macro_f1.error if found.macro_f1 else None,
            "majority_baseline": found.majority[1] if found.majority else None,
        }
    if not bodies:
        return None
    body = "\n\n".join([*bodies, _CLASSIFICATION_NOTE])
    return Section("classification", "Classification", body, data, metrics)


def _classification_json(found: Classification) -> dict[str, object]:
    label, baseline = found.majority or (None, None)
    return {
        "accuracy": accuracy_json(found.accuracy),
        "macro_f1": found.macro_f1.value if found.macro_f1 else None,
        "macro_f1_stderr": found.macro_f1.error if found.macro_f1 else None,
        "majority_label": label,
        "majority_baseline": baseline,
        "classes": {
            name: {"precision": c.precision, "recall": c.recall, "f1": c.f1, "support": c.support}
            for name, c in found.classes.items()
        },
        "confusion": {
            gold: {said or NO_ANSWER: found.counts.get((gold, said), 0) for said in [*found.labels, None]}
            for gold in found.labels
        },
    }


def _classification_tables(found: Classification) -> str:
    baseline = f"{100 * found.majority[1]:.1f} (always {code(found.majority[0])})" if found.majority else "-"
    header = ["Accuracy, %", "Macro-F1, %", "Majority baseline, %", "n"]
    row = [percent(found.accuracy), percent(found.macro_f1), baseline, str(found.accuracy.n)]
    return "\n\n".join([table(header, [row], text_columns=0), _confusion_table(found)])


def _confusion_table(found: Classification) -> str:
    header = ["gold", *(code(name) for name in found.labels), NO_ANSWER, "precision, %", "recall, %", "F1, %"]
    rows = []
    for gold in found.labels:
        cells = [str(found.counts.get((gold, said), 0)) for said in [*found.labels, None]]
        of_class = found.classes[gold]
        figures = [_figure(value) for value in (of_class.precision, of_class.recall, of_class.f1)]
        rows.append([code(gold), *cells, *figures])
    return table(header, rows)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.1f}"
