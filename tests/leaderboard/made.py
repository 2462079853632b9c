"""Records made by hand: a run of some model whose answers were scored as a test wants them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evalkit.leaderboard.collect import RECORDS, SUFFIX
from evalkit.records.file import FILE, to_bytes
from evalkit.records.record import Head, Record, Row, RuleVerdict

TITLES = {
    "finqa": "FinQA",
    "convfinqa": "ConvFinQA",
    "tfns": "TFNS",
    "finance_instruct": "Finance-Instruct-500k",
}


def row(benchmark: str, number: int, score: float | None, **changes: Any) -> Row:
    """An answer, alone on its page."""
    failure = "unscored" if score is None else "correct" if score == 1 else "wrong_number"
    correct = None if score is None else score == 1
    made = Row(
        benchmark=benchmark,
        id=f"{benchmark}-{number}",
        turn=None,
        sample=0,
        group=f"page-{number}",
        facets={},
        gold_kind="number",
        gold="42",
        messages=(("user", "How much?"),),
        text=f"{score}",
        finish_reason="stop",
        prompt_tokens=10,
        completion_tokens=2,
        error=None,
        verdicts={"financial": RuleVerdict(correct, score, failure, f"{score}", (0, 1))},
    )
    return replace(made, **changes)


def record(name: str, scores: Mapping[str, Sequence[float | None]], **changes: Any) -> Record:
    """A finished run of a model: one answer per score. `changes` are of its head."""
    rows = [row(bench, number, each) for bench, of in scores.items() for number, each in enumerate(of)]
    head = Head(
        run_id="greedy-local-all-0123",
        model={"name": name, "title": name.title(), "family": "Test", "parameters": 135_000_000},
        protocol={"name": "greedy", "samples": 1},
        sampling={"temperature": 0.0, "seed": 0},
        settings={"limit": None, "seed": 0, "sampling": "item"},
        benchmarks={bench: {"title": TITLES[bench], "covered": len(of)} for bench, of in scores.items()},
        data={bench: {"source": "local", "files": [{"name": "f", "sha256": "0"}]} for bench in scores},
        engine={"engine": "llama.cpp"},
        hardware={},
        measured={"peak_memory_bytes": 200 << 20, "probe": {"decode_tokens_per_second": 12.5}},
        evalkit={"version": "0"},
        started="2026-01-01T00:00:00+00:00",
        ended="2026-01-01T00:01:00+00:00",
    )
    return Record(replace(head, **changes), rows)


def keep(results: Path, *records: Record) -> list[str]:
    """Write them where the repository keeps records; their file names."""
    return [_write(results, f"{RECORDS}/{each.name}/{each.head.run_id}{SUFFIX}", each) for each in records]


def leave(results: Path, *records: Record) -> list[str]:
    """Write them where runs leave theirs; their file names."""
    return [_write(results, f"runs/{each.name}/{each.head.run_id}/{FILE}", each) for each in records]


def _write(results: Path, name: str, content: Record) -> str:
    path = results / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(to_bytes(content))
    return name
