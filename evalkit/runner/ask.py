"""Asking an engine for one answer, however often it dies on the way; and doing several things together."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any

from evalkit.backends.engine import (
    ENGINE_ERROR,
    Completion,
    Engine,
    EngineDied,
    EngineUnusable,
    Sampling,
)
from evalkit.example import Message
from evalkit.runner.clock import EngineClock

DEATHS_WITHOUT_AN_ANSWER = 5  # per slot or worker; then it is the server and not the request
_ATTEMPTS = 3  # of one request, when the server dies under it

NO_HISTORY = Completion(None, None, error=f"{ENGINE_ERROR}: an earlier turn has no answer")
"""Stands for the answer of a dialogue's turn that builds on one which failed."""


class Asker:
    """Sends requests to an engine and revives it when it dies under one of them."""

    def __init__(self, engine: Engine, clock: EngineClock) -> None:
        self._engine = engine
        self._clock = clock
        self._deaths = 0

    async def ask(self, messages: Sequence[Message], sampling: Sampling, slot: int) -> Completion:
        """One answer, or the record of its failure.

        Raises:
            EngineUnusable: the engine does not come back, or dies without answering anything.
        """
        reason = ""
        for _ in range(_ATTEMPTS):
            try:
                with self._clock.request():
                    completion = await self._engine.complete(messages, sampling, slot)
            except EngineDied as error:
                reason = str(error)
                await self._revive(reason)
            else:
                self._deaths = 0
                return completion
        return Completion(None, None, error=f"{ENGINE_ERROR}: {reason} ({_ATTEMPTS} attempts)")

    async def _revive(self, reason: str) -> None:
        self._deaths += 1
        if self._deaths > DEATHS_WITHOUT_AN_ANSWER * self._engine.slots:
            raise EngineUnusable(f"the engine keeps dying without answering anything: {reason}")
        await self._engine.revive()


async def together(work: Sequence[Coroutine[Any, Any, None]]) -> None:
    """Run all of `work` at once; what fails first is raised, when the others have been cancelled."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
