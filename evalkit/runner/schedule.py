"""Sending requests: one group per slot at a time, every answer on disk before it counts."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence

from evalkit.backends.engine import Engine
from evalkit.runner.answers import Answers
from evalkit.runner.ask import NO_HISTORY, Asker, together
from evalkit.runner.clock import EngineClock
from evalkit.runner.order import Group
from evalkit.runner.record import Generation, Writer, generation
from evalkit.runner.request import Request


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
        self._asker = Asker(engine, clock)
        self._answers = answers
        self._writer = writer
        self._clock = clock
        self._on_record = on_record

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

        await together([serve(slot) for slot in range(self._engine.slots)])

    async def _finish(self, request: Request, slot: int) -> None:
        if self._answers.record(request) is not None:
            return
        messages = self._answers.messages(request)
        assert messages is not None, "a dialogue's turns are in order, so the earlier answers exist"
        if self._answers.lacks_history(request):
            completion = NO_HISTORY
        else:
            completion = await self._asker.ask(messages, self._answers.sampling(request), slot)
        record = generation(request, self._answers.key(request, messages), messages, completion)
        self._writer.append([record])
        self._clock.recorded()
        self._answers.add(record)
        self._on_record(record)
