"""Every Eval Ever: an aggregate and a samples file per run and scored benchmark.

github.com/evaleval/every_eval_ever, schema 0.3.0 (eval.schema.json, instance_level_eval.schema.json) and the
checks of `every_eval_ever validate`. Laid out as its data store:
`data/<benchmark>/<owner>/<model>/<uuid>.json` and `<uuid>_samples.jsonl`. The aggregate has every rule, the
samples the benchmark's own. Benchmarks that nothing scored (free text without a judge) have no place in it.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Sequence
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
from evalkit.metrics import Result
from evalkit.run.info import Run
from evalkit.schema import Estimate, Item, Sample, Score
from evalkit.text import visible_texts


def export(runs: Sequence[Run], out: Path) -> list[Path]:
    """Two files per run and scored benchmark. The times in them are the run's."""
    return write_export((file for run in runs for file in _files(run)), out)


def _files(run: Run) -> Iterator[tuple[str, str]]:
    for name in run.info.benchmarks:
        log = aggregate(run, name)
        if not log["evaluation_results"]:
            continue
        rows = json_lines(instances(run, name, log["evaluation_id"]))
        path = f"data/{collection(name)}/{identity(run)}/{_uuid(log['evaluation_id'], rows)}"
        if rows:
            log["detailed_evaluation_results"] = {
                "format": "jsonl",
                "file_path": f"{path}_samples.jsonl",
                "hash_algorithm": "sha256",
                "checksum": hashlib.sha256(rows.encode()).hexdigest(),
                "total_rows": rows.count("\n"),
            }
            yield f"{path}_samples.jsonl", rows
        yield f"{path}.json", json_text(log)


def _uuid(*content: str) -> uuid.UUID:
    """The store wants a random UUID; one from the content is the same for the same record."""
    digest = hashlib.sha256("\0".join(content).encode()).digest()
    return uuid.UUID(bytes=digest[:16], version=4)


SCHEMA = "0.3.0"
_GENERATION_ARGS = ("temperature", "top_p", "top_k", "max_tokens")
# The owner of weights that come from no Hugging Face repository.
_LOCAL = "local"


def collection(benchmark: str) -> str:
    """The folder of a benchmark in the data store."""
    return safe_name(benchmark)


def identity(run: Run) -> str:
    """The model's id, `owner/name`, which is its folder too. The name is of the file, not of its repository:
    that has many quantizations."""
    return f"{safe_name(model_of(run).owner or _LOCAL)}/{safe_name(run.info.model.name)}"


def result_id(rule: str) -> str:
    """What joins samples to the accuracy that they make."""
    return f"accuracy:{rule}"


def aggregate(run: Run, name: str) -> dict[str, Any]:
    """The content of <uuid>.json, a run's accuracies on one benchmark, without its pointer to the samples."""
    time = str(int(moment(run).timestamp()))
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"{collection(name)}/{identity(run)}/{time}/{run.info.run_id}",
        "evaluation_timestamp": time,
        "retrieved_timestamp": time,
        "source_metadata": {
            "source_name": "evalkit",
            "source_type": "evaluation_run",
            # A record does not tell who made it.
            "source_organization_name": "not stated",
            "evaluator_relationship": "other",
        },
        "eval_library": {
            "name": "evalkit",
            "version": run.info.evalkit.version or "unknown",
            "additional_details": visible_texts({"git_commit": run.info.evalkit.git_commit}),
        },
        "model_info": _model(run),
        "evaluation_results": [
            _result(run, found, found.estimate)
            for found in results_by_rule(run, name).values()
            if found.estimate is not None
        ],
    }


def _model(run: Run) -> dict[str, Any]:
    found = model_of(run)
    engine = visible_texts({"name": found.engine, "version": found.build})
    return {
        "name": run.info.model.name,
        "id": identity(run),
        "developer": identity(run).split("/")[0],
        "inference_engine": engine,
        "additional_details": {
            "deployment_type": found.deployment,
            "model_availability": "open_weights" if found.public else "unknown",
            **found.details,
        },
    }


def _result(run: Run, found: Result, estimate: Estimate) -> dict[str, Any]:
    name, rule = found.benchmark, found.rule
    title = dataset_of(run, name).title
    return {
        "evaluation_result_id": result_id(rule),
        "evaluation_name": name,
        "source_data": _source(run, name),
        "evaluation_timestamp": str(int(moment(run).timestamp())),
        "metric_config": {
            "evaluation_description": f"{title}: share of right answers by the rule {rule}",
            "metric_id": "accuracy",
            "metric_name": f"Accuracy ({rule})",
            "metric_kind": "accuracy",
            "metric_unit": "proportion",
            "metric_parameters": {"rule": rule},
            "lower_is_better": False,
            "score_type": "continuous",
            "min_score": 0.0,
            "max_score": 1.0,
        },
        "score_details": {
            "score": estimate.value,
            "details": visible_texts(
                {"unscored": found.unscored, "failed": found.failed, "truncated": found.truncated}
            ),
            "uncertainty": _uncertainty(estimate),
        },
        "generation_config": _generation(run),
    }


