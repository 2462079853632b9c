"""A calibration as calibration.json, as calibration.md and for the terminal."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from evalkit.compare.comparison import Estimate
from evalkit.judge.calibrate import Calibration, Flipped, Source
from evalkit.judge.fitness import finding, fit, kappa_text
from evalkit.report.markdown import code, plain, table
from evalkit.stats.judged.agreement import Share
from evalkit.stats.judged.score import JudgedScore, Refusal

SCHEMA = 1

_SOURCES: Mapping[Source, str] = {"rule": "rule", "people": "people"}
_REFUSALS: Mapping[Refusal, str] = {
    "few_labels": "too few labels",
    "uninformative": "q₀ + q₁ not above 1",
    "contradictory": "labels of another kind",
}


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that a calibration says of one run. ``unmatched``: labels that belong to no answer of it.

    ``judge`` is the judge's name and identity, ``settings`` how it was calibrated; both JSON-able.
    """

    model: str
    judge: Mapping[str, Any]
    settings: Mapping[str, Any]
    calibrations: Sequence[Calibration]
    flips: Sequence[Flipped]
    unmatched: int
    unanswered: Mapping[str, int]

    @property
    def errors(self) -> Counter[str]:
        """Verdicts that are missing, by kind; an answer with labels of both sources counts once for each."""
        found: Counter[str] = Counter()
        for errors in (*(each.errors for each in self.calibrations), *(each.errors for each in self.flips)):
            found.update(errors)
        return found


@dataclass(frozen=True, slots=True)
class Grid:
    """A table as text."""

    title: str
    header: Sequence[str]
    rows: list[list[str]]


def to_json(report: Report) -> str:
    """calibration.json: by benchmark and source of labels the agreement and the scores; the flips."""
    benchmarks: dict[str, dict[str, Any]] = {}
    for each in report.calibrations:
        benchmarks.setdefault(each.benchmark, {})[each.source] = _calibration(each)
    for flipped in report.flips:
        swaps = benchmarks.setdefault(flipped.benchmark, {}).setdefault("flips", {})
        swaps[flipped.swap] = {**_share(flipped.changed), "errors": dict(flipped.errors)}
    content = {
        "schema": SCHEMA,
        "model": report.model,
        "judge": report.judge,
        "settings": report.settings,
        "benchmarks": benchmarks,
        "labels_unmatched": report.unmatched,
        "unanswered": dict(report.unanswered),
    }
    return json.dumps(content, ensure_ascii=False, indent=2, allow_nan=False) + "\n"


def _calibration(found: Calibration) -> dict[str, Any]:
    agreed = found.agreement
    q1, q0 = agreed.sensitivity, agreed.specificity
    return {
        "n": found.n,
        "fit": fit(agreed),
        "finding": finding(agreed),
        "table": {
            "right_judged_right": q1.count,
            "right_judged_wrong": q1.n - q1.count,
            "wrong_judged_right": q0.n - q0.count,
            "wrong_judged_wrong": q0.count,
        },
        "kappa": asdict(agreed.kappa) if agreed.kappa else None,
        "sensitivity": _share(q1),
        "specificity": _share(q0),
        "accuracy": _share(agreed.accuracy),
        "estimated": found.estimated,
        "held_back": found.held_back,
        "raw": _estimate(found.corrected.raw if found.corrected else None),
        "corrected": _score(found.corrected),
        "prediction_powered": _score(found.powered),
        "labels": _estimate(found.truth),
        "borderline": found.borderline,
        "errors": dict(found.errors),
    }


def _share(found: Share) -> dict[str, Any]:
    return {"value": found.value, **asdict(found)}


def _estimate(found: Estimate | None) -> dict[str, Any] | None:
    return asdict(found) if found else None


def _score(found: JudgedScore | None) -> dict[str, Any] | None:
    """An estimate, or why there is none."""
    if found is None:
        return None
    return _estimate(found.estimate) if found.estimate else {"value": None, "refusal": found.refusal}


def to_markdown(report: Report) -> str:
    """calibration.md"""
    parts = [
        f"# The judge on answers of {plain(report.model)}",
        f"Judge: {plain(str(report.judge['name']))}",
        "\n".join(f"- {line}" for line in findings(report)),
    ]
    for grid in grids(report):
        rows = [[code(row[0]), *row[1:]] for row in grid.rows]
        parts += [f"## {grid.title}", table(grid.header, rows, text_columns=2)]
    parts.append("\n".join(f"- {line}" for line in notes(report)))
    return "\n\n".join(parts) + "\n"


