"""lm-evaluation-harness: a results file, and a samples file per task.

github.com/EleutherAI/lm-evaluation-harness 0.4.13: result_schema.py (keys), loggers/evaluation_tracker.py
(`<model>/results_<time>.json` and `<model>/samples_<task>_<time>.jsonl`, and what samples look like on disk),
utils.make_table and scripts/zeno_visualize.py (readers). A rule is a filter here: results have every rule,
samples the default one. `evalkit import lm_eval` reads the samples back.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from evalkit.exports.common.files import json_lines, json_text, moment, safe_name, write
from evalkit.exports.lm_eval.results import results
from evalkit.exports.lm_eval.samples import samples
from evalkit.records.accuracy import examples_of
from evalkit.records.record import Record


def export(records: Sequence[Record], out: Path) -> list[Path]:
    """One folder per model. The time in the names is the run's."""
    return write((file for record in records for file in _files(record)), out)


def _files(record: Record) -> Iterator[tuple[str, str]]:
    folder, time = safe_name(record.name), moment(record).strftime("%Y-%m-%dT%H-%M-%S")
    examples = examples_of(record)
    tasks = {name: samples(record, of) for name, of in examples.items() if of}
    yield f"{folder}/results_{time}.json", json_text(results(record, examples, tasks))
    for name, lines in tasks.items():
        yield f"{folder}/samples_{safe_name(name)}_{time}.jsonl", json_lines(lines)
