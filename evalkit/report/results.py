"""Accuracy per benchmark with its error, and results.json in lm-evaluation-harness's schema."""

from __future__ import annotations

import statistics
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from evalkit.benchmarks import Loaded
from evalkit.runner.scoring import Score
from evalkit.stats.error import standard_error


@dataclass(frozen=True, slots=True)
class Result:
    """One benchmark under one rule.

    ``accuracy`` and ``stderr`` are fractions of 1, None where nothing was scored. ``stderr`` is clustered by
    the examples' groups (pages, dialogues, files). ``n`` counts scored examples; with several samples an
    example's score is their mean. ``items`` = n + unscored + failed + left_out.
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
    by_example: dict[tuple[str, int | None], list[Score]] = defaultdict(list)
    for score in scores:
        by_example[score.record.id, score.record.turn].append(score)
    means, clusters, unscored, failed = [], [], 0, 0
    for samples in by_example.values():
        values = [s.verdict.score for s in samples if s.verdict.score is not None]
        if values:
            means.append(statistics.fmean(values))
            clusters.append(samples[0].example.group)
        elif any(s.failed for s in samples):
            failed += 1
        else:
            unscored += 1
    return Result(
        benchmark=benchmark,
        rule=rule,
        accuracy=statistics.fmean(means) if means else None,
        stderr=standard_error(means, clusters),
        n=len(means),
        items=items,
        unscored=unscored,
        failed=failed,
        left_out=items - len(by_example),
        failures=dict(sorted(Counter(s.verdict.failure for s in scores).items())),
    )


def average(found: Sequence[Result]) -> tuple[float, float | None] | None:
    """The mean of the benchmarks' accuracies and its standard error (benchmarks are independent samples)."""
    scored = [result for result in found if result.accuracy is not None]
    if not scored:
        return None
    mean = statistics.fmean(result.accuracy for result in scored if result.accuracy is not None)
    errors = [result.stderr for result in scored if result.stderr is not None]
    if len(errors) < len(scored):
        return mean, None
    return mean, sum(error**2 for error in errors) ** 0.5 / len(errors)


def results_json(
    found: Sequence[Result],
    config: Mapping[str, Any],
    data: Mapping[str, Loaded],
    run: Mapping[str, Any],
) -> dict[str, Any]:
    """The content of results.json: lm-evaluation-harness's keys, and our own under `evalkit`."""
    by_task: dict[str, dict[str, Any]] = {}
    for result in found:
        task = by_task.setdefault(result.benchmark, {"alias": config["benchmark"][result.benchmark]["title"]})
        task[f"acc,{result.rule}"] = result.accuracy
        task[f"acc_stderr,{result.rule}"] = result.stderr
    first = {result.benchmark: result for result in reversed(found)}
    return {
        "results": by_task,
        "configs": {name: dict(config["benchmark"][name]) for name in by_task},
        "versions": dict.fromkeys(by_task, run["schema"]),
        "n-shot": dict.fromkeys(by_task, 0),
        "n-samples": {
            name: {"original": data[name].provenance.get("items"), "effective": first[name].n}
            for name in by_task
        },
        "higher_is_better": {
            name: {f"acc,{result.rule}": True for result in found if result.benchmark == name}
            for name in by_task
        },
        "model_name": config["model"]["name"],
        "git_hash": run["evalkit"]["git_commit"],
        "config": {"model": config["model"]["name"], "gen_kwargs": run["sampling"], "limit": config["limit"]},
        "evalkit": {
            "version": run["evalkit"]["version"],
            "counts": [
                {
                    "benchmark": result.benchmark,
                    "rule": result.rule,
                    "items": result.items,
                    "scored": result.n,
                    "unscored": result.unscored,
                    "failed": result.failed,
                    "left_out": result.left_out,
                    "failures": result.failures,
                }
                for result in found
            ],
            "measured": run["measured"],
        },
    }
