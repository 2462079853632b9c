"""The generation record on disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.run.folder import generation
from evalkit.run.generations import Writer, read_generations, rewrite
from evalkit.schema import Answer, Completion, Message, Request, UserError
from tests.runner.toy import example


def record(id_: str, error: str | None = None) -> Answer:
    completion = Completion(None if error else "四 \u2028 {}", "stop", 10, 4, 2, 0.5, error=error)
    return generation(Request(example(id_), 0), f"key-{id_}", [Message("user", "x")], completion)


def test_records_come_back_as_written(tmp_path: Path) -> None:
    path = tmp_path / "generations.jsonl"
    writer = Writer(path)
    writer.append([record("a")])
    writer.append([record("b"), record("c")])
    writer.close()
    assert read_generations(path) == [record("a"), record("b"), record("c")]


def test_a_torn_last_line_never_counted(tmp_path: Path) -> None:
    path = tmp_path / "generations.jsonl"
    whole, torn = record("a").line(), record("b").line()
    for end in range(len(torn) - 1):
        path.write_text(whole + torn[:end], encoding="utf-8")
        assert read_generations(path) == [record("a")]


def test_a_broken_line_is_named(tmp_path: Path) -> None:
    path = tmp_path / "generations.jsonl"
    path.write_text(record("a").line() + "{}\n" + record("b").line(), encoding="utf-8")
    with pytest.raises(UserError, match=r"generations\.jsonl: line 2 "):
        read_generations(path)


def test_rewriting_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "generations.jsonl"
    rewrite(path, [record("a"), record("b")])
    rewrite(path, [record("b")])
    assert read_generations(path) == [record("b")]
    assert list(tmp_path.iterdir()) == [path]


def test_only_the_engines_own_failures_are_tried_again() -> None:
    assert record("a").is_final
    assert record("a", "context_overflow").is_final
    assert not record("a", "engine_error: HTTP 400").is_final


def test_computed_tokens() -> None:
    assert record("a").computed_tokens == 6
