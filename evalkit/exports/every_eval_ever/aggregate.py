"""<uuid>.json: a run's accuracies on one benchmark."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from evalkit.compare.comparison import Estimate
from evalkit.exports.common.accuracy import cell
from evalkit.exports.common.facts import dataset, generation, model
from evalkit.exports.common.files import moment, safe_name
from evalkit.exports.common.values import text, texts
from evalkit.records.accuracy import Cell, Example, rules_of
from evalkit.records.record import Record

SCHEMA = "0.3.0"
_GENERATION_ARGS = ("temperature", "top_p", "top_k", "max_tokens")
# The owner of weights that come from no Hugging Face repository.
_LOCAL = "local"


def collection(benchmark: str) -> str:
    """The folder of a benchmark in the data store."""
    return safe_name(benchmark)


def identity(record: Record) -> str:
    """The model's id, `owner/name`, which is its folder too. The name is of the file, not of its repository:
    that has many quantizations."""
    return f"{safe_name(model(record).owner or _LOCAL)}/{safe_name(record.name)}"


def result_id(rule: str) -> str:
    """What joins samples to the accuracy that they make."""
    return f"accuracy:{rule}"


def aggregate(record: Record, name: str, examples: Sequence[Example]) -> dict[str, Any]:
    """The file's content, without its pointer to the samples."""
    time = str(int(moment(record).timestamp()))
    cells = {rule: cell(examples, rule, record.head.benchmarks[name]) for rule in rules_of(examples)}
    return {
        "schema_version": SCHEMA,
        "evaluation_id": f"{collection(name)}/{identity(record)}/{time}/{record.head.run_id}",
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
            "version": text(record.head.evalkit.get("version")) or "unknown",
            "additional_details": texts({"git_commit": record.head.evalkit.get("git_commit")}),
        },
        "model_info": _model(record),
        "evaluation_results": [
            _result(record, name, rule, found, found.estimate)
            for rule, found in cells.items()
            if found.estimate is not None
        ],
    }


def _model(record: Record) -> dict[str, Any]:
    found = model(record)
    engine = texts({"name": found.engine, "version": found.build})
    return {
        "name": record.name,
        "id": identity(record),
        "developer": identity(record).split("/")[0],
        "inference_engine": engine,
        "additional_details": {
            "deployment_type": found.deployment,
            "model_availability": "open_weights" if found.public else "unknown",
            **found.details,
        },
    }


def _result(record: Record, name: str, rule: str, found: Cell, estimate: Estimate) -> dict[str, Any]:
    title = dataset(record, name).title
    return {
        "evaluation_result_id": result_id(rule),
        "evaluation_name": name,
        "source_data": _source(record, name),
        "evaluation_timestamp": str(int(moment(record).timestamp())),
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
            "details": texts(
                {"unscored": found.unscored, "failed": found.failed, "truncated": found.truncated}
            ),
            "uncertainty": _uncertainty(estimate),
        },
        "generation_config": _generation(record),
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


def _source(record: Record, name: str) -> dict[str, Any]:
    data = dataset(record, name)
    details = texts({"title": data.title, "revision": data.revision, **data.details})
    common = {"dataset_name": name, "additional_details": details}
    if data.hub:
        kind = {"source_type": "hf_dataset", "hf_repo": data.hub, "samples_number": data.items}
        return {**common, **kind, **({"hf_split": data.split} if data.split else {})}
    if data.url:
        details["split"] = data.split or ""
        return {**common, "source_type": "url", "url": [data.url]}
    return {**common, "source_type": "other"}


def _generation(record: Record) -> dict[str, Any]:
    numbers, protocol = generation(record), record.head.protocol
    others = {key: value for key, value in numbers.items() if key not in _GENERATION_ARGS}
    details = texts({**others, "protocol": protocol.get("name"), "samples": protocol.get("samples")})
    if isinstance(protocol.get("system"), str):
        details["system"] = protocol["system"]
    return {
        "generation_args": {key: numbers[key] for key in _GENERATION_ARGS if key in numbers},
        "additional_details": details,
    }
