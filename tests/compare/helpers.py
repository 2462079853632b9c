"""Real run folders from recorded outputs on the bundled samples."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from evalkit.__main__ import main
from evalkit.compare.pairs import PairedBenchmark
from evalkit.config.settings import run_settings
from evalkit.run.runner import load_data
from evalkit.schema import Example, Item, gold_text
from tests.unchained import unchain

Outputs = Mapping[tuple[str, int | None], str | None]
"""Text by id and turn; None leaves the output out."""

SAMPLE = "data=sample"


def examples(*arguments: str) -> list[Example]:
    """The examples of a run on the bundled samples, in its order."""
    data = load_data(run_settings(["+model=replay", "model.path=-", SAMPLE, *arguments]))
    return [example for loaded in data.values() for example in loaded.examples]


def right(example: Example) -> str:
    return f"\\boxed{{{gold_text(example.gold)}}}"


def run(folder: Path, changed: Outputs, *arguments: str, **fields: Any) -> Path:
    """The folder of a run in which every answer is right, except for the changed ones.

    `fields` are added to every output, e.g. its finish_reason.
    """
    folder.mkdir(parents=True)
    texts = {(e.id, e.turn): right(e) for e in examples(*arguments)} | dict(changed)
    lines = [
        json.dumps({"id": id_, "turn": turn, "text": text, **fields})
        for (id_, turn), text in texts.items()
        if text is not None
    ]
    path = folder / "outputs.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    run_dir = folder / "run"
    command = [
        "run",
        "+model=replay",
        f"model.path={path}",
        f"model.name={folder.name}",
        f"run_dir={run_dir}",
    ]
    assert main([*command, SAMPLE, *arguments]) == 0
    return run_dir


def edit_json(path: Path, change: Callable[[dict[str, Any]], None]) -> None:
    content = json.loads(path.read_text(encoding="utf-8"))
    change(content)
    path.write_text(json.dumps(content), encoding="utf-8")


def edit_records(run_dir: Path, change: Callable[[dict[str, Any]], None]) -> None:
    unchain(run_dir)
    path = run_dir / "generations.jsonl"
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    for record in records:
        change(record)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")


def paired(*pairs: tuple[Item, Item], benchmark: str = "finqa", rule: str = "financial") -> PairedBenchmark:
    """The candidate's and the reference's items."""
    return PairedBenchmark(benchmark, benchmark.upper(), rule, list(pairs), 0, 0, 0, 0)
