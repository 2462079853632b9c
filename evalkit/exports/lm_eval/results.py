"""What results_<time>.json holds."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from evalkit.exports.common.accuracy import cell
from evalkit.exports.common.facts import dataset, model
from evalkit.exports.common.files import moment, safe_name
from evalkit.exports.common.values import number, text, texts
from evalkit.exports.lm_eval.samples import generation_kwargs
from evalkit.records.accuracy import Cell, Example, rules_of
from evalkit.records.record import Record
from evalkit.report.figure import PARTIAL
from evalkit.scorers import DEFAULT

_UNKNOWN = "N/A"  # lm_eval's word for a standard error that cannot be told


def results(
    record: Record,
    examples: Mapping[str, Sequence[Example]],
    samples: Mapping[str, Sequence[Mapping[str, Any]]],
) -> dict[str, Any]:
    """The whole file. `samples` are the lines of its tasks, whose hashes it lists."""
    head, tasks = record.head, list(samples)
    cells = {
        name: {rule: cell(examples[name], rule, head.benchmarks[name]) for rule in rules_of(examples[name])}
        for name in tasks
    }
    return {
        "results": {name: _metrics(record, name, cells[name]) for name in tasks},
        "group_subtasks": {name: [] for name in tasks},
        "configs": {name: _config(record, name) for name in tasks},
        "versions": dict.fromkeys(tasks, head.schema),
        "n-shot": dict.fromkeys(tasks, 0),
        "higher_is_better": {name: {"acc": True} for name in tasks},
        "n-samples": {name: _sizes(record, name, cells[name]) for name in tasks},
        "config": _model(record),
        "git_hash": text(head.evalkit.get("git_commit")),
        "date": moment(record).timestamp(),
        "model_source": text(head.engine.get("engine")),
        "model_name": record.name,
        "model_name_sanitized": safe_name(record.name),
        "system_instruction": head.protocol.get("system"),
        "chat_template_sha": text(head.engine.get("chat_template_sha256")),
        "task_hashes": {name: _task_hash(lines) for name, lines in samples.items()},
        "total_evaluation_time_seconds": str(number(head.measured.get("wall_seconds")) or 0.0),
        "evalkit": _own(record, cells),
    }


def _metrics(record: Record, name: str, cells: Mapping[str, Cell]) -> dict[str, Any]:
    """Without the rules that judge only some of the examples: the schema has one sample size per task."""
    n = _scored(cells[DEFAULT])
    metrics: dict[str, Any] = {"alias": dataset(record, name).title, "sample_len": n}
    for rule, found in cells.items():
        if found.estimate is not None and found.estimate.n >= PARTIAL * n:
            error = found.estimate.error
            metrics[f"acc,{rule}"] = found.estimate.value
            metrics[f"acc_stderr,{rule}"] = _UNKNOWN if error is None else error
    return metrics


def _config(record: Record, name: str) -> dict[str, Any]:
    data = dataset(record, name)
    config = {
        "task": name,
        "dataset_path": data.hub,
        "test_split": data.split,
        "output_type": "generate_until",
        "num_fewshot": 0,
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        "generation_kwargs": generation_kwargs(record),
        "metadata": {"version": record.head.schema, **data.details},
    }
    return {key: value for key, value in config.items() if value is not None}


def _sizes(record: Record, name: str, cells: Mapping[str, Cell]) -> dict[str, int | None]:
    return {"original": dataset(record, name).items, "effective": _scored(cells[DEFAULT])}


def _scored(found: Cell) -> int:
    return found.estimate.n if found.estimate else 0


def _model(record: Record) -> dict[str, Any]:
    found = model(record)
    return {
        "model": found.engine,
        "model_args": {"model": record.name, **found.details},
        "limit": number(record.head.settings.get("limit")),
        "gen_kwargs": generation_kwargs(record),
        "bootstrap_iters": 0,
    }


def _task_hash(lines: Sequence[Mapping[str, Any]]) -> str:
    hashes = (f"{line['doc_hash']}{line['prompt_hash']}{line['target_hash']}" for line in lines)
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _own(record: Record, cells: Mapping[str, Mapping[str, Cell]]) -> dict[str, Any]:
    """What the schema has no place for: the run, and what is behind each accuracy."""
    return {
        "version": text(record.head.evalkit.get("version")),
        "run_id": record.head.run_id,
        "protocol": texts(record.head.protocol),
        "accuracies": [
            {
                "task": task,
                "rule": rule,
                "interval_95": [found.estimate.low, found.estimate.high] if found.estimate else None,
                "clusters": found.estimate.clusters if found.estimate else None,
                "scored": _scored(found),
                "unscored": found.unscored,
                "failed": found.failed,
                "truncated": found.truncated,
            }
            for task, of in cells.items()
            for rule, found in of.items()
        ],
    }
