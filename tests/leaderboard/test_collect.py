"""Which records are found, what is said of those that cannot be read, and which of several runs is shown."""

from __future__ import annotations

import gzip
import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from evalkit.board.board import choose, collect
from evalkit.run.info import Run
from evalkit.run.record import to_bytes
from evalkit.sweep.record import to_json
from tests.leaderboard.made import item, keep, leave, run, unchecked, with_items
from tests.sweep.ladders import tiny

RIGHT = run("model-a", {"finqa": [1.0, 0.0, 1.0]})


def test_kept_and_local_records_are_found_and_local_ones_can_be_left_out(tmp_path: Path) -> None:
    kept = keep(tmp_path, RIGHT)
    local = leave(tmp_path, run("deep/model", {"tfns": [1.0]}))
    assert list(collect(tmp_path, local=True).runs) == [*kept, *local]
    assert list(collect(tmp_path, local=False).runs) == kept
    assert collect(tmp_path, local=True).runs[kept[0]].items == RIGHT.items
    assert collect(tmp_path, local=True).problems == ()


def _head(**changes: Any) -> Callable[[Run], bytes]:
    return lambda found: to_bytes(unchecked(found, **changes))


def _score(score: float) -> Callable[[Run], bytes]:
    return lambda found: to_bytes(with_items(found, [*found.items[1:], item("finqa", 0, score)]))


UNREADABLE: dict[str, tuple[Callable[[Run], bytes], str]] = {
    "no gzip": (lambda found: b"nothing of the kind", "cannot be read"),
    "cut off": (lambda found: to_bytes(found)[:-40], "cannot be read"),
    "another tool's": (lambda found: gzip.compress(b'{"results": {}}\n'), "schema None"),
    "another schema": (_head(schema=7), "schema 7"),
    "no model": (_head(model={}), "model.name"),
    "a model without a name": (_head(model={"name": "", "title": "T"}), "model.name"),
    "a number too large for any disk": (_head(measured={"peak_memory_bytes": 10**30}), "peak_memory_bytes"),
    "not a speed": (_head(measured={"probe": {"decode_tokens_per_second": -1}}), "decode_tokens_per_second"),
    "no benchmark": (_head(benchmarks={}), "benchmarks"),
    "a benchmark whose name is a path": (
        _head(benchmarks={"../../x": {"title": "X", "covered": 1}}, data={"../../x": {"source": "local"}}),
        "benchmarks.../../x",
    ),
    "data of nothing": (_head(data={}), "data"),
    "an answer to something else": (
        lambda found: to_bytes(with_items(found, [*found.items, item("tfns", 1, 1.0)])),
        "no benchmark 'tfns'",
    ),
    "an answer twice": (
        lambda found: to_bytes(with_items(found, [*found.items, found.items[0]])),
        "more than once",
    ),
    "a score of 700 %": (_score(7.0), "a score of 7"),
    "a score that is no number": (
        lambda found: gzip.compress(gzip.decompress(to_bytes(found)).replace(b'"score":1.0', b'"score":NaN')),
        "not a run's record",
    ),
}


@pytest.mark.parametrize(("damage", "says"), UNREADABLE.values(), ids=UNREADABLE)
def test_what_cannot_be_read_is_named_and_the_rest_is_shown(
    tmp_path: Path, damage: Callable[[Run], bytes], says: str
) -> None:
    good, bad = keep(tmp_path, run("fine", {"tfns": [1.0]}), RIGHT)
    (tmp_path / bad).write_bytes(damage(RIGHT))
    found = collect(tmp_path, local=True)
    assert list(found.runs) == [good]
    (problem,) = found.problems
    assert (problem.file, problem.kind) == (bad, "unreadable")
    assert says in problem.reason
    assert "\n" not in problem.reason
    assert str(tmp_path) not in problem.reason


