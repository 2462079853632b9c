"""Runs made by hand: of some model whose answers were scored as a test wants them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from evalkit.board.board import RECORDS
from evalkit.run.info import Run, run_info
from evalkit.run.record import RECORD_FILE, SUFFIX, to_bytes
from evalkit.schema import Item, Sample, Score

TITLES = {
    "finqa": "FinQA",
    "convfinqa": "ConvFinQA",
    "tfns": "TFNS",
    "finance_instruct": "Finance-Instruct-500k",
}
_OF_SAMPLES = Sample.__slots__


def judged(score: float | None) -> Score:
    """A rule's score of an answer."""
    if score is None:
        return Score(None, None, None, "unscored")
    return Score(f"{score}", score == 1, score, "correct" if score == 1 else "wrong_number", span=(0, 1))


def item(benchmark: str, number: int, *scores: float | None, **changes: Any) -> Item:
    """An example, alone on its page, with an answer per score. `changes` are of it or of its answers."""
    of_samples = {name: value for name, value in changes.items() if name in _OF_SAMPLES}
    made = Item(
        benchmark=benchmark,
        id=f"{benchmark}-{number}",
        turn=None,
        group=f"page-{number}",
        facets={},
        gold_kind="number",
        gold="42",
        question="How much?",
        samples=tuple(replace(sample(at, score), **of_samples) for at, score in enumerate(scores)),
    )
    return replace(made, **{name: value for name, value in changes.items() if name not in of_samples})


def sample(number: int, score: float | None) -> Sample:
    """An answer that the default rule gives this score."""
    return Sample(
        number=number,
        messages=(("user", "How much?"),),
        text=f"{score}",
        finish_reason="stop",
        prompt_tokens=10,
        completion_tokens=2,
        error=None,
        scores={"financial": judged(score)},
    )


def run(name: str, scores: Mapping[str, Sequence[float | None]], *others: Item, **changes: Any) -> Run:
    """A finished run of a model: one answer per score, and other examples. `changes` are of its head."""
    items = [item(bench, number, each) for bench, of in scores.items() for number, each in enumerate(of)]
    head = {
        "run_id": "greedy-local-all-0123",
        "model": {"name": name, "title": name.title(), "family": "Test", "parameters": 135_000_000},
        "protocol": {"name": "greedy", "samples": 1},
        "sampling": {"temperature": 0.0, "seed": 0},
        "settings": {"limit": None, "seed": 0, "sampling": "item"},
        "benchmarks": {bench: {"title": TITLES[bench], "covered": len(of)} for bench, of in scores.items()},
        "data": {bench: {"source": "local", "files": [{"name": "f", "sha256": "0"}]} for bench in scores},
        "engine": {"engine": "llama.cpp"},
        "hardware": {},
        "measured": {"peak_memory_bytes": 200 << 20, "probe": {"decode_tokens_per_second": 12.5}},
        "evalkit": {"version": "0"},
        "started": "2026-01-01T00:00:00+00:00",
        "ended": "2026-01-01T00:01:00+00:00",
        "schema": 1,
    }
    return Run(Path("made"), run_info({**head, **changes}), (*items, *others))


def with_head(made: Run, **changes: Any) -> Run:
    """The run with other blocks in its head."""
    return replace(made, info=run_info({**made.info.raw, **changes}))


def unchecked(made: Run, **changes: Any) -> Run:
    """The same, for writing, though nobody could read it back."""
    return replace(made, info=replace(made.info, raw={**made.info.raw, **changes}))


def with_items(made: Run, items: Iterable[Item]) -> Run:
    """The run with other examples."""
    return replace(made, items=tuple(items))


def with_answers(made: Run, **changes: Any) -> Run:
    """The run with the same changes to all its answers."""
    return with_items(
        made, (each.with_samples(tuple(replace(s, **changes) for s in each.samples)) for each in made.items)
    )


def answers(made: Run, benchmark: str | None = None) -> list[tuple[Item, Sample]]:
    """The run's answers, of all benchmarks or of one."""
    return [(i, s) for i in made.items if benchmark in (None, i.benchmark) for s in i.samples]


def keep(results: Path, *runs: Run) -> list[str]:
    """Write them where the repository keeps records; their file names."""
    return [_write(results, f"{RECORDS}/{_name(each)}{SUFFIX}", each) for each in runs]


def leave(results: Path, *runs: Run) -> list[str]:
    """Write them where runs leave theirs; their file names."""
    return [_write(results, f"runs/{_name(each)}/{RECORD_FILE}", each) for each in runs]


def _name(made: Run) -> str:
    return f"{made.info.model.name}/{made.info.run_id}"


def _write(results: Path, name: str, content: Run) -> str:
    path = results / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(to_bytes(content))
    return name
