"""Parquet: every verdict, one row per answer and rule.

One `<model>/<run id>.parquet` a run, for pandas, duckdb or datasets; the outputs stay in the record.
Same record and same version of pyarrow, same bytes: a Parquet file names the library that wrote it.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evalkit.export import run_name, stem, write_export
from evalkit.run.info import Run
from evalkit.schema import Item, Sample, Score, UserError
from evalkit.text import visible_text

COLUMNS = {
    "model": "string",
    "run_id": "string",
    "benchmark": "string",
    "id": "string",
    "turn": "int32",  # null outside dialogues
    "sample": "int32",
    "group": "string",  # the cluster: page, dialogue, file
    "facets": "string",  # JSON
    "gold_kind": "string",
    "gold": "string",
    "rule": "string",
    "correct": "bool",  # null: unscored or failed
    "score": "double",
    "failure": "string",
    "extracted": "string",
    "span_start": "int64",  # characters of the output
    "span_end": "int64",
    "note": "string",
    "abandoned": "bool",
    "finish_reason": "string",
    "error": "string",
    "prompt_tokens": "int64",
    "completion_tokens": "int64",
}
"""Columns and their types."""


def export(runs: Sequence[Run], out: Path) -> list[Path]:
    """One file per run."""
    return write_export(((f"{stem(run)}.parquet", _table(run)) for run in runs), out)


def _table(run: Run) -> bytes:
    import pyarrow  # type: ignore[import-untyped]
    from pyarrow import parquet

    schema = pyarrow.schema([(name, pyarrow.type_for_alias(kind)) for name, kind in COLUMNS.items()])
    lines = [
        {"model": run.info.model.name, "run_id": run.info.run_id, **_line(item, sample, rule, score)}
        for item in run.items
        for sample in item.samples
        for rule, score in sorted(sample.scores.items())
    ]
    content = io.BytesIO()
    try:
        table = pyarrow.Table.from_pylist(lines, schema=schema)
    except (OverflowError, pyarrow.ArrowInvalid) as error:
        raise UserError(
            f"export: {run_name(run)} does not fit its columns: {visible_text(str(error))}"
        ) from error
    parquet.write_table(table, content, compression="zstd")
    return content.getvalue()


def _line(item: Item, sample: Sample, rule: str, score: Score) -> dict[str, Any]:
    start, end = score.span or (None, None)
    return {
        "benchmark": item.benchmark,
        "id": item.id,
        "turn": item.turn,
        "sample": sample.number,
        "group": item.group,
        "facets": json.dumps(item.facets, ensure_ascii=False, sort_keys=True),
        "gold_kind": item.gold_kind,
        "gold": item.gold,
        "rule": rule,
        "correct": score.correct,
        "score": score.value,
        "failure": score.outcome,
        "extracted": score.extracted,
        "span_start": start,
        "span_end": end,
        "note": score.note,
        "abandoned": sample.abandoned,
        "finish_reason": sample.finish_reason,
        "error": sample.error,
        "prompt_tokens": sample.prompt_tokens,
        "completion_tokens": sample.completion_tokens,
    }
