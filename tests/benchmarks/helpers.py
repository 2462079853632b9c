"""Upstream-shaped records and files for the loaders' tests."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.benchmarks import load
from evalkit.config.settings import SelectBy
from evalkit.schema import Loaded
from tests.settings import benchmark_settings, local


def load_local(
    name: str,
    directory: Path,
    *,
    limit: int | None = None,
    seed: int = 0,
    sampling: SelectBy = "item",
    **changes: object,
) -> Loaded:
    settings = benchmark_settings(name, **changes)
    return load(settings, local(directory), limit=limit, seed=seed, sampling=sampling)


def finqa_record(number: int = 0, page: str = "ACME/2020/page_1.pdf", **qa: object) -> dict[str, Any]:
    asked = {"question": f"what is {number}?", "program": "subtract(29, 8), divide(#0, 8)", "exe_ans": 2.625}
    return {
        "id": f"{page}-{number}",
        "filename": page,
        "pre_text": ["first sentence .", "second ."],
        "table": [["", "2019", "2020"], ["revenue", "$ 8", "$ 29"]],
        "post_text": ["after ."],
        "qa": {**asked, "answer": "262.5%", **qa},
    }


def dialogue(number: int = 0, turns: int = 3, page: str = "ACME/2020/page_1.pdf") -> dict[str, Any]:
    record = finqa_record(number, page)
    del record["qa"]
    annotation = {
        "dialogue_break": [f"question {turn} of {number}?" for turn in range(turns)],
        "turn_program": ["8", "subtract(29, 8)", "greater(29, 8)"][:turns],
        "exe_ans_list": [0.0787, 6305.0, "yes"][:turns],
        "qa_split": [0] * turns,
    }
    return {**record, "id": f"Single_{record['id']}", "annotation": annotation}


def write_json(path: Path, value: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False), encoding="utf-8")
    return path


def write_jsonl(path: Path, records: Iterable[Mapping[str, object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8-sig", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])
    return path
