"""Model outputs with hand labels, and the gold answers they belong to.

Laid out as `<dir>/model_outputs/labels_finqa_*.jsonl` and `labels_convfinqa_*.jsonl`, with the outputs beside
them: FinQA's as `{"id", "generation"}`, ConvFinQA's as `{"record_id", "turn_idx", "predicted_answer",
"predicted_unit"}`. A label says `id` (or `record_id`, `turn_idx`), `final_answer`, `value`, `percent`,
`correct_lenient` (for FinQA also `correct_lenient_exe`), `correct_strict`, `failure`, `borderline`, `note`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.errors import UserError
from evalkit.example import Gold
from evalkit.paths import CONFIGS
from evalkit.scorers.verdict import Output

Row = Mapping[str, Any]
Key = tuple[str, int | None]


@dataclass(frozen=True, slots=True)
class Labelled:
    """One output, its gold, and what a reader said of it."""

    benchmark: str
    name: str
    output: Output
    gold: Gold
    label: Row

    @property
    def lenient(self) -> bool:
        """The lenient verdict against the executed value alone."""
        return bool(self.label.get("correct_lenient_exe", self.label["correct_lenient"]))


def labelled(directory: Path) -> list[Labelled]:
    """Every labelled output under `directory`, borderline ones left out.

    Raises:
        UserError: there are no labels, or one has no output or no gold answer.
    """
    items = [item for benchmark in ("finqa", "convfinqa") for item in _of(benchmark, directory)]
    if not items:
        raise UserError(f"no labels in {directory}: it needs model_outputs/labels_finqa_*.jsonl or the like")
    return items


def golds(benchmark: str, directory: Path) -> dict[Key, Gold]:
    """The gold answers of a benchmark's local data by (id, turn).

    Raises:
        UserError: the data is missing or malformed.
    """
    from omegaconf import OmegaConf

    from evalkit.benchmarks import load

    config = OmegaConf.to_container(OmegaConf.load(CONFIGS / "benchmark" / f"{benchmark}.yaml"), resolve=True)
    if not isinstance(config, dict):
        raise UserError(f"configs/benchmark/{benchmark}.yaml is not a mapping")
    named = {str(key): value for key, value in config.items()}
    data = {"source": "local", "dir": str(directory)}
    loaded = load(named, data, limit=None, seed=0, sampling="item")
    return {(example.id, example.turn): example.gold for example in loaded.examples}


def _of(benchmark: str, directory: Path) -> Iterator[Labelled]:
    rows = list(_rows(directory, f"labels_{benchmark}_*.jsonl"))
    if not rows:
        return
    gold_of = golds(benchmark, directory)
    outputs = {_key(row): _text(row) for row in _rows(directory, f"{benchmark}_*.jsonl")}
    for row in rows:
        key = _key(row)
        if key not in outputs or key not in gold_of:
            raise UserError(f"{directory}: label {row['id']} has no output or no gold answer")
        if not row["borderline"]:
            yield Labelled(benchmark, str(row["id"]), Output(outputs[key]), gold_of[key], row)


def _rows(directory: Path, pattern: str) -> Iterator[Row]:
    for path in sorted((directory / "model_outputs").glob(pattern)):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise UserError(f"{path}: line {number} is not JSON") from error
            if not isinstance(row, dict):
                raise UserError(f"{path}: line {number} is not an object")
            yield row


def _key(row: Row) -> Key:
    return (str(row["record_id"]), int(row["turn_idx"])) if "record_id" in row else (str(row["id"]), None)


def _text(row: Row) -> str:
    """A raw output; a structured answer is put in a box, with the % that its unit says."""
    if "generation" in row:
        return str(row["generation"])
    answer = str(row["predicted_answer"])
    percent = row["predicted_unit"] == "percent" and "%" not in answer
    return rf"\boxed{{{answer}{'%' if percent else ''}}}"
