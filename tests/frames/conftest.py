"""Real records, by replay over bundled samples: of a file that is nearly always right, and of a worse one."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.frames import Runs, load_runs
from evalkit.sweep.record import to_json
from tests.compare.helpers import Outputs, examples, run
from tests.sweep.ladders import tiny

BENCHMARKS = "benchmark=[finqa,convfinqa,tfns,finance_instruct]"
HOSTILE = "<script>alert(1)</script> $5 \x1b[2J\u202e so \\boxed{<b>1e9</b>}"


@pytest.fixture(scope="session")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A results folder with two runs and a kept sweep. Not to be changed."""
    folder = tmp_path_factory.mktemp("frames")
    asked = examples(BENCHMARKS)
    numbers = [example for example in asked if example.benchmark == "finqa"]
    tweets = [example for example in asked if example.benchmark == "tfns"]
    run(folder / "large", {(numbers[0].id, None): "so \\boxed{1}"}, BENCHMARKS)
    small: Outputs = {(numbers[0].id, None): "so \\boxed{2}", (numbers[1].id, None): HOSTILE}
    vague: Outputs = {(tweet.id, None): "I think so." for tweet in tweets[:3]}
    run(folder / "small", {**small, **vague}, BENCHMARKS, finish_reason="length", completion_tokens=7)
    kept = folder / "results"
    for name in ("large", "small"):
        target = kept / "records" / name / "kept.jsonl.gz"
        target.parent.mkdir(parents=True)
        target.write_bytes((folder / name / "run" / "record.jsonl.gz").read_bytes())
    (kept / "records" / "sweeps").mkdir()
    (kept / "records" / "sweeps" / "tiny.json").write_text(to_json(tiny()), encoding="utf-8")
    return kept


@pytest.fixture(scope="session")
def runs(results: Path) -> Runs:
    return load_runs(results / "records")