def test_anything_else_among_the_records_is_named(tmp_path: Path) -> None:
    keep(tmp_path, RIGHT)
    for name in ("records/results.json", "records/sweeps/x.txt", "records/README.md", "records/.gitkeep"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("{}")
    found = collect(tmp_path, local=True)
    assert [problem.file for problem in found.problems] == ["records/results.json", "records/sweeps/x.txt"]


def test_sweeps_are_found_once_and_broken_ones_named(tmp_path: Path) -> None:
    sweep = tiny()
    for name, content in {
        "records/sweeps/kept.json": to_json(sweep),
        "records/sweeps/broken.json": "{}",
        "records/sweeps/headless.json": to_json(replace(sweep, reference="nobody")),
        "records/sweeps/infinite.json": to_json(sweep).replace('"margin": 0.02', '"margin": Infinity'),
        "records/sweeps/nan.json": to_json(sweep).replace('"n": 150', '"n": 150, "value": NaN'),
        "sweeps/tiny/same/sweep.json": to_json(sweep),
        "sweeps/tiny/other/sweep.json": to_json(replace(sweep, title="Another")),
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(content)
    found = collect(tmp_path, local=True)
    assert {name: each.title for name, each in found.sweeps.items()} == {
        "kept": sweep.title,
        "tiny/other": "Another",
    }
    assert list(collect(tmp_path, local=False).sweeps) == ["kept"]
    names = ("broken", "headless", "infinite", "nan")
    assert [problem.file for problem in found.problems] == [f"records/sweeps/{name}.json" for name in names]
    assert "reference" in found.problems[1].reason
    assert "too large" in found.problems[2].reason
    assert "that is none" in found.problems[3].reason


def test_a_local_copy_of_a_kept_record_is_passed_over_in_silence(tmp_path: Path) -> None:
    kept = keep(tmp_path, RIGHT)
    leave(tmp_path, RIGHT)
    found = collect(tmp_path, local=True)
    assert list(found.runs) == kept
    assert found.problems == ()


def test_a_local_record_that_differs_from_the_kept_one_is_named(tmp_path: Path) -> None:
    kept = keep(tmp_path, RIGHT)
    local = leave(tmp_path, run("model-a", {"finqa": [1.0, 1.0, 1.0]}))
    found = collect(tmp_path, local=True)
    assert {file: each.items for file, each in found.runs.items()} == {kept[0]: RIGHT.items}
    assert [(p.file, p.kind) for p in found.problems] == [(local[0], "superseded")]
    assert "evalkit keep" in found.problems[0].reason


def _runs() -> dict[str, Run]:
    """Runs of one model, the one to show first."""
    three = {"finqa": [1.0, 1.0, 0.0], "tfns": [1.0]}
    return {
        "more benchmarks": run("m", {"finqa": [1.0, None, None], "tfns": [None]}, run_id="a"),
        "more scores": run("m", {"finqa": [1.0, 1.0, 0.0]}, run_id="b"),
        "later": run("m", {"finqa": [1.0, 1.0, None]}, run_id="c", started="2026-01-02T00:00:00+00:00"),
        "last id": run("m", {"finqa": [1.0, 1.0, None]}, run_id="e"),
        "first id": run("m", {"finqa": [1.0, 1.0, None]}, run_id="d"),
    } | {"other model": run("n", three)}


def test_the_most_complete_run_stands_for_the_others_whatever_their_order() -> None:
    runs = _runs()
    ranked = [name for name in runs if name != "other model"]
    for order in itertools.islice(itertools.permutations(runs), 0, None, 24):
        remaining = list(ranked)
        while remaining:
            among = {name: runs[name] for name in order if name in remaining or name == "other model"}
            shown, problems = choose(among)
            assert set(shown) == {remaining[0], "other model"}
            assert {problem.file for problem in problems} == set(remaining[1:])
            assert all(f" {remaining[0]}," in problem.reason for problem in problems)
            remaining.pop(0)


def test_a_run_with_a_benchmark_that_no_other_has_is_shown_too() -> None:
    runs = {
        "both": run("m", {"finqa": [1.0], "tfns": [1.0]}, run_id="a"),
        "one more": run("m", {"tfns": [1.0], "convfinqa": [0.0]}, run_id="b"),
        "less": run("m", {"tfns": [1.0]}, run_id="c"),
    }
    shown, problems = choose(runs)
    assert list(shown) == ["both", "one more"]
    assert [problem.file for problem in problems] == ["less"]


QUESTIONS: dict[str, dict[str, Any]] = {
    "protocol": {"protocol": {"name": "greedy", "samples": 4}},
    "temperature": {"sampling": {"temperature": 0.6, "seed": 0}},
    "limit": {"settings": {"limit": 3, "seed": 0, "sampling": "item"}},
    "data": {"data": {"finqa": {"source": "hub", "files": []}}},
    "history": {"benchmarks": {"finqa": {"title": "FinQA", "covered": 3, "history": "own"}}},
    "weights": {"engine": {"engine": "llama.cpp", "weights_sha256": "f"}},
}


@pytest.mark.parametrize("changes", QUESTIONS.values(), ids=QUESTIONS)
def test_runs_that_were_asked_otherwise_are_entries_of_their_own(changes: dict[str, Any]) -> None:
    other = run("model-a", {"finqa": [1.0, 0.0, 1.0]}, run_id="other", **changes)
    shown, problems = choose({"one": RIGHT, "other": other})
    assert list(shown) == ["one", "other"]
    assert problems == []


@pytest.mark.parametrize(
    "changes",
    [
        {"benchmarks": {"finqa": {"title": "FinQA, renamed", "covered": 3, "licence": "MIT"}}},
        {"hardware": {"cpu": "another"}},
        {"engine": {"engine": "llama.cpp", "slots": 4}},
    ],
)
def test_what_does_not_change_the_questions_makes_no_entry(changes: dict[str, Any]) -> None:
    other = run("model-a", {"finqa": [1.0, 0.0, 1.0]}, run_id="other", **changes)
    assert len(choose({"one": RIGHT, "other": other})[0]) == 1
