"""Workers in this process, with engines that answer at once, which can be lost at will."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from evalkit.engines import Engine
from evalkit.engines.replay import Settings as Replay
from evalkit.run.folder import Answers
from evalkit.run.generations import Writer, read_generations
from evalkit.run.ray import RecordStore, TaskQueue, WorkerPool, WorkerRegistry
from evalkit.run.ray_worker import Delivery, Facts, Figures, Job, Worker, WorkerLost, WorkerSpec
from evalkit.run.schedule import EngineClock, Journal, grouped, requests_of
from evalkit.schema import Answer, Example, GenerationSettings
from tests.runner.test_schedule import SAMPLING, ToyEngine
from tests.settings import model_settings

T = TypeVar("T")


class ToyWorker(Worker):
    """A real worker around an engine that is given."""

    def __init__(self, engine: ToyEngine, sampling: GenerationSettings = SAMPLING) -> None:
        super().__init__(WorkerSpec(model_settings(), Replay(kind="replay"), sampling, None, None))
        self.toy = engine

    def _open(self) -> Engine:
        self._engine = self.toy
        return self.toy


class LosableWorker:
    """A worker whose process can be lost: calls in flight fail, and `start` finds a new process."""

    def __init__(self, engine: Callable[[], ToyEngine]) -> None:
        self._make = engine
        self._worker: ToyWorker | None = None
        self._gone = asyncio.Event()
        self.starts = 0
        self.replaced = 0
        self.jobs: list[Job] = []

    @property
    def engine(self) -> ToyEngine | None:
        return self._worker.toy if self._worker else None

    def lose(self) -> None:
        self._worker = None
        self._gone.set()

    def replace(self) -> None:
        self.replaced += 1
        self.lose()

    def _there(self) -> ToyWorker:
        if self._worker is None:
            raise WorkerLost("its machine is gone")
        return self._worker

    async def _call(self, call: Awaitable[T]) -> T:
        answer = asyncio.ensure_future(call)
        gone = asyncio.ensure_future(self._gone.wait())
        await asyncio.wait({answer, gone}, return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            answer.cancel()
            raise WorkerLost("its machine is gone")
        gone.cancel()
        return answer.result()

    async def start(self, longest_prompt: int | None) -> Facts:
        self.starts += 1
        self._gone = asyncio.Event()
        self._worker = ToyWorker(self._make())
        return await self._worker.start(longest_prompt)

    async def serve(self, slot: int, work: Job) -> None:
        self.jobs.append(work)
        await self._call(self._there().serve(slot, work))

    async def collect(self, linger: float) -> Delivery:
        return await self._call(self._there().collect(linger))

    async def stop(self) -> Figures:
        return Figures()


def work(
    workers: list[LosableWorker],
    examples: list[Example],
    path: Path,
    *,
    during: Callable[[Answer], None] = lambda _: None,
    **settings: Any,
) -> list[Answer]:
    """Let the workers answer all examples; `during` is called with each record that is on disk."""

    async def go() -> None:
        answers = Answers(read_generations(path), {"engine": "toy"}, SAMPLING, None)
        reference = await ToyWorker(ToyEngine(slots=1)).prepare()
        options = {"pending": len(workers), "patience": 10.0, "longest_prompt": None, **settings}
        registry = WorkerRegistry(reference)
        pool = WorkerPool(lambda number: workers[number], registry, size=len(workers), **options)
        writer = Writer(path)
        tasks = TaskQueue(grouped(requests_of(examples, 1), lambda _: 1), answers)
        try:
            await pool.work(tasks, RecordStore(Journal(answers, writer, EngineClock(), during)))
        finally:
            writer.close()

    asyncio.run(go())
    return read_generations(path)
