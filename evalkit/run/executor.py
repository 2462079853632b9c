"""Where the engines of a run work: on this machine, or spread over a Ray cluster."""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

from evalkit import engines
from evalkit.config.settings import RayExecutor, RunSettings
from evalkit.engines import Engine, PricedEngine, TokenCounts
from evalkit.run.schedule import Group, Journal, Scheduler
from evalkit.schema import Message, Speed


class Executor(Protocol):
    """The engines of one run: what the run asks of an engine, and the work itself.

    The methods that an `Engine` has too mean the same; of several engines the first one answers.
    """

    @property
    def is_here(self) -> bool:
        """Whether all of it runs on this machine."""
        ...

    async def connect(self) -> None:
        """Reach whatever tells what the model is; nothing is started yet.

        Raises:
            UserError: it is not there, or cannot have the model.
            EngineUnusable: it does not answer.
        """
        ...

    def identity(self) -> dict[str, Any]: ...

    def description(self) -> dict[str, Any]:
        """Facts for run.json; before `connect` there may be none."""
        ...

    def count_earlier(self, sessions: Iterable[Mapping[str, Any]], records: Iterable[TokenCounts]) -> None:
        """Let what earlier sessions of the run have cost count, where answers cost money."""
        ...

    async def tokenize(self, prompts: Sequence[Sequence[Message]]) -> list[array[int]] | None: ...

    async def start(self, longest_prompt: int | None) -> None: ...

    async def probe(self) -> Speed | None: ...

    async def work(self, groups: Sequence[Group], journal: Journal) -> None:
        """Generate what the groups still lack, every answer on disk before it counts.

        Raises:
            EngineUnusable: the engine does not come back. All finished records are on disk.
        """
        ...

    async def stop(self) -> None: ...

    def peak_memory_bytes(self) -> int | None: ...

    def peak_gpu_memory_bytes(self) -> int | None: ...


class OneEngine:
    """One engine, on this machine or behind a service that this machine asks."""

    is_here = True

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.identity = engine.identity
        self.description = engine.description
        self.tokenize = engine.tokenize
        self.start = engine.start
        self.probe = engine.probe
        self.stop = engine.stop
        self.peak_memory_bytes = engine.peak_memory_bytes
        self.peak_gpu_memory_bytes = engine.peak_gpu_memory_bytes

    async def connect(self) -> None:
        """Nothing to do: an engine that is open knows its model."""

    def count_earlier(self, sessions: Iterable[Mapping[str, Any]], records: Iterable[TokenCounts]) -> None:
        if isinstance(self._engine, PricedEngine):
            self._engine.count_earlier(sessions, records)

    async def work(self, groups: Sequence[Group], journal: Journal) -> None:
        await Scheduler(self._engine, journal).run(groups)


def preflight(settings: RunSettings) -> None:
    """Whatever can be found wrong before data are read or anything is downloaded.

    Raises:
        UserError: this machine cannot do the run that way.
    """
    if isinstance(settings.executor, RayExecutor):
        from evalkit.run import ray

        ray.preflight(settings, settings.executor)
    else:
        engines.preflight(settings.model, settings.backend, settings.max_tokens)


def open_executor(settings: RunSettings, log: Path) -> Executor:
    """The executor that the settings name, not started yet.

    Args:
        log: where an engine on this machine writes its output.

    Raises:
        UserError: the backend cannot serve this model.
    """
    if isinstance(settings.executor, RayExecutor):
        from evalkit.run.ray import RayEngines

        return RayEngines(settings, settings.executor)
    return OneEngine(engines.open_engine(settings.model, settings.backend, settings.max_tokens, log))
