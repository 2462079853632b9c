"""Accuracy per benchmark with its error, and results.json in lm-evaluation-harness's schema."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import NormalDist
from typing import Any

from evalkit.benchmarks import Loaded
from evalkit.judge.ledger import Ledger
from evalkit.judge.verdicts import JUDGED
from evalkit.report.items import Item, items_of, mean_of
from evalkit.report.material import Section
from evalkit.runner.scoring import Score
from evalkit.scorers import DEFAULT
from evalkit.stats.error import wilson


@dataclass(frozen=True, slots=True)
class Result:
    """One benchmark under one rule.

    ``accuracy`` and ``stderr`` are fractions of 1, None where nothing was scored. ``stderr`` is clustered by
    the examples' groups (pages, dialogues, files). ``n`` counts scored examples; with several samples an
    example's score is their mean. ``items`` = n + unscored + failed + left_out; ``failed`` have no answer, or
    no verdict of the judge.
    """

    benchmark: str
    rule: str
    accuracy: float | None
    stderr: float | None
    n: int
    items: int
    unscored: int
    failed: int
    left_out: int
    failures: dict[str, int] = field(default_factory=dict)


def results(scores: Iterable[Score], data: Mapping[str, Loaded]) -> list[Result]:
    """One result per benchmark and rule, in the order of `data`."""
    sorted_scores: dict[tuple[str, str], list[Score]] = defaultdict(list)
    for score in scores:
        sorted_scores[score.record.benchmark, score.rule].append(score)
    rules = list(dict.fromkeys(rule for _, rule in sorted_scores))
    return [
        _result(name, rule, sorted_scores[name, rule], len(loaded.examples))
        for name, loaded in data.items()
        for rule in rules
        if (name, rule) in sorted_scores
    ]


def _result(benchmark: str, rule: str, scores: Sequence[Score], items: int) -> Result:
    examples = items_of(scores)
    mean = mean_of(examples)
    failed = sum(item.failed or _unjudged(item) for item in examples)
    return Result(
        benchmark=benchmark,
        rule=rule,
        accuracy=mean.value,
        stderr=mean.error,
        n=mean.n,
        items=items,
        unscored=len(examples) - mean.n - failed,
        failed=failed,
        left_out=items - len(examples),
        failures=dict(sorted(Counter(s.verdict.failure for s in scores).items())),
    )


def _unjudged(item: Item) -> bool:
    return item.value is None and any(score.verdict.failure == "judge_error" for score in item.scores)


def counting(found: Sequence[Result], rule: str = DEFAULT) -> list[Result]:
    """One result per benchmark: under `rule`, or under `judged` where that rule can score nothing."""
    judged = {result.benchmark: result for result in found if result.rule == JUDGED}
    return [
        judged.get(result.benchmark, result) if not result.n and result.unscored else result
        for result in found
        if result.rule == rule
    ]


def average(found: Sequence[Result]) -> tuple[float, float | None] | None:
    """The mean of the benchmarks' accuracies and its standard error (benchmarks are independent samples)."""
    scored = [result for result in found if result.accuracy is not None]
    if not scored:
        return None
    mean = statistics.fmean(result.accuracy for result in scored if result.accuracy is not None)
    errors = [error for result in scored if (error := _error(result)) is not None]
    if len(errors) < len(scored):
        return mean, None
    return mean, sum(error**2 for error in errors) ** 0.5 / len(errors)


def _error(result: Result) -> float | None:
    """The standard error, or where it would be 0 (no or all items right) what Wilson's interval implies."""
    if result.accuracy in (0.0, 1.0):
        low, high = wilson(round(result.accuracy * result.n), result.n)
        return (high - low) / (2 * NormalDist().inv_cdf(0.975))
    return result.stderr


def results_json(
    found: Sequence[Result],
    config: Mapping[str, Any],
    data: Mapping[str, Loaded],
    run: Mapping[str, Any],
    sections: Sequence[Section] = (),
    ledger: Ledger | None = None,
) -> dict[str, Any]:
    """The content of results.json: lm-evaluation-harness's keys, and our own under `evalkit`.

    A section's metrics are named like its rule's accuracy (`macro_f1,financial`); its data is under
    `evalkit.report`. What a judge was and how it did is under `evalkit.judge`.
    """
    by_task = _by_task(found, config, sections)
    counted = {result.benchmark: result for result in counting(found)}
    return {
        "results": by_task,
        "configs": {name: dict(config["benchmark"][name]) for name in by_task},
        "versions": dict.fromkeys(by_task, run["schema"]),
        "n-shot": dict.fromkeys(by_task, 0),
        "n-samples": {
            name: {"original": data[name].provenance.get("items"), "effective": counted[name].n}
            for name in by_task
        },
        "higher_is_better": {
            name: {m.partition(",")[0]: True for m in task if m != "alias" and "_stderr," not in m}
            for name, task in by_task.items()
        },
        "model_name": config["model"]["name"],
        "git_hash": run["evalkit"]["git_commit"],
        "config": {"model": config["model"]["name"], "gen_kwargs": run["sampling"], "limit": config["limit"]},
        "evalkit": {
            "version": run["evalkit"]["version"],
            "counts": [_counts(result) for result in found],
            "report": {section.name: section.data for section in sections},
            "measured": run["measured"],
            **({"judge": ledger.summary} if ledger else {}),
        },
    }


def _by_task(
    found: Sequence[Result], config: Mapping[str, Any], sections: Sequence[Section]
) -> dict[str, dict[str, Any]]:
    by_task: dict[str, dict[str, Any]] = {}
    for result in found:
        task = by_task.setdefault(result.benchmark, {"alias": config["benchmark"][result.benchmark]["title"]})
        task[f"acc,{result.rule}"] = result.accuracy
        # Their reader takes a number or this word.
        task[f"acc_stderr,{result.rule}"] = "N/A" if result.stderr is None else result.stderr
    for section in sections:
        for name, metrics in section.metrics.items():
            by_task[name] |= {f"{metric},{DEFAULT}": value for metric, value in metrics.items()}
    return by_task


def _counts(result: Result) -> dict[str, Any]:
    return {
        "benchmark": result.benchmark,
        "rule": result.rule,
        "items": result.items,
        "scored": result.n,
        "unscored": result.unscored,
        "failed": result.failed,
        "left_out": result.left_out,
        "failures": result.failures,
    }
