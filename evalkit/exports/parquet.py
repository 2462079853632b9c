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

from evalkit.errors import UserError
from evalkit.exports.common.files import run_name, stem, write
from evalkit.exports.common.values import text
from evalkit.records.record import Record, Row, RuleVerdict

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


def export(records: Sequence[Record], out: Path) -> list[Path]:
    """One file per run."""
    return write(((f"{stem(record)}.parquet", _table(record)) for record in records), out)


def _table(record: Record) -> bytes:
    import pyarrow  # type: ignore[import-untyped]
    from pyarrow import parquet

    schema = pyarrow.schema([(name, pyarrow.type_for_alias(kind)) for name, kind in COLUMNS.items()])
    lines = [
        {**_line(row, rule, verdict), "model": record.name, "run_id": record.head.run_id}
        for row in record.rows
        for rule, verdict in sorted(row.verdicts.items())
    ]
    content = io.BytesIO()
    try:
        table = pyarrow.Table.from_pylist(lines, schema=schema)
    except (OverflowError, pyarrow.ArrowInvalid) as error:
        raise UserError(f"export: {run_name(record)} does not fit its columns: {text(str(error))}") from error
    parquet.write_table(table, content, compression="zstd")
    return content.getvalue()


def _line(row: Row, rule: str, verdict: RuleVerdict) -> dict[str, Any]:
    start, end = verdict.span or (None, None)
    fields = {name: getattr(row, name) for name in COLUMNS if hasattr(row, name)}
    fields |= {name: getattr(verdict, name) for name in COLUMNS if hasattr(verdict, name)}
    facets = json.dumps(row.facets, ensure_ascii=False, sort_keys=True)
    return {**fields, "facets": facets, "rule": rule, "span_start": start, "span_end": end}
