"""Records that arrive while others go to disk go there together, so that the disk sets no pace."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from evalkit.runner.clock import EngineClock
from evalkit.runner.record import Generation, Writer


class RecordStore:
    """The one writer of a run's records.

    Each record is synced to disk before it counts. A sync takes milliseconds however much it carries, and
    beside it the work goes on.

    Args:
        on_record: called after each record is on disk.
    """

    def __init__(self, writer: Writer, clock: EngineClock, on_record: Callable[[Generation], None]) -> None:
        self._writer = writer
        self._clock = clock
        self._on_record = on_record
        self._waiting: list[Generation] = []
        self._arrived = asyncio.Event()

    def put(self, record: Generation) -> None:
        self._waiting.append(record)
        self._arrived.set()

    async def run(self, count: int) -> None:
        """Store `count` records; cancelled, store what has arrived."""
        stored = 0
        try:
            while stored < count:
                await self._arrived.wait()
                stored += await self._store()
        finally:
            self._write(self._taken())

    async def _store(self) -> int:
        batch = self._taken()
        writing = asyncio.ensure_future(asyncio.to_thread(self._writer.append, batch))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await writing
            raise
        self._count(batch)
        return len(batch)

    def _taken(self) -> list[Generation]:
        batch, self._waiting = self._waiting, []
        self._arrived.clear()
        return batch

    def _write(self, batch: list[Generation]) -> None:
        if batch:
            self._writer.append(batch)
            self._count(batch)

    def _count(self, batch: list[Generation]) -> None:
        self._clock.recorded()
        for record in batch:
            self._on_record(record)
