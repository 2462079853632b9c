"""Opening the judge that settings name, for as long as it is needed."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from evalkit.judge.cache import VerdictCache, default_path
from evalkit.judge.judge import Judge
from evalkit.judge.settings import JudgeSettings

_LONGEST_REPLY = 256  # tokens, of any contract


def _silent(_done: int, _of: int) -> None: ...


@contextmanager
def open_judge(
    settings: JudgeSettings, log: Path, on_verdict: Callable[[int, int], None] = _silent
) -> Iterator[Judge]:
    """The judge; its engine starts with the first question that the cache cannot answer.

    Args:
        log: where an engine of our own writes what it has to say.
        on_verdict: called with (done, of) after each question of a call.

    Raises:
        UserError: there is no such engine, or its weights cannot be had, or the cache cannot be used.
    """
    from evalkit.backends.open import open_engine

    tokens = settings.max_tokens or _LONGEST_REPLY
    engine = open_engine(settings.model, settings.backend, tokens, log)
    with VerdictCache(default_path()) as cache, asyncio.Runner() as runner:
        try:
            yield Judge(engine, settings, cache, runner, on_verdict)
        finally:
            runner.run(engine.stop())


def check_judge(settings: JudgeSettings) -> None:
    """See that the judge can be had, before hours of work whose answers it is to judge.

    Raises:
        UserError: its weights, its service, its key or its model cannot be had.
    """
    from evalkit.backends.open import open_engine

    engine = open_engine(settings.model, settings.backend, _LONGEST_REPLY, Path(os.devnull))
    if settings.backend["kind"] != "remote":  # a server of our own would load its weights for nothing
        return

    async def ask() -> None:
        try:
            await engine.start(None)
        finally:
            await engine.stop()

    asyncio.run(ask())
