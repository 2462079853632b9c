"""Hugging Face: a model card's front matter with the results as `model-index`.

One `<model>/<run id>.md` a run, written with huggingface_hub's ModelCardData and EvalResult
(huggingface.co/docs/hub/model-cards). To publish, copy the `model-index` block into the front matter of the
model's README.md. Under the rule that counts; values are fractions of 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evalkit.export import dataset_of, generation_settings, rounded_result, run_name, stem, write_export
from evalkit.metrics import scored_benchmarks
from evalkit.run.info import Run
from evalkit.schema import Estimate, UserError

if TYPE_CHECKING:
    from huggingface_hub import EvalResult


def export(runs: Sequence[Run], out: Path) -> list[Path]:
    """One file per run."""
    return write_export(((f"{stem(run)}.md", _card(run)) for run in runs), out)


def _card(run: Run) -> str:
    from huggingface_hub import ModelCardData

    results = list(_results(run))
    if not results:
        raise UserError(f"export: nothing in {run_name(run)} is scored: there is no result to write")
    card = ModelCardData(model_name=run.info.model.title, eval_results=results)
    return f"---\n{card.to_yaml()}\n---\n"


def _results(run: Run) -> Iterator[EvalResult]:
    from huggingface_hub import EvalResult

    for name, (_, rule) in scored_benchmarks(run).items():
        estimate = rounded_result(run, name, rule).estimate
        if estimate is None:
            continue
        data = dataset_of(run, name)
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
            metric_args=_about(run, rule, estimate),
        )


def _about(run: Run, rule: str, estimate: Estimate) -> dict[str, Any]:
    return {
        "rule": rule,
        "n": estimate.n,
        "clusters": estimate.clusters,
        "interval_95": [estimate.low, estimate.high],
        "standard_error": estimate.error,
        "run": run.info.run_id,
        **generation_settings(run),
    }
