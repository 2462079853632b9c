"""Hugging Face: `.eval_results/BENCHMARK.yaml` files for a model's repository.

A file per run and benchmark under `<model>/<run id>/.eval_results/`, written with huggingface_hub's
EvalResultEntry (huggingface.co/docs/hub/eval-results). To publish, copy the folder into the model's
repository. A result belongs to a dataset of the Hub: only benchmarks that were asked from one are written,
and bundled samples never are. The Hub shows a result once its dataset is registered as a benchmark there, by
an `eval.yaml` of its own; `task_id` is `default` until such a file says otherwise. Under the rule that
counts; values are fractions of 1.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from evalkit.export import dataset_of, moment, rounded_result, run_name, safe_name, stem, write_export
from evalkit.metrics import scored_benchmarks
from evalkit.run.info import Run
from evalkit.schema import Estimate, UserError

_TASK = "default"  # what a dataset calls the only task that it has


def export(runs: Sequence[Run], out: Path) -> list[Path]:
    """One file per run and benchmark of the Hub."""
    return write_export((file for run in runs for file in _files(run)), out)


def _files(run: Run) -> list[tuple[str, str]]:
    files = list(_of_benchmarks(run))
    if not files:
        raise UserError(
            f"export: nothing in {run_name(run)} is a score on a dataset of the Hugging Face Hub, which "
            "this format needs: model_card takes any"
        )
    return files


def _of_benchmarks(run: Run) -> Iterator[tuple[str, str]]:
    import yaml
    from huggingface_hub import EvalResultEntry, eval_result_entries_to_yaml

    for name, (_, rule) in scored_benchmarks(run).items():
        data, estimate = dataset_of(run, name), rounded_result(run, name, rule).estimate
        if data.hub is None or estimate is None:
            continue
        entry = EvalResultEntry(
            dataset_id=data.hub,
            task_id=_TASK,
            value=estimate.value,
            dataset_revision=data.revision,
            date=moment(run).isoformat(),
            notes=_notes(run, rule, estimate, data.split),
        )
        content = yaml.safe_dump(eval_result_entries_to_yaml([entry]), sort_keys=False, allow_unicode=True)
        yield f"{stem(run)}/.eval_results/{safe_name(name)}.yaml", content


def _notes(run: Run, rule: str, estimate: Estimate, split: str | None) -> str:
    """What a reader needs to compare the value with another: how it was asked, of how many, how sure."""
    tokens = run.info.generation.max_tokens
    parts = [
        f"evalkit, rule {rule}",
        f"split {split}" if split else "",
        f"n {estimate.n}",
        f"95 % interval {estimate.low:.4f} to {estimate.high:.4f}",
        f"protocol {run.info.protocol.name}",
        f"at most {tokens} tokens" if tokens else "",
        f"run {run.info.run_id}",
    ]
    return ", ".join(part for part in parts if part)
