"""A benchmark is a module, a folder and a config: a copy of evalkit with these more runs it, to the table."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.extension import copy_of_evalkit, run_copy

MODULE = '''
"""Parity: whether a number is even. A record is {"id": "4", "even": "yes"}."""

from evalkit.benchmarks import Unit
from evalkit.benchmarks.prompts import render
from evalkit.schema import Example, Message, YesNoGold

IDS = "upstream"


def unit(record, settings):
    name, even = record.filled("id"), record.answer("even")
    question = f"Is {name} even?"

    def build():
        message = Message("user", render("parity", settings.prompt, question=question))
        return [Example("parity", name, (message,), YesNoGold(even, question), name, question=question)]

    return Unit(name, name, 1, build)
'''
CONFIG = """# @package benchmark.parity
name: parity
title: Parity
split: test
prompt: prompt.jinja
files: "{split}.json"
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """evalkit and its data, with a benchmark called parity."""
    tree = copy_of_evalkit(tmp_path / "tree")
    (tree / "evalkit/benchmarks/parity.py").write_text(MODULE)
    (tree / "configs/benchmark/parity.yaml").write_text(CONFIG)
    (tree / "benchmarks/parity/sample").mkdir(parents=True)
    (tree / "benchmarks/parity/prompt.jinja").write_text("{{ question }} Answer yes or no.\n")
    records = [{"id": str(number), "even": "no" if number % 2 else "yes"} for number in range(4)]
    (tree / "benchmarks/parity/sample/test.json").write_text(json.dumps(records))
    return tree


def test_a_new_benchmark_runs_to_the_table(tree: Path, tmp_path: Path) -> None:
    outputs = tmp_path / "outputs.jsonl"
    outputs.write_text(
        "".join(json.dumps({"id": str(n), "text": "The answer is yes."}) + "\n" for n in range(4))
    )
    words = ("+model=replay", f"model.path={outputs}", "benchmark=parity", "data=sample")
    done = run_copy(tree, "run", *words, f"run_dir={tmp_path / 'run'}")
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "run/table.csv").read_text().splitlines()
    header, row, published = csv.reader(lines[:3])
    cells, printed = dict(zip(header, row, strict=True)), dict(zip(header, published, strict=True))
    assert cells["Parity"].startswith("50.0 [")
    assert cells["n"] == "4"
    assert (printed["Parity"], printed["Source"]) == ("-", "published")
    first = json.loads((tmp_path / "run/generations.jsonl").read_text().splitlines()[0])
    assert first["messages"][0]["content"].endswith("Answer yes or no.")
    assert "parity" in run_copy(tree, "benchmarks").stdout
