"""Hugging Face: a model card's front matter with the results as `model-index`.

One `<model>/<run id>.md` a run, written with huggingface_hub's ModelCardData and EvalResult
(huggingface.co/docs/hub/model-cards). To publish, copy the `model-index` block into the front matter of the
model's README.md. Under the default rule; values are fractions of 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.compare.comparison import Estimate
from evalkit.errors import UserError
from evalkit.exports.common.accuracy import cell
from evalkit.exports.common.facts import dataset, generation
from evalkit.exports.common.files import run_name, stem, write
from evalkit.exports.common.values import text
from evalkit.records.accuracy import counting_rule, examples_of
from evalkit.records.record import Record

if TYPE_CHECKING:
    from huggingface_hub import EvalResult


def export(records: Sequence[Record], out: Path) -> list[Path]:
    """One file per run."""
    return write(((f"{stem(record)}.md", _card(record)) for record in records), out)


def _card(record: Record) -> str:
    from huggingface_hub import ModelCardData

    results = list(_results(record))
    if not results:
        raise UserError(f"export: nothing in {run_name(record)} is scored: there is no result to write")
    card = ModelCardData(model_name=text(record.title), eval_results=results)
    return f"---\n{card.to_yaml()}\n---\n"


def _results(record: Record) -> Iterator[EvalResult]:
    from huggingface_hub import EvalResult

    for name, examples in examples_of(record).items():
        rule = counting_rule(examples)
        estimate = cell(examples, rule, record.head.benchmarks[name]).estimate
        if estimate is None:
            continue
        data = dataset(record, name)
        yield EvalResult(
            task_type="text-generation",
            dataset_type=data.hub or name,
            dataset_name=data.title,
            dataset_split=data.split,
            dataset_revision=data.revision,
            dataset_args=data.details,
            metric_type="accuracy",
            metric_name=f"Accuracy (evalkit, rule {rule})",
            metric_value=estimate.value,
            metric_args=_about(record, rule, estimate),
        )


def _about(record: Record, rule: str, estimate: Estimate) -> dict[str, Any]:
    return {
        "rule": rule,
        "n": estimate.n,
        "clusters": estimate.clusters,
        "interval_95": [estimate.low, estimate.high],
        "standard_error": estimate.error,
        "run": record.head.run_id,
        **generation(record),
    }
