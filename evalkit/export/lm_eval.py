"""lm-evaluation-harness: a results file, and a samples file per task.

github.com/EleutherAI/lm-evaluation-harness 0.4.13: result_schema.py (keys), loggers/evaluation_tracker.py
(`<model>/results_<time>.json` and `<model>/samples_<task>_<time>.jsonl`, and what samples look like on disk),
utils.make_table and scripts/zeno_visualize.py (readers). A rule is a filter here: results have every rule,
samples the benchmark's own. `evalkit import lm_eval` reads the samples back.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.export import (
    dataset_of,
    generation_settings,
    json_lines,
    json_text,
    model_of,
    moment,
    results_by_rule,
    safe_name,
    write_export,
)
from evalkit.metrics import PARTIAL, Result
from evalkit.run.info import Run
from evalkit.run.record import RECORD_SCHEMA
from evalkit.schema import Item, Sample
from evalkit.text import mapping, visible_texts


def export(runs: Sequence[Run], out: Path) -> list[Path]:
    """One folder per model. The time in the names is the run's."""
    return write_export((file for run in runs for file in _files(run)), out)


def _files(run: Run) -> Iterator[tuple[str, str]]:
    folder, time = safe_name(run.info.model.name), moment(run).strftime("%Y-%m-%dT%H-%M-%S")
    tasks = {name: samples(run, name) for name, items in run.by_benchmark().items() if items}
    yield f"{folder}/results_{time}.json", json_text(results(run, tasks))
    for name, lines in tasks.items():
        yield f"{folder}/samples_{safe_name(name)}_{time}.jsonl", json_lines(lines)


_UNKNOWN = "N/A"  # lm_eval's word for a standard error that cannot be told


