"""What the scheduler does when the engine misbehaves, with an engine that misbehaves to order."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from evalkit.engines import EngineDied
from evalkit.run.folder import Answers
from evalkit.run.generations import Writer, read_generations
from evalkit.run.schedule import EngineClock, Journal, Scheduler, grouped, requests_of
from evalkit.schema import Answer, Completion, EngineUnusable, Example, GenerationSettings, Message
from tests.runner.toy import dialogue, example

SAMPLING = GenerationSettings(0.0, 1.0, 0, 0.0, 1.0, 16, 0)


class ToyEngine:
    """Answers with the number of messages; `dies` says at which calls it dies instead."""

    def __init__(self, slots: int, dies: Callable[[int], bool] = lambda call: False) -> None:
        self.slots = slots
        self.calls = 0
        self.revivals = 0
        self.served: list[tuple[int, str]] = []
        self._dies = dies

    def identity(self) -> dict[str, Any]:
        return {"engine": "toy"}

    def description(self) -> dict[str, Any]:
        return {}

    def peak_gpu_memory_bytes(self) -> int | None:
        return None

    async def probe(self) -> None:
        return None

    def peak_memory_bytes(self) -> int | None:
        return None

    async def tokenize(self, prompts: Sequence[Sequence[Message]]) -> list[array[int]] | None:
        return None

    async def start(self, longest_prompt: int | None) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def revive(self) -> None:
        self.revivals += 1

    async def complete(
        self, messages: Sequence[Message], sampling: GenerationSettings, slot: int
    ) -> Completion:
        self.calls += 1
        call = self.calls
        await asyncio.sleep(0)
        if self._dies(call):
            raise EngineDied("killed")
        self.served.append((slot, messages[-1].content))
        return Completion(str(len(messages)), "stop")


def work(engine: ToyEngine, examples: list[Example], path: Path) -> list[Answer]:
    answers = Answers(read_generations(path), engine.identity(), SAMPLING, None)
    writer = Writer(path)
    scheduler = Scheduler(engine, Journal(answers, writer, EngineClock(), lambda _: None))
    groups = grouped(requests_of(examples, 1), lambda _: 1)
    try:
        asyncio.run(scheduler.run(groups))
    finally:
        writer.close()
    return read_generations(path)


def test_a_group_stays_on_one_slot_and_in_order(tmp_path: Path) -> None:
    engine = ToyEngine(slots=2)
    examples = [example(f"{g}{i}", g, prompt=f"{g}{i}") for g in "abcd" for i in range(5)]
    assert len(work(engine, examples, tmp_path / "g.jsonl")) == 20
    for name in "abcd":
        served = [(slot, prompt) for slot, prompt in engine.served if prompt[0] == name]
        assert len({slot for slot, _ in served}) == 1
        assert [prompt for _, prompt in served] == [f"{name}{i}" for i in range(5)]


def test_own_answers_reach_the_next_turn(tmp_path: Path) -> None:
    records = work(ToyEngine(slots=3), dialogue("d", 4), tmp_path / "g.jsonl")
    assert [len(record.messages) for record in records] == [1, 3, 5, 7]
    assert records[3].messages[5] == {"role": "assistant", "content": "5"}


def test_requests_survive_deaths_of_the_engine(tmp_path: Path) -> None:
    engine = ToyEngine(slots=2, dies=lambda call: call % 3 == 0)
    records = work(engine, [example(str(i), str(i)) for i in range(20)], tmp_path / "g.jsonl")
    assert len({record.key for record in records}) == len({record.id for record in records}) == 20
    assert all(record.error is None for record in records)
    assert engine.revivals > 0


def test_a_request_that_always_kills_the_engine_is_recorded_as_failed(tmp_path: Path) -> None:
    class Poisoned(ToyEngine):
        async def complete(
            self, messages: Sequence[Message], sampling: GenerationSettings, slot: int
        ) -> Completion:
            if messages[-1].content == "poison":
                raise EngineDied("killed")
            return await super().complete(messages, sampling, slot)

    examples = [example(str(i), str(i), prompt="poison" if i == 7 else str(i)) for i in range(20)]
    records = work(Poisoned(slots=1), examples, tmp_path / "g.jsonl")
    assert len(records) == 20
    assert [record.id for record in records if record.error] == ["7"]


def test_an_engine_that_never_answers_ends_the_run(tmp_path: Path) -> None:
    engine = ToyEngine(slots=2, dies=lambda call: call > 5)
    with pytest.raises(EngineUnusable, match="keeps dying"):
        work(engine, [example(str(i), str(i)) for i in range(50)], tmp_path / "g.jsonl")
    assert engine.calls < 40
    kept = read_generations(tmp_path / "g.jsonl")
    assert sum(record.error is None for record in kept) == 5


def test_finished_requests_are_not_repeated(tmp_path: Path) -> None:
    examples = [example(str(i), str(i)) for i in range(10)]
    path = tmp_path / "g.jsonl"
    work(ToyEngine(slots=2), examples[:6], path)
    second = ToyEngine(slots=2)
    assert len(work(second, examples, path)) == 10
    assert second.calls == 4


def test_records_made_from_something_else_are_noticed(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    work(ToyEngine(slots=1), [example("a"), example("b")], path)
    requests = requests_of([example("a", prompt="changed"), example("b")], 1)
    assert Answers(read_generations(path), {"engine": "toy"}, SAMPLING, None).stale(requests) == 1
    assert Answers(read_generations(path), {"engine": "other"}, SAMPLING, None).stale(requests) == 2
