"""A replayed run over bundled samples whose outputs and title are as hostile as outputs can be."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from evalkit.config.settings import run_settings
from evalkit.run.info import Run
from evalkit.run.record import RECORD_FILE, to_bytes
from evalkit.run.runner import execute, load_data
from evalkit.run.scoring import scored_run
from tests.leaderboard.made import with_head, with_items

BENCHMARKS = "benchmark=[finqa,convfinqa,ant_finance,tfns,finance_instruct]"
TITLE = r"Evil_|& 100% #1 $x$ \input{/etc/passwd} ~^ <b>[x](javascript:1)</b> `` www.x.io -- ‮ 模型"
OUTPUTS = (
    "neutral",
    "line\u2028separator \x85 and \x0b so on \\boxed{neutral}",
    "<script>alert(1)</script> | =cmd() \\boxed{42}",
    "\N{ZERO WIDTH SPACE}\x1b[31m\\boxed{是}\n---\n...\n",
)


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The run under a harmless name."""
    folder = tmp_path_factory.mktemp("exports")
    outputs = folder / "outputs.jsonl"
    overrides = ["data=sample", BENCHMARKS, "limit=7", f"run_dir={folder / 'run'}"]
    config = run_settings(["+model=replay", f"model.path={outputs}", "model.name=tiny-q4_0", *overrides])
    examples = [example for loaded in load_data(config).values() for example in loaded.examples]
    with outputs.open("w", encoding="utf-8") as file:
        for number, example in enumerate(examples):
            text = OUTPUTS[number % len(OUTPUTS)]
            file.write(json.dumps({"id": example.id, "turn": example.turn, "text": text}) + "\n")
    return scored_run(execute(config, Console(file=io.StringIO())))


@pytest.fixture(scope="session")
def hostile(run: Run) -> Run:
    """The same run of a model with a hostile name and title, two samples an example, and a failed answer."""
    model = {**run.info.raw["model"], "name": "../../x\n/..", "title": TITLE}
    items = [
        item.with_samples((sample, replace(sample, number=1, text="neutral")))
        for item in run.items
        for sample in item.samples
    ]
    first, second = items[0].samples
    scores = {name: replace(score, correct=None, value=None) for name, score in first.scores.items()}
    gone = replace(first, text=None, error="engine_error: gone", scores=scores)
    items[0] = items[0].with_samples((gone, second))
    return with_items(with_head(run, model=model, run_id="../run"), items)


def of_hub(run: Run) -> Run:
    """The run as if all its benchmarks had been read from upstream."""
    data = {name: {**each, "source": "hub", "revision": "abc"} for name, each in run.info.raw["data"].items()}
    return with_head(run, data=data)


@pytest.fixture
def run_dir(run: Run, tmp_path: Path) -> Path:
    """The folder with the record of a run of upstream data, which every format can tell."""
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / RECORD_FILE).write_bytes(to_bytes(of_hub(run)))
    return folder