def findings(report: Report) -> list[str]:
    """A sentence for each benchmark and source of labels."""
    by = {"rule": "by the rule's verdicts", "people": "by people's labels"}
    return [
        f"{each.benchmark}, {by[each.source]}: the judge {finding(each.agreement)}"
        for each in report.calibrations
    ]


def grids(report: Report) -> list[Grid]:
    """The tables: agreement, scores, flips."""
    agreed = ("Benchmark", "Labels", "n", "Right kept", "Wrong refused", "q₁ %", "q₀ %", "κ", "No verdict")
    scores = (
        "Benchmark",
        "Labels",
        "Estimated",
        "Raw %",
        "Corrected %",
        "Prediction-powered %",
        "Labels say %",
    )
    flips = ("Benchmark", "Changed", "Items", "Verdicts changed %", "No verdict")
    return [
        Grid("Agreement with labels", agreed, [_agreement_row(each) for each in report.calibrations]),
        Grid("Scores", scores, [_score_row(each) for each in report.calibrations]),
        Grid("Same answers, judged again", flips, [_flip_row(each) for each in report.flips]),
    ]


def _agreement_row(found: Calibration) -> list[str]:
    agreed = found.agreement
    return [
        found.benchmark,
        _SOURCES[found.source],
        str(found.n),
        f"{agreed.sensitivity.count} of {agreed.sensitivity.n}",
        f"{agreed.specificity.count} of {agreed.specificity.n}",
        _percent(agreed.sensitivity),
        _percent(agreed.specificity),
        kappa_text(agreed.kappa) if agreed.kappa else "-",
        _errors(found.errors),
    ]


def _score_row(found: Calibration) -> list[str]:
    return [
        found.benchmark,
        _SOURCES[found.source],
        str(found.estimated),
        _percent(found.corrected.raw if found.corrected else None),
        _score_text(found.corrected),
        _score_text(found.powered),
        _percent(found.truth),
    ]


def _flip_row(found: Flipped) -> list[str]:
    what = {"order": "order of fields", "language": "language"}[found.swap]
    return [
        found.benchmark,
        what,
        str(found.changed.n),
        _percent(found.changed),
        _errors(found.errors),
    ]


def _score_text(found: JudgedScore | None) -> str:
    if found is None or found.refusal is None:
        return _percent(found.estimate if found else None)
    return _REFUSALS[found.refusal]


def _percent(found: Estimate | Share | None) -> str:
    if found is None or found.value is None:
        return "-"
    return f"{100 * found.value:.1f} [{100 * found.low:.1f}, {100 * found.high:.1f}]"


def _errors(found: Counter[str]) -> str:
    return ", ".join(f"{count} {kind}" for kind, count in sorted(found.items())) or "0"


def notes(report: Report) -> list[str]:
    """How to read the tables, and what was left out."""
    lines = [
        "q₁ (sensitivity): share of right answers that the judge calls right; q₀ (specificity): share of "
        "wrong ones that it calls wrong. Brackets are 95 % intervals: of κ, q₁, q₀ and flips for independent "
        "answers, of scores clustered by page, dialogue or file.",
        "Raw: what the judge says. Corrected: (raw + q₀ - 1) / (q₀ + q₁ - 1). Prediction-powered: the "
        "judge's mean, put right by its errors on the labelled answers. Both intervals carry the labels' "
        "own error. Where q₀ + q₁ is not above 1 beyond chance, nothing can be corrected: the judge tells "
        "right from wrong no better than a coin, or has too few labels to show that it does.",
        "Estimated answers are judged without the estimate knowing their labels. Where the last column has a "
        "value, their labels were held back, and the estimate should agree with it.",
    ]
    if any(each.source == "people" for each in report.calibrations):
        lines.append(
            "People's labels: the prediction-powered score holds if the labelled answers are a random "
            "sample of the run's, as `evalkit judge label` draws it; labels chosen by verdict bias it."
        )
    borderline = sum(each.borderline for each in report.calibrations)
    if borderline:
        lines.append(f"{borderline} borderline labels are left out.")
    if report.unmatched:
        lines.append(f"{report.unmatched} labels belong to no judged answer of this run.")
    for benchmark, count in report.unanswered.items():
        lines.append(f"{benchmark}: {count} outputs without an answer after the reasoning were not judged.")
    if report.errors:
        lines.append(f"No verdict, left out and not counted as wrong: {_errors(report.errors)}.")
    return lines
