"""Loops of the real small model: ended where they are proven, and nothing else changed by streaming."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.config.settings import run_settings
from evalkit.engines import open_engine
from evalkit.run.runner import load_data
from evalkit.schema import Completion, GenerationSettings, Message, gold_text
from tests.e2e.conftest import MODEL, evalkit

LIMIT = 340  # tokens: a little more than a loop needs
ENDLESS = [Message("user", "Write the numbers 1, 2, 1, 2 again and again without end.")]
SHORT = [Message("user", "Repeat the word hello forever.")]  # its whole answer: Hello forever.


async def asked(log: Path, *requests: tuple[list[Message], GenerationSettings]) -> list[Completion]:
    settings = run_settings([MODEL, "data=sample", "backend.slots=1"])
    engine = open_engine(settings.model, settings.backend, LIMIT, log)
    try:
        await engine.start(100)
        return [await engine.complete(messages, sampling, 0) for messages, sampling in requests]
    finally:
        await engine.stop()


def test_a_loop_ends_and_its_slot_serves_on(tmp_path: Path) -> None:
    whole = GenerationSettings(0.0, 1.0, 0, 0.0, 1.0, LIMIT, 0)
    ending = replace(whole, stop_loops=True)
    requests = [(ENDLESS, ending), (SHORT, ending), (ENDLESS, whole), (SHORT, whole)]
    ended, short, full, short_whole = asyncio.run(asked(tmp_path / "log", *requests))
    assert (full.finish_reason, full.completion_tokens) == ("length", LIMIT)
    assert ended.finish_reason == "loop"
    assert ended.completion_tokens is not None
    assert 300 <= ended.completion_tokens < LIMIT
    assert ended.text
    assert (full.text or "").startswith(ended.text)
    assert ended.prompt_tokens == full.prompt_tokens
    assert ended.decode_s
    # An answer that ends by itself is the same to the character, and counted the same.
    assert (short.text, short.finish_reason) == (short_whole.text, "stop")
    assert (short.prompt_tokens, short.completion_tokens) == (
        short_whole.prompt_tokens,
        short_whole.completion_tokens,
    )


def replayed(folder: Path, answer: Callable[[int, str], str]) -> Path:
    """A run over made-up answers to the sample's FinQA questions.

    Args:
        answer: from a question's number and its gold answer.
    """
    data = load_data(run_settings([MODEL, "data=sample", "benchmark=[finqa]"]))
    lines = [
        json.dumps({"id": example.id, "text": answer(number, gold_text(example.gold))})
        for number, example in enumerate(data["finqa"].examples)
    ]
    (folder / "outputs.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    words = ["+model=replay", "model.path=outputs.jsonl", "data=sample", "benchmark=[finqa]", "run_dir=run"]
    done = evalkit("run", *words, cwd=folder)
    assert done.returncode == 0, done.stderr
    return folder / "run"


def test_the_bench_finds_loops_and_no_verdict_that_they_change(tmp_path: Path) -> None:
    again = "The net revenue of the year is what the net revenue of the year was. " * 60
    texts = (again, "So it is \\boxed{7}. " + again, "It is \\boxed{3}.")
    run = replayed(tmp_path, lambda number, gold: texts[number % 3])
    lines = [json.dumps({"text": text}) for text in (again, "short")]
    (tmp_path / "more.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = evalkit("loops", str(run), "more.jsonl", cwd=tmp_path, module="bench")
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {row.split()[0]: row.split()[1:] for row in done.stdout.splitlines() if row.strip()}
    answers, _, loops, _, saved, verdicts, changed = rows["run"]
    assert int(loops) == sum(number % 3 != 2 for number in range(int(answers)))
    assert int(saved.replace(",", "")) > 100 * int(loops)
    assert int(verdicts.replace(",", "")) > int(loops)
    assert changed == "0"
    assert rows["more.jsonl"][2] == "1"


def test_the_bench_would_say_if_a_verdict_changed(tmp_path: Path) -> None:
    """An answer that comes back from a proven loop to another result: none was ever seen."""
    run = replayed(tmp_path, lambda number, gold: "Is it 7777? " * 80 + f"\n\\boxed{{{gold}}}")
    done = evalkit("loops", str(run), cwd=tmp_path, module="bench")
    assert done.returncode == 1, done.stderr
    changed = [line for line in done.stdout.splitlines() if " became " in line]
    assert changed
    assert all(line.startswith("run ") and "correct " in line for line in changed if " financial: " in line)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "give runs or files"),
        (["no.jsonl"], "no such run or file"),
        (["bad.jsonl"], "line 1 is not JSON"),
    ],
)
def test_wrong_requests_of_the_bench(tmp_path: Path, words: list[str], says: str) -> None:
    (tmp_path / "bad.jsonl").write_text("{", encoding="utf-8")
    done = evalkit("loops", *words, cwd=tmp_path, module="bench")
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