def _uncertainty(estimate: Estimate) -> dict[str, Any]:
    told: dict[str, Any] = {
        "confidence_interval": {
            "lower": estimate.low,
            "upper": estimate.high,
            "confidence_level": 0.95,
            "method": f"score interval, clustered ({estimate.clusters} clusters)",
        },
        "num_samples": estimate.n,
    }
    if estimate.error is not None:
        told["standard_error"] = {"value": estimate.error, "method": "analytic, clustered"}
    return told


def _source(run: Run, name: str) -> dict[str, Any]:
    data = dataset_of(run, name)
    details = visible_texts({"title": data.title, "revision": data.revision, **data.details})
    common = {"dataset_name": name, "additional_details": details}
    if data.hub:
        kind = {"source_type": "hf_dataset", "hf_repo": data.hub, "samples_number": data.items}
        return {**common, **kind, **({"hf_split": data.split} if data.split else {})}
    if data.url:
        details["split"] = data.split or ""
        return {**common, "source_type": "url", "url": [data.url]}
    return {**common, "source_type": "other"}


def _generation(run: Run) -> dict[str, Any]:
    numbers, protocol = generation_settings(run), run.info.protocol
    others = {key: value for key, value in numbers.items() if key not in _GENERATION_ARGS}
    details = visible_texts({**others, "protocol": protocol.name, "samples": protocol.samples})
    if protocol.system is not None:
        details["system"] = protocol.system
    return {
        "generation_args": {key: numbers[key] for key in _GENERATION_ARGS if key in numbers},
        "additional_details": details,
    }


def instances(run: Run, name: str, evaluation_id: str) -> Iterator[dict[str, Any]]:
    """The lines of <uuid>_samples.jsonl: scored answers under the benchmark's rule, each sample apart."""
    rule = run.info.benchmarks[name].rule
    common = {
        "schema_version": SCHEMA,
        "evaluation_id": evaluation_id,
        "model_id": identity(run),
        "evaluation_name": name,
        "evaluation_result_id": result_id(rule),
    }
    for item in run.of(name):
        for sample in item.samples:
            score = sample.scores.get(rule)
            if sample.text is not None and score is not None and score.value is not None:
                yield {**common, **_answer(item, sample, sample.text, rule, score)}


def _answer(item: Item, sample: Sample, text: str, rule: str, score: Score) -> dict[str, Any]:
    question = next((content for role, content in reversed(sample.messages) if role == "user"), "")
    line: dict[str, Any] = {
        "sample_id": item.id if item.turn is None else f"{item.id}#{item.turn}",
        "sample_hash": hashlib.sha256((question + item.gold).encode()).hexdigest(),
        "input": {"raw": question, "reference": [item.gold]},
        "evaluation": {"score": score.value, "is_correct": bool(score.correct)},
        "metadata": {"sample": str(sample.number), "group": item.group, "failure": score.outcome},
        **_interaction(sample, text),
    }
    dialogue = "messages" in line
    place = len(sample.messages) if dialogue else 0
    line["answer_attribution"] = [
        {
            "turn_idx": place,
            "source": f"messages[{place}].content" if dialogue else "output.raw",
            "extracted_value": extracted,
            "extraction_method": f"evalkit rule {rule}",
            "is_terminal": True,
        }
        for extracted in [score.extracted]
        if extracted is not None
    ]
    system = [content for role, content in sample.messages if role == "system"]
    line["metadata"] |= {"system": system[0]} if system else {}
    line["metadata"] |= {"finish_reason": sample.finish_reason} if sample.finish_reason else {}
    if sample.prompt_tokens is not None and sample.completion_tokens is not None:
        line["token_usage"] = {
            "input_tokens": sample.prompt_tokens,
            "output_tokens": sample.completion_tokens,
            "total_tokens": sample.prompt_tokens + sample.completion_tokens,
        }
    return line


def _interaction(sample: Sample, text: str) -> dict[str, Any]:
    """A lone question with its output, or the whole dialogue."""
    if [role for role, _ in sample.messages if role != "system"] == ["user"]:
        return {"interaction_type": "single_turn", "output": {"raw": [text]}}
    said = [*sample.messages, ("assistant", text)]
    messages = [
        {"turn_idx": place, "role": role, "content": content} for place, (role, content) in enumerate(said)
    ]
    return {"interaction_type": "multi_turn", "messages": messages}
