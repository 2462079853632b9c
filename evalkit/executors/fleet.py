"""A run's engine when it is many: what the runner asks of an engine, and the work itself, over Ray."""

from __future__ import annotations

import asyncio
from array import array
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from evalkit.backends.engine import EngineUnusable
from evalkit.backends.speed import Speed
from evalkit.errors import UserError
from evalkit.example import Message
from evalkit.executors.cluster import Cluster
from evalkit.executors.crew import Crew
from evalkit.executors.groups import Shares, split
from evalkit.executors.remote_worker import RayWorker, WorkerLost
from evalkit.executors.roster import Roster, check_same
from evalkit.executors.settings import RaySettings, ray_settings
from evalkit.executors.store import RecordStore
from evalkit.executors.worker import Facts, Order
from evalkit.runner.answers import Answers
from evalkit.runner.clock import EngineClock
from evalkit.runner.order import Group
from evalkit.runner.record import Generation, Writer
from evalkit.runner.settings import sampling

_STOP_SECONDS = 5


class RayFleet:
    """Engines of one model on a Ray cluster.

    The first worker plans: it tells what the model is and how long the prompts are, so that this machine
    needs neither the weights nor an engine. The others come when there is work for them.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        self._settings: RaySettings = ray_settings(config)
        self._config = config
        self._order: Order | None = None
        self._cluster: Cluster | None = None
        self._workers: dict[int, RayWorker] = {}
        self._first: Facts | None = None
        self._roster: Roster | None = None
        self._longest_prompt: int | None = None

    async def connect(self) -> None:
        """Join or start the cluster and have the first worker fetch the weights.

        Raises:
            UserError: no cluster, or the worker cannot have the model.
            EngineUnusable: no machine for a worker within `executor.patience`.
        """
        self._cluster = Cluster(self._settings)
        self._order = _order(self._config, self._settings, self._cluster.scratch)
        self._check_room(self._cluster)
        try:
            self._first = await asyncio.wait_for(self._worker(0).prepare(), self._settings.patience)
        except TimeoutError as error:
            raise EngineUnusable(
                f"the cluster gave no worker within executor.patience ({self._settings.patience:.0f} s)"
            ) from error
        except WorkerLost as error:
            raise EngineUnusable(f"the first worker did not come up: {error}") from error
        check_same(self._first, self._first)  # its version, at this point
        self._roster = Roster(self._first)

    def _check_room(self, cluster: Cluster) -> None:
        if cluster.scratch and not cluster.room(self._settings):
            raise UserError(
                "executor.resources: this machine has no room for even one such worker: ask for less, or "
                "give the address of a cluster: executor.address=ray://HOST:10001"
            )

    def _worker(self, number: int) -> RayWorker:
        assert self._order is not None, "connected"
        if number not in self._workers:
            self._workers[number] = RayWorker(self._order, self._settings)
        return self._workers[number]

    @property
    def is_here(self) -> bool:
        """Whether all of it runs on this machine."""
        return self._settings.address is None

    def identity(self) -> dict[str, Any]:
        assert self._first is not None, "connected"
        return self._first.identity

    def description(self) -> dict[str, Any]:
        """The first engine's description, and who else worked."""
        if self._first is None or self._roster is None:
            return {}
        return {**self._first.engine, "executor": "ray", **self._roster.description()}

    async def tokenize(self, prompts: Sequence[Sequence[Message]]) -> list[array[int]] | None:
        # After the work the first worker may be one that was lost and for which there is no machine any more.
        present = self._roster.present if self._roster else frozenset()
        worker = self._worker(min(present, default=0))
        try:
            if not present:
                await worker.prepare()
            return await worker.tokenize([tuple(prompt) for prompt in prompts])
        except WorkerLost as error:
            raise EngineUnusable(f"the worker that plans was lost: {error}") from error

    async def start(self, longest_prompt: int | None) -> None:
        self._longest_prompt = longest_prompt
        try:
            self._first = await self._worker(0).start(longest_prompt)
        except WorkerLost as error:
            raise EngineUnusable(f"the first worker does not start: {error}") from error

    async def probe(self) -> Speed | None:
        return await self._worker(0).probe()

    async def work(
        self,
        groups: Sequence[Group],
        answers: Answers,
        writer: Writer,
        clock: EngineClock,
        on_record: Callable[[Generation], None],
    ) -> None:
        """Generate what the groups still lack; see Scheduler.run."""
        assert self._cluster is not None
        assert self._roster is not None
        assert self._first is not None
        size = self._settings.workers or max(1, self._cluster.room(self._settings))
        shares = Shares(split(groups, size * self._first.slots), answers)
        if not shares.missing:
            return
        crew = Crew(
            self._worker,
            self._roster,
            size=min(size, shares.count),
            pending=self._settings.pending,
            patience=self._settings.patience,
            longest_prompt=self._longest_prompt,
        )
        await crew.work(shares, answers, RecordStore(writer, clock, on_record), clock)

    async def stop(self) -> None:
        """End workers and connection; a worker that does not answer is killed with its engine."""
        if self._cluster is None:
            return
        cluster, self._cluster = self._cluster, None
        workers, self._workers = self._workers, {}
        await asyncio.gather(*(self._stop(number, worker) for number, worker in workers.items()))
        cluster.close()

    async def _stop(self, number: int, worker: RayWorker) -> None:
        try:
            if self._roster is not None and number in self._roster.present:
                self._roster.cost(number, await asyncio.wait_for(worker.stop(), _STOP_SECONDS))
        except (WorkerLost, EngineUnusable, TimeoutError):
            pass  # its last figures stand
        finally:
            worker.end()

    def peak_memory_bytes(self) -> int | None:
        return self._roster.peak_memory_bytes() if self._roster else None

    def peak_gpu_memory_bytes(self) -> int | None:
        return self._roster.peak_gpu_memory_bytes() if self._roster else None


def _order(config: Mapping[str, Any], settings: RaySettings, scratch: str | None) -> Order:
    return Order(
        model=_with_absolute_paths(config["model"]),
        backend=dict(config["backend"]),
        sampling=sampling(config),
        system=config["protocol"]["system"],
        cpus=settings.cpus,
        scratch=scratch,
    )


def _with_absolute_paths(model: Mapping[str, Any]) -> dict[str, Any]:
    """A worker's working directory is not ours, even on the same machine."""
    return {
        key: str(Path(value).absolute()) if key in ("path", "chat_template") and value else value
        for key, value in model.items()
    }
