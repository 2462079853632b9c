"""A replayed run over bundled samples whose outputs and title are as hostile as outputs can be."""

from __future__ import annotations

import dataclasses
import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from evalkit.config import compose, to_dict
from evalkit.records.file import FILE, to_bytes
from evalkit.records.make import record_of
from evalkit.records.record import Record
from evalkit.runner.run import execute, load_data

BENCHMARKS = "benchmark=[finqa,convfinqa,ant_finance,tfns,finance_instruct]"
TITLE = r"Evil_|& 100% #1 $x$ \input{/etc/passwd} ~^ <b>[x](javascript:1)</b> `` www.x.io -- ‮ 模型"
OUTPUTS = (
    "neutral",
    "line\u2028separator \x85 and \x0b so on \\boxed{neutral}",
    "<script>alert(1)</script> | =cmd() \\boxed{42}",
    "\N{ZERO WIDTH SPACE}\x1b[31m\\boxed{是}\n---\n...\n",
)


@pytest.fixture(scope="session")
def record(tmp_path_factory: pytest.TempPathFactory) -> Record:
    """What evalkit makes of the run, under a harmless name."""
    folder = tmp_path_factory.mktemp("exports")
    outputs = folder / "outputs.jsonl"
    overrides = ["data=sample", BENCHMARKS, "limit=7", f"run_dir={folder / 'run'}"]
    config = to_dict(compose(["+model=replay", f"model.path={outputs}", "model.name=tiny-q4_0", *overrides]))
    examples = [example for loaded in load_data(config).values() for example in loaded.examples]
    with outputs.open("w", encoding="utf-8") as file:
        for number, example in enumerate(examples):
            text = OUTPUTS[number % len(OUTPUTS)]
            file.write(json.dumps({"id": example.id, "turn": example.turn, "text": text}) + "\n")
    return record_of(execute(config, Console(file=io.StringIO())))


@pytest.fixture(scope="session")
def hostile(record: Record) -> Record:
    """The same run of a model with a hostile name and title, two samples an example, and a failed answer."""
    head = dataclasses.replace(
        record.head, model={**record.head.model, "name": "../../x\n/..", "title": TITLE}, run_id="../run"
    )
    second = [dataclasses.replace(row, sample=1, text="neutral") for row in record.rows]
    rows = [row for pair in zip(record.rows, second, strict=True) for row in pair]
    failed = {name: dataclasses.replace(v, correct=None, score=None) for name, v in rows[0].verdicts.items()}
    rows[0] = dataclasses.replace(rows[0], text=None, error="engine_error: gone", verdicts=failed)
    return Record(head, rows)


@pytest.fixture
def run_dir(record: Record, tmp_path: Path) -> Path:
    """A run's folder with its record."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / FILE).write_bytes(to_bytes(record))
    return folder