def results(run: Run, samples: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """The whole of results_<time>.json. `samples` are the lines of its tasks, whose hashes it lists."""
    info, tasks = run.info, list(samples)
    found = {name: results_by_rule(run, name) for name in tasks}
    return {
        "results": {name: _metrics(run, name, found[name]) for name in tasks},
        "group_subtasks": {name: [] for name in tasks},
        "configs": {name: _config(run, name) for name in tasks},
        "versions": dict.fromkeys(tasks, RECORD_SCHEMA),
        "n-shot": {name: info.benchmarks[name].shots for name in tasks},
        "higher_is_better": {name: {"acc": True} for name in tasks},
        "n-samples": {name: _sizes(run, name, found[name]) for name in tasks},
        "config": _model(run),
        "git_hash": info.evalkit.git_commit,
        "date": moment(run).timestamp(),
        "model_source": info.engine.engine,
        "model_name": info.model.name,
        "model_name_sanitized": safe_name(info.model.name),
        "system_instruction": info.protocol.system,
        "chat_template_sha": info.engine.chat_template_sha256,
        "task_hashes": {name: _task_hash(lines) for name, lines in samples.items()},
        "total_evaluation_time_seconds": str(info.measured.wall_seconds),
        "evalkit": _own(run, found),
    }


def _main(run: Run, name: str) -> str:
    return run.info.benchmarks[name].rule


def _metrics(run: Run, name: str, found: Mapping[str, Result]) -> dict[str, Any]:
    """Without the rules that judge only some of the examples: the schema has one sample size per task."""
    n = found[_main(run, name)].n
    metrics: dict[str, Any] = {"alias": dataset_of(run, name).title, "sample_len": n}
    for rule, result in found.items():
        if result.estimate is not None and result.n >= PARTIAL * n:
            error = result.estimate.error
            metrics[f"acc,{rule}"] = result.estimate.value
            metrics[f"acc_stderr,{rule}"] = _UNKNOWN if error is None else error
    return metrics


def _config(run: Run, name: str) -> dict[str, Any]:
    data = dataset_of(run, name)
    config = {
        "task": name,
        "dataset_path": data.hub,
        "test_split": data.split,
        "output_type": "generate_until",
        "num_fewshot": run.info.benchmarks[name].shots,
        "metric_list": [{"metric": "acc", "aggregation": "mean", "higher_is_better": True}],
        "generation_kwargs": generation_kwargs(run),
        "metadata": {"version": RECORD_SCHEMA, **data.details},
    }
    return {key: value for key, value in config.items() if value is not None}


def _sizes(run: Run, name: str, found: Mapping[str, Result]) -> dict[str, int | None]:
    return {"original": dataset_of(run, name).items, "effective": found[_main(run, name)].n}


def _model(run: Run) -> dict[str, Any]:
    found = model_of(run)
    return {
        "model": found.engine,
        "model_args": {"model": run.info.model.name, **found.details},
        "limit": run.info.selection.limit,
        "gen_kwargs": generation_kwargs(run),
        "bootstrap_iters": 0,
    }


def _task_hash(lines: Sequence[Mapping[str, Any]]) -> str:
    hashes = (f"{line['doc_hash']}{line['prompt_hash']}{line['target_hash']}" for line in lines)
    return hashlib.sha256("".join(hashes).encode()).hexdigest()


def _own(run: Run, found: Mapping[str, Mapping[str, Result]]) -> dict[str, Any]:
    """What the schema has no place for: the run, and what is behind each accuracy."""
    return {
        "version": run.info.evalkit.version,
        "run_id": run.info.run_id,
        "protocol": visible_texts(mapping(run.info.raw.get("protocol"))),
        "accuracies": [
            {
                "task": task,
                "rule": rule,
                "interval_95": [each.estimate.low, each.estimate.high] if each.estimate else None,
                "clusters": each.estimate.clusters if each.estimate else None,
                "scored": each.n,
                "unscored": each.unscored,
                "failed": each.failed,
                "truncated": each.truncated,
            }
            for task, of in found.items()
            for rule, each in of.items()
        ],
    }


def generation_kwargs(run: Run) -> dict[str, Any]:
    """How answers were sampled, in lm_eval's words."""
    kwargs: dict[str, Any] = dict(generation_settings(run))
    kwargs["max_gen_toks"] = kwargs.pop("max_tokens", None)
    return {"until": [], "do_sample": kwargs.get("temperature", 0) > 0, **kwargs}


def samples(run: Run, name: str) -> list[dict[str, Any]]:
    """The lines of samples_<task>_<time>.jsonl: one per example that has any output."""
    kwargs, rule = generation_kwargs(run), _main(run, name)
    answered = (item for item in run.of(name) if any(sample.text is not None for sample in item.samples))
    return [_sample(number, item, rule, kwargs) for number, item in enumerate(answered)]


def _sample(number: int, item: Item, rule: str, kwargs: dict[str, Any]) -> dict[str, Any]:
    acc = item.value(rule)
    doc: dict[str, Any] = {"id": item.id, "group": item.group, "facets": item.facets}
    if item.turn is not None:
        doc["turn"] = item.turn
    # As lm_eval logs a chat request.
    prompt = json.dumps(
        [{"role": role, "content": content} for role, content in item.samples[0].messages],
        ensure_ascii=False,
    )
    extracted = [_extracted(sample, rule) for sample in item.samples]
    return {
        "doc_id": number,
        "doc": doc,
        "target": item.gold,
        "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": kwargs}},
        "resps": [[sample.text for sample in item.samples]],
        "filtered_resps": [extracted] if len(extracted) > 1 else extracted,
        "filter": rule,
        "metrics": [] if acc is None else ["acc"],
        "doc_hash": _hash(json.dumps(doc, indent=2, ensure_ascii=False)),
        "prompt_hash": _hash(prompt),
        "target_hash": _hash(item.gold),
        "acc": acc,
    }


def _extracted(sample: Sample, rule: str) -> str:
    score = sample.scores.get(rule)
    return (score.extracted if score else None) or ""


def _hash(content: str) -> str:
    return hashlib.sha256(content.encode()).hexdigest()
