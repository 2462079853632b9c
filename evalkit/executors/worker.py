"""One engine as an actor: Ray runs this class on some machine. The class itself knows nothing of Ray."""

from __future__ import annotations

import asyncio
import contextlib
import platform
import shutil
import tempfile
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from evalkit import __version__
from evalkit.backends.engine import ENGINE_ERROR, Completion, Engine, Sampling
from evalkit.backends.open import open_engine
from evalkit.backends.speed import Speed
from evalkit.example import Message, TextGold
from evalkit.runner.ask import NO_HISTORY, Asker
from evalkit.runner.clock import EngineClock
from evalkit.runner.folder import ENGINE_LOG
from evalkit.runner.provenance import hardware
from evalkit.runner.request import Name, Request, messages_of, seeded

_LONGEST_WAIT_SECONDS = 10.0  # of `collect`, for something to collect


@dataclass(frozen=True, slots=True)
class Order:
    """What a worker is made from. ``cpus`` is its share of its machine; ``scratch`` the folder for its own
    files, None: the machine's for temporary ones."""

    model: dict[str, Any]
    backend: dict[str, Any]
    sampling: Sampling
    system: str | None
    cpus: float
    scratch: str | None


@dataclass(frozen=True, slots=True)
class Facts:
    """Who a worker is. ``engine`` is the engine's description."""

    version: str
    node: str
    hardware: dict[str, Any]
    identity: dict[str, Any]
    engine: dict[str, Any]
    slots: int


@dataclass(frozen=True, slots=True)
class Figures:
    """What a worker has cost so far: bytes, and seconds with a request in flight."""

    peak_memory_bytes: int | None = None
    peak_gpu_memory_bytes: int | None = None
    engine_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Delivery:
    """Answers since the last delivery, in the order in which they came."""

    answers: list[tuple[Name, Completion]]
    figures: Figures


@dataclass(frozen=True, slots=True)
class Job:
    """The requests of a group that have no answer yet, in order, and the answers that its others have.

    One that failed has none, and what builds on it fails, too.
    """

    requests: tuple[Request, ...]
    texts: dict[Name, str | None]


def job(requests: Sequence[Request], texts: Mapping[Name, str | None]) -> Job:
    """A job without what no engine needs to see: gold answers stay with the driver."""
    bare = tuple(
        replace(request, example=replace(request.example, gold=TextGold(""), facets={}))
        for request in requests
    )
    return Job(bare, dict(texts))


class Worker:
    """An engine and the answers that it has given and nobody has collected yet."""

    def __init__(self, order: Order) -> None:
        self._order = order
        self._clock = EngineClock()
        self._scratch: str | None = None
        self._engine: Engine | None = None
        self._asker: Asker | None = None
        self._started = asyncio.Lock()
        self._serving: set[asyncio.Task[None]] = set()
        self._answers: list[tuple[Name, Completion]] = []
        self._news = asyncio.Event()

    async def prepare(self) -> Facts:
        """Fetch and check the weights; the engine is not started.

        Raises:
            UserError: this machine cannot serve the model.
        """
        async with self._started:
            engine = await asyncio.to_thread(self._open)
        return self._facts(engine)

    def _open(self) -> Engine:
        if self._engine is None:
            self._scratch = self._scratch or tempfile.mkdtemp(
                prefix="evalkit-worker-", dir=self._order.scratch
            )
            backend = dict(self._order.backend)
            if "threads" in backend and backend["threads"] is None and self._order.cpus >= 1:
                backend["threads"] = int(self._order.cpus)
            log = Path(self._scratch) / ENGINE_LOG
            self._engine = open_engine(self._order.model, backend, self._order.sampling.max_tokens, log)
        return self._engine

    def _facts(self, engine: Engine) -> Facts:
        return Facts(
            version=__version__,
            node=platform.node(),
            hardware=hardware(),
            identity=engine.identity(),
            engine=engine.description(),
            slots=engine.slots,
        )

    async def tokenize(self, prompts: list[tuple[Message, ...]]) -> list[array[int]] | None:
        await self.prepare()
        assert self._engine is not None
        return await self._engine.tokenize(prompts)

    async def start(self, longest_prompt: int | None) -> Facts:
        """Start serving, or drop what was being served: whoever starts a worker knows nothing of its past."""
        await self.prepare()
        engine = self._engine
        assert engine is not None
        async with self._started:
            for task in list(self._serving):
                task.cancel()
            if self._asker is None:
                await engine.start(longest_prompt)
                self._asker = Asker(engine, self._clock)
        return self._facts(engine)

    async def probe(self) -> Speed | None:
        assert self._engine is not None
        return await self._engine.probe()

    async def serve(self, slot: int, work: Job) -> None:
        """Answer a job's requests one after the other, on one slot."""
        task = asyncio.ensure_future(self._serve(slot, work))
        self._serving.add(task)
        try:
            await asyncio.wait({task})
            if not task.cancelled():  # by `start`: then nobody waits for this answer
                task.result()
        finally:
            task.cancel()
            self._serving.discard(task)

    async def _serve(self, slot: int, work: Job) -> None:
        assert self._asker is not None, "started before it serves"
        texts = dict(work.texts)
        for request in work.requests:
            messages = messages_of(request, self._order.system, texts)
            if messages is None:
                completion = NO_HISTORY
            else:
                completion = await self._asker.ask(messages, seeded(self._order.sampling, request), slot)
            self._clock.recorded()
            if not (completion.error or "").startswith(ENGINE_ERROR):
                texts[request.name] = completion.text
            self._answers.append((request.name, completion))
            self._news.set()

    async def collect(self, linger: float) -> Delivery:
        """The answers since the last call. Waits a while for the first, then `linger` seconds for more."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._news.wait(), _LONGEST_WAIT_SECONDS)
            await asyncio.sleep(linger)
        self._news.clear()
        answers, self._answers = self._answers, []
        return Delivery(answers, self._figures())

    def _figures(self) -> Figures:
        if self._engine is None:
            return Figures()
        return Figures(
            self._engine.peak_memory_bytes(), self._engine.peak_gpu_memory_bytes(), self._clock.engine_seconds
        )

    async def stop(self) -> Figures:
        """End the engine; what it cost in all."""
        if self._engine is not None:
            await self._engine.stop()
        if self._scratch:
            shutil.rmtree(self._scratch, ignore_errors=True)
        return self._figures()
