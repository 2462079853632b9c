"""Every Eval Ever: an aggregate and a samples file per run and scored benchmark.

github.com/evaleval/every_eval_ever, schema 0.3.0 (eval.schema.json, instance_level_eval.schema.json) and the
checks of `every_eval_ever validate`. Laid out as its data store:
`data/<benchmark>/<owner>/<model>/<uuid>.json` and `<uuid>_samples.jsonl`. The aggregate has every rule, the
samples the default one. Benchmarks that nothing scored (free text without a judge) have no place in it.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator, Sequence
from pathlib import Path

from evalkit.exports.common.files import json_lines, json_text, write
from evalkit.exports.every_eval_ever.aggregate import aggregate, collection, identity
from evalkit.exports.every_eval_ever.instances import instances
from evalkit.records.accuracy import examples_of
from evalkit.records.record import Record


def export(records: Sequence[Record], out: Path) -> list[Path]:
    """Two files per run and scored benchmark. The times in them are the run's."""
    return write((file for record in records for file in _files(record)), out)


def _files(record: Record) -> Iterator[tuple[str, str]]:
    for name, examples in examples_of(record).items():
        log = aggregate(record, name, examples)
        if not log["evaluation_results"]:
            continue
        rows = json_lines(instances(record, name, examples, log["evaluation_id"]))
        path = f"data/{collection(name)}/{identity(record)}/{_uuid(log['evaluation_id'], rows)}"
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
