"""The driver's end of a worker: calls that Ray carries, and their failures as what they mean to a run."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Awaitable
from typing import Any, Protocol, TypeVar

from evalkit.backends.engine import EngineUnusable
from evalkit.backends.speed import Speed
from evalkit.example import Message
from evalkit.executors.settings import RaySettings
from evalkit.executors.worker import Delivery, Facts, Figures, Job, Order, Worker

T = TypeVar("T")


class WorkerLost(Exception):
    """The worker's process, machine or connection is gone, with what it had not delivered. One line."""


class RemoteWorker(Protocol):
    """A worker somewhere. Every call may raise WorkerLost, UserError and EngineUnusable."""

    async def start(self, longest_prompt: int | None) -> Facts:
        """Waits until there is a machine for the worker, as often as machines are lost."""
        ...

    async def serve(self, slot: int, work: Job) -> None: ...

    async def collect(self, linger: float) -> Delivery: ...

    def replace(self) -> None:
        """Have the worker made anew, on whatever machine: its engine does not serve here."""
        ...


class RayWorker:
    """A worker as a Ray actor: Ray finds a machine for it, and another one when that is lost."""

    def __init__(self, order: Order, settings: RaySettings) -> None:
        import ray

        actor = ray.remote(Worker).options(
            num_cpus=settings.cpus,
            num_gpus=settings.gpus,
            scheduling_strategy="SPREAD",
            max_restarts=-1,
        )
        self._actor: Any = actor.remote(order)

    async def prepare(self) -> Facts:
        """Waits until there is a machine for the worker, as `start` does."""
        return await _answer(self._actor.prepare.options(max_task_retries=-1).remote())

    async def tokenize(self, prompts: list[tuple[Message, ...]]) -> list[array[int]] | None:
        return await _answer(self._actor.tokenize.remote(prompts))

    async def start(self, longest_prompt: int | None) -> Facts:
        return await _answer(self._actor.start.options(max_task_retries=-1).remote(longest_prompt))

    async def probe(self) -> Speed | None:
        return await _answer(self._actor.probe.remote())

    async def serve(self, slot: int, work: Job) -> None:
        await _answer(self._actor.serve.remote(slot, work))

    async def collect(self, linger: float) -> Delivery:
        return await _answer(self._actor.collect.remote(linger))

    async def stop(self) -> Figures:
        return await _answer(self._actor.stop.remote())

    def replace(self) -> None:
        self._kill(no_restart=False)

    def end(self) -> None:
        """End the actor's process for good, and its engine with it."""
        self._kill(no_restart=True)

    def _kill(self, no_restart: bool) -> None:
        import ray

        ray.kill(self._actor, no_restart=no_restart)


async def _answer(reference: Awaitable[T]) -> T:
    """What a call brings.

    Raises:
        WorkerLost: the call was not carried out, or nobody knows.
        EngineUnusable: the connection to the cluster is gone.
        Exception: what the worker itself raised.
    """
    from ray.exceptions import RayError, RayTaskError

    call = asyncio.ensure_future(reference)
    call.add_done_callback(_seen)
    try:
        # Ray's client for far clusters cannot bear that what it waits for is cancelled.
        return await asyncio.shield(call)
    except RayTaskError as error:
        cause: Any = error.cause
        raise cause if isinstance(cause, Exception) else error from None
    except RayError as error:
        line = str(error).strip().partition("\n")[0][:200]
        raise WorkerLost(f"{type(error).__name__}: {line}") from error
    except ConnectionError as error:
        raise EngineUnusable(f"the connection to the Ray cluster is gone: {str(error)[:200]}") from error


def _seen(call: asyncio.Future[Any]) -> None:
    """How a call ends that nobody waits for any more is of no interest, and not worth a warning."""
    if not call.cancelled():
        call.exception()
