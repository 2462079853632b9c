"""results.json: a run's figures in lm-evaluation-harness's schema, and our own beside them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evalkit.config.settings import RunSettings
from evalkit.metrics import Result, counting_rule, result
from evalkit.report.sections import Section
from evalkit.run.info import Run
from evalkit.schema import DEFAULT, RUN_SCHEMA


def results_json(run: Run, settings: RunSettings, sections: Sequence[Section] = ()) -> dict[str, Any]:
    """The content of results.json: lm-evaluation-harness's keys, and our own under `evalkit`.

    A section's metrics are named like its rule's accuracy (`macro_f1,financial`); its data is under
    `evalkit.report`. What a judge was and how it did is under `evalkit.judge`.
    """
    found = _by_rule(run)
    by_task = _by_task(run, found, sections)
    counted = {name: counting_rule(run.of(name), run.info.benchmarks[name].rule) for name in by_task}
    scored = {each.benchmark: each.n for each in found if each.rule == counted[each.benchmark]}
    raw = run.info.raw
    return {
        "results": by_task,
        "configs": {name: settings.benchmark[name].model_dump() for name in by_task},
        "versions": dict.fromkeys(by_task, RUN_SCHEMA),
        "n-shot": {name: run.info.benchmarks[name].shots for name in by_task},
        "n-samples": {
            name: {"original": run.info.data[name].items, "effective": scored.get(name, 0)}
            for name in by_task
        },
        "higher_is_better": {
            name: {m.partition(",")[0]: True for m in task if m != "alias" and "_stderr," not in m}
            for name, task in by_task.items()
        },
        "model_name": run.info.model.name,
        "git_hash": run.info.evalkit.git_commit,
        "config": {
            "model": run.info.model.name,
            "gen_kwargs": raw["sampling"],
            "limit": run.info.selection.limit,
        },
        "evalkit": {
            "version": run.info.evalkit.version,
            "counts": [_counts(each) for each in found],
            "report": {section.name: section.data for section in sections},
            "measured": raw["measured"],
            **({"judge": raw["judge"]} if run.info.judge else {}),
        },
    }


def _by_rule(run: Run) -> list[Result]:
    """Every benchmark that has answers under every rule that can be applied to them."""
    found = []
    for name, items in run.by_benchmark().items():
        applied = {rule for item in items for sample in item.samples for rule in sample.scores}
        covered = run.info.benchmarks[name].covered
        found += [result(name, items, rule, covered) for rule in sorted(applied)]
    return found


def _by_task(run: Run, found: Sequence[Result], sections: Sequence[Section]) -> dict[str, dict[str, Any]]:
    by_task: dict[str, dict[str, Any]] = {}
    for each in found:
        task = by_task.setdefault(each.benchmark, {"alias": run.info.benchmarks[each.benchmark].title})
        error = each.estimate.error if each.estimate else None
        task[f"acc,{each.rule}"] = each.estimate.value if each.estimate else None
        # Their reader takes a number or this word.
        task[f"acc_stderr,{each.rule}"] = "N/A" if error is None else error
    for section in sections:
        for name, metrics in section.metrics.items():
            by_task[name] |= {f"{metric},{DEFAULT}": value for metric, value in metrics.items()}
    return by_task


def _counts(each: Result) -> dict[str, object]:
    return {
        "benchmark": each.benchmark,
        "rule": each.rule,
        "items": each.covered,
        "scored": each.n,
        "unscored": each.unscored,
        "failed": each.failed,
        "left_out": each.left_out,
        "failures": each.outcomes,
    }
