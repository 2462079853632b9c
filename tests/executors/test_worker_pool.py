"""Work over workers that are lost: every answer once, nothing that is finished done again."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import Sequence
from pathlib import Path

import pytest

from evalkit.engines import EngineDied
from evalkit.run.generations import Writer, read_generations
from evalkit.run.ray import split
from evalkit.run.schedule import requests_of
from evalkit.schema import Answer, Completion, EngineUnusable, GenerationSettings, Message, UserError
from tests.executors.pools import LosableWorker, work
from tests.runner.test_schedule import ToyEngine
from tests.runner.test_schedule import work as work_alone
from tests.runner.toy import dialogue, example


class SlowEngine(ToyEngine):
    """Takes a moment for an answer, so that there is something in flight."""

    async def complete(
        self, messages: Sequence[Message], sampling: GenerationSettings, slot: int
    ) -> Completion:
        await asyncio.sleep(0.005)
        return await super().complete(messages, sampling, slot)


def pool_of(count: int, slots: int = 2) -> list[LosableWorker]:
    return [LosableWorker(lambda: SlowEngine(slots)) for _ in range(count)]


def content(records: list[Answer]) -> dict[str, tuple[str | None, list[dict[str, str]]]]:
    """Text and messages by key; fails if a key occurs twice."""
    found = {record.key: (record.text, record.messages) for record in records}
    assert len(found) == len(records)
    return found


def test_the_same_records_as_one_engine_makes(tmp_path: Path) -> None:
    examples = [example(f"{g}{i}", g, prompt=f"{g}{i}") for g in "abcdef" for i in range(4)]
    examples += dialogue("d", 5)
    alone = work_alone(ToyEngine(slots=2), examples, tmp_path / "alone.jsonl")
    workers = pool_of(3)
    records = work(workers, examples, tmp_path / "pool.jsonl")
    assert content(records) == content(alone)
    assert all(worker.jobs for worker in workers)


TURNS = 200  # so many that not all are answered before the first ones are on disk, on a busy machine


def test_a_lost_worker_is_asked_only_for_what_is_missing(tmp_path: Path) -> None:
    worker = LosableWorker(lambda: SlowEngine(1))
    lost: list[Answer] = []

    def lose_once(record: Answer) -> None:
        if record.turn == 2 and not lost:
            lost.append(record)
            worker.lose()

    records = work([worker], dialogue("d", TURNS), tmp_path / "g.jsonl", during=lose_once)
    assert content(records) == content(work_alone(ToyEngine(1), dialogue("d", TURNS), tmp_path / "a.jsonl"))
    assert worker.starts == 2
    first, second = worker.jobs
    assert len(first.requests) == TURNS
    kept = {name[2] for name in second.texts}
    assert {0, 1, 2} <= kept
    assert kept.isdisjoint(request.example.turn for request in second.requests)


def test_workers_lost_all_the_time(tmp_path: Path) -> None:
    workers = pool_of(4)
    seen = 0

    def lose_often(record: Answer) -> None:
        nonlocal seen
        seen += 1
        if seen % 7 == 0:
            workers[seen % 4].lose()

    examples = [example(f"{g}-{i}", str(g)) for g in range(20) for i in range(6)] + dialogue("d", 12)
    records = work(workers, examples, tmp_path / "g.jsonl", during=lose_often)
    assert len(content(records)) == len({r.name for r in records}) == 132
    assert all(record.error is None for record in records)
    assert sum(worker.starts for worker in workers) > 8


def test_finished_records_are_not_asked_for_again(tmp_path: Path) -> None:
    path = tmp_path / "g.jsonl"
    work(pool_of(2), dialogue("d", 3), path)
    workers = pool_of(2)
    assert len(content(work(workers, dialogue("d", 6), path))) == 6
    assert [len(job.requests) for worker in workers for job in worker.jobs] == [3]


def test_gold_answers_stay_with_the_driver(tmp_path: Path) -> None:
    workers = pool_of(1)
    work(workers, [example("a")], tmp_path / "g.jsonl")
    assert "2.0" not in repr(workers[0].jobs)


class Poisoned(ToyEngine):
    """Loses its worker a while into one request."""

    workers: list[LosableWorker]

    async def complete(
        self, messages: Sequence[Message], sampling: GenerationSettings, slot: int
    ) -> Completion:
        if messages[-1].content == "poison":
            await asyncio.sleep(0.1)
            next(worker for worker in self.workers if worker.engine is self).lose()
            await asyncio.sleep(60)
        return await super().complete(messages, sampling, slot)


def test_a_request_that_no_worker_survives_stops_nothing_else(tmp_path: Path) -> None:
    workers = [LosableWorker(lambda: Poisoned(2)) for _ in range(2)]
    Poisoned.workers = workers
    examples = [example(str(i), str(i // 3), prompt="poison" if i == 2 else str(i)) for i in range(60)]
    path = tmp_path / "g.jsonl"
    with pytest.raises(EngineUnusable, match=r"time and again.*machine is gone"):
        work(workers, examples, path)
    records = read_generations(path)
    assert len(content(records)) == 59
    assert all(record.error is None for record in records)


def test_workers_that_never_answer_end_the_run(tmp_path: Path) -> None:
    class Broken(ToyEngine):
        async def complete(
            self, messages: Sequence[Message], sampling: GenerationSettings, slot: int
        ) -> Completion:
            raise EngineDied("killed")

        async def revive(self) -> None:
            raise EngineUnusable("it does not come back")

    workers = [LosableWorker(lambda: Broken(1)) for _ in range(2)]
    with pytest.raises(EngineUnusable, match=r"time and again.*does not come back"):
        work(workers, [example(str(i), str(i)) for i in range(90)], tmp_path / "g.jsonl")
    assert all(0 < worker.replaced <= 6 for worker in workers)


def test_another_model_on_a_machine_is_refused(tmp_path: Path) -> None:
    class Other(ToyEngine):
        def identity(self) -> dict[str, object]:
            return {"engine": "toy", "build": 2}

    with pytest.raises(UserError, match=r"not the same model: build is 2 there and None on"):
        work([LosableWorker(lambda: Other(1))], [example("a")], tmp_path / "g.jsonl")


def test_a_cluster_without_room_ends_the_run(tmp_path: Path) -> None:
    class Pending(LosableWorker):
        async def start(self, longest_prompt: int | None) -> None:  # type: ignore[override]
            await asyncio.sleep(60)

    with pytest.raises(EngineUnusable, match="no room"):
        work([Pending(lambda: ToyEngine(1))], [example("a")], tmp_path / "g.jsonl", patience=0.1)


def test_workers_without_a_machine_are_few(tmp_path: Path) -> None:
    waiting, most = 0, 0

    class Counted(LosableWorker):
        async def start(self, longest_prompt: int | None) -> object:  # type: ignore[override]
            nonlocal waiting, most
            waiting += 1
            most = max(most, waiting)
            await asyncio.sleep(0.01)
            waiting -= 1
            return await super().start(longest_prompt)

    workers: list[LosableWorker] = [Counted(lambda: SlowEngine(1)) for _ in range(9)]
    work(workers, [example(str(i), str(i)) for i in range(90)], tmp_path / "g.jsonl", pending=2)
    assert most == 2
    assert sum(worker.starts for worker in workers) == 9


def test_a_disk_that_fails_ends_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Writer, records: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Writer, "append", full)
    with pytest.raises(OSError, match="No space"):
        work(pool_of(2), [example(str(i), str(i)) for i in range(9)], tmp_path / "g.jsonl")


def test_long_groups_are_divided_among_slots() -> None:
    page = requests_of([example(f"p{i}", "p") for i in range(100)], 1)
    talk = requests_of(dialogue("d", 40), 1)
    assert [len(part) for part in split([page, talk], slots=4)] == [*[9] * 11, 1, 40]
    assert split([page, talk], slots=1) == [page[:35], page[35:70], page[70:], talk]
    assert max(len(part) for part in split([page], slots=1000)) == 4
    assert [request for part in split([page], slots=4) for request in part] == page


def test_what_builds_on_a_failed_turn_fails_too(tmp_path: Path) -> None:
    class Failing(ToyEngine):
        async def complete(
            self, messages: Sequence[Message], sampling: GenerationSettings, slot: int
        ) -> Completion:
            if messages[-1].content == "question 2":
                return Completion(None, None, error="engine_error: HTTP 400")
            return await super().complete(messages, sampling, slot)

    alone = work_alone(Failing(slots=1), dialogue("d", 5), tmp_path / "alone.jsonl")
    pool = work([LosableWorker(lambda: Failing(1))], dialogue("d", 5), tmp_path / "pool.jsonl")
    assert [record.error is None for record in alone] == [True, True, False, False, False]
    assert [(r.key, r.error) for r in pool] == [(r.key, r.error) for r in alone]
