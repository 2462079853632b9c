"""Sending requests: one group per slot at a time, every answer on disk before it counts."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence

from evalkit.backends.engine import (
    ENGINE_ERROR,
    Completion,
    Engine,
    EngineDied,
    EngineUnusable,
)
from evalkit.example import Message
from evalkit.runner.answers import Answers
from evalkit.runner.clock import EngineClock
from evalkit.runner.order import Group
from evalkit.runner.record import Generation, Writer, generation
from evalkit.runner.request import Request

_ATTEMPTS = 3  # of one request, when the server dies under it
_DEATHS_WITHOUT_AN_ANSWER = 5  # then it is the server and not the request


class Scheduler:
    """Works through groups of requests on an engine's slots.

    Args:
        on_record: called after each record is on disk.
    """

    def __init__(
        self,
        engine: Engine,
        answers: Answers,
        writer: Writer,
        clock: EngineClock,
        on_record: Callable[[Generation], None],
    ) -> None:
        self._engine = engine
        self._answers = answers
        self._writer = writer
        self._clock = clock
        self._on_record = on_record
        self._deaths = 0

    async def run(self, groups: Sequence[Group]) -> None:
        """Generate what the groups still lack.

        Raises:
            EngineUnusable: the engine does not come back. All finished records are on disk.
        """
        queue = deque(groups)

        async def serve(slot: int) -> None:
            while queue:
                for request in queue.popleft():
                    await self._finish(request, slot)

        tasks = [asyncio.create_task(serve(slot)) for slot in range(self._engine.slots)]
        try:
            await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _finish(self, request: Request, slot: int) -> None:
        if self._answers.record(request) is not None:
            return
        messages = self._answers.messages(request)
        assert messages is not None, "a dialogue's turns are in order, so the earlier answers exist"
        completion = await self._answer(request, messages, slot)
        record = generation(request, self._answers.key(request, messages), messages, completion)
        self._writer.append([record])
        self._clock.recorded()
        self._answers.add(record)
        self._on_record(record)

    async def _answer(self, request: Request, messages: tuple[Message, ...], slot: int) -> Completion:
        reason = ""
        for _ in range(_ATTEMPTS):
            try:
                with self._clock.request():
                    completion = await self._engine.complete(messages, self._answers.sampling(request), slot)
            except EngineDied as error:
                reason = str(error)
                await self._revive(reason)
            else:
                self._deaths = 0
                return completion
        return Completion(None, None, error=f"{ENGINE_ERROR}: {reason} ({_ATTEMPTS} attempts)")

    async def _revive(self, reason: str) -> None:
        self._deaths += 1
        if self._deaths > _DEATHS_WITHOUT_AN_ANSWER * self._engine.slots:
            raise EngineUnusable(f"the engine keeps dying without answering anything: {reason}")
        await self._engine.revive()
