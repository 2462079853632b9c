"""Many engines of one model on a Ray cluster: the executor of a run, and the pool of its workers.

Ray places, restarts and scales the workers, and nothing here schedules machines: the pool hands prefix groups
to the workers that there are, takes their answers, and takes back what a lost worker had not finished.
"""

from __future__ import annotations

import asyncio
import importlib.util
import time
from array import array
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from evalkit.config.settings import ModelSettings, RayExecutor, RunSettings
from evalkit.engines import TokenCounts
from evalkit.files import install_extra
from evalkit.run.folder import Answers
from evalkit.run.ray_worker import (
    Cluster,
    Facts,
    Figures,
    RayWorker,
    RemoteWorker,
    WorkerLost,
    WorkerSpec,
    job,
)
from evalkit.run.schedule import DEATHS_WITHOUT_AN_ANSWER, Group, Journal, together
from evalkit.schema import (
    Answer,
    Completion,
    EngineUnusable,
    Message,
    Name,
    OwnAnswer,
    Request,
    Speed,
    UserError,
)
from evalkit.version import __version__

_STOP_SECONDS = 5


class RayEngines:
    """Engines of one model on a Ray cluster.

    The first worker plans: it tells what the model is and how long the prompts are, so that this machine
    needs neither the weights nor an engine. The others come when there is work for them.
    """

    def __init__(self, run: RunSettings, settings: RayExecutor) -> None:
        self._settings = settings
        self._run = run
        self._spec: WorkerSpec | None = None
        self._cluster: Cluster | None = None
        self._workers: dict[int, RayWorker] = {}
        self._first: Facts | None = None
        self._registry: WorkerRegistry | None = None
        self._longest_prompt: int | None = None

    async def connect(self) -> None:
        """Join or start the cluster and have the first worker fetch the weights.

        Raises:
            UserError: no cluster, or the worker cannot have the model.
            EngineUnusable: no machine for a worker within `executor.patience`.
        """
        self._cluster = Cluster(self._settings)
        self._spec = _spec(self._run, self._settings, self._cluster.scratch)
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
        self._registry = WorkerRegistry(self._first)

    def _check_room(self, cluster: Cluster) -> None:
        if cluster.scratch and not cluster.room(self._settings):
            raise UserError(
                "executor.resources: this machine has no room for even one such worker: ask for less, or "
                "give the address of a cluster: executor.address=ray://HOST:10001"
            )

    def _worker(self, number: int) -> RayWorker:
        assert self._spec is not None, "connected"
        if number not in self._workers:
            self._workers[number] = RayWorker(self._spec, self._settings)
        return self._workers[number]

    @property
    def is_here(self) -> bool:
        return self._settings.address is None

    def identity(self) -> dict[str, Any]:
        assert self._first is not None, "connected"
        return self._first.identity

    def description(self) -> dict[str, Any]:
        """The first engine's description, and who else worked."""
        if self._first is None or self._registry is None:
            return {}
        return {**self._first.engine, "executor": "ray", **self._registry.description()}

    def count_earlier(self, sessions: Iterable[Mapping[str, Any]], records: Iterable[TokenCounts]) -> None:
        """Nothing to do: a ceiling on money is refused (see `for_worker` of the remote backend)."""

    async def tokenize(self, prompts: Sequence[Sequence[Message]]) -> list[array[int]] | None:
        # After the work the first worker may be one that was lost and for which there is no machine any more.
        present = self._registry.present if self._registry else frozenset()
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

    async def work(self, groups: Sequence[Group], journal: Journal) -> None:
        assert self._cluster is not None
        assert self._registry is not None
        assert self._first is not None
        size = self._settings.workers or max(1, self._cluster.room(self._settings))
        tasks = TaskQueue(split(groups, size * self._first.slots), journal.answers)
        if not tasks.missing:
            return
        pool = WorkerPool(
            self._worker,
            self._registry,
            size=min(size, tasks.count),
            pending=self._settings.pending,
            patience=self._settings.patience,
            longest_prompt=self._longest_prompt,
        )
        await pool.work(tasks, RecordStore(journal))

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
            if self._registry is not None and number in self._registry.present:
                self._registry.cost(number, await asyncio.wait_for(worker.stop(), _STOP_SECONDS))
        except (WorkerLost, EngineUnusable, TimeoutError):
            pass  # its last figures stand
        finally:
            worker.end()

    def peak_memory_bytes(self) -> int | None:
        return self._registry.peak_memory_bytes() if self._registry else None

    def peak_gpu_memory_bytes(self) -> int | None:
        return self._registry.peak_gpu_memory_bytes() if self._registry else None


def preflight(run: RunSettings, settings: RayExecutor) -> None:
    """What can be found wrong before anything is started.

    Raises:
        UserError: Ray is not installed, or the workers cannot share a setting of the backend.
    """
    if importlib.util.find_spec("ray") is None:
        raise UserError(f"executor=ray needs Ray: {install_extra('ray')}")
    run.backend.for_worker(settings.resources.num_cpus)


def _spec(run: RunSettings, settings: RayExecutor, scratch: str | None) -> WorkerSpec:
    return WorkerSpec(
        model=_with_absolute_paths(run.model),
        backend=run.backend.for_worker(settings.resources.num_cpus),
        sampling=run.generation,
        system=run.protocol.system,
        scratch=scratch,
    )


def _with_absolute_paths(model: ModelSettings) -> ModelSettings:
    """A worker's working directory is not ours, even on the same machine."""
    paths = {"path": model.path, "chat_template": model.chat_template}
    return model.model_copy(
        update={key: str(Path(value).absolute()) for key, value in paths.items() if value}
    )


_CALLS_PER_SECOND = 500  # deliveries that the driver asks for, over all workers
_SHORTEST_LINGER_SECONDS = 0.02
_WATCH_SECONDS = 0.5


@dataclass(order=True, slots=True)
class GroupTask:
    """A group to be finished. ``losses``: how many workers were lost with it.

    Tasks are taken by number. One that has seen two workers go waits behind all others, so that a group
    which no worker survives keeps none of them from being finished.
    """

    number: int
    requests: tuple[Request, ...] = field(compare=False)
    missing: dict[Name, Request] = field(compare=False)
    losses: int = field(init=False, default=0, compare=False)


@dataclass(slots=True)
class _Member:
    """A worker, the tasks that it has, and how often it was lost since its last answer."""

    number: int
    worker: RemoteWorker
    held: dict[int, GroupTask] = field(default_factory=dict)
    losses: int = 0


class WorkerPool:
    """The workers of one run.

    Args:
        spawn: makes the worker with a number; Ray is asked for its machine by that.
        size: workers; pending: of those without a machine yet, at most.
        patience: seconds without any worker after which the run ends.
        longest_prompt: tokens, or None where the engine does not tell.
    """

    def __init__(
        self,
        spawn: Callable[[int], RemoteWorker],
        registry: WorkerRegistry,
        *,
        size: int,
        pending: int,
        patience: float,
        longest_prompt: int | None,
    ) -> None:
        self._spawn = spawn
        self._registry = registry
        self._size = size
        self._patience = patience
        self._longest_prompt = longest_prompt
        self._places = asyncio.Semaphore(pending)
        self._linger = max(_SHORTEST_LINGER_SECONDS, size / _CALLS_PER_SECOND)
        self._given_up = 0
        self._reason = ""

    async def work(self, tasks: TaskQueue, store: RecordStore) -> None:
        """Generate what the groups lack.

        Raises:
            UserError: a worker would not be the same model, or cannot serve it.
            EngineUnusable: there is no worker, or each was lost time and again without an answer.
        """
        self._queue, self._store, self._journal = tasks, store, store.journal
        working = asyncio.ensure_future(
            together([*(self._keep_at_work(number) for number in range(self._size)), self._watch()])
        )
        stored = asyncio.ensure_future(store.run(tasks.missing))
        try:
            await asyncio.wait({working, stored}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            working.cancel()
            await asyncio.gather(working, return_exceptions=True)
            ended_early = not stored.done()
            stored.cancel()
            await asyncio.gather(stored, return_exceptions=True)
        # Whichever failed is what went wrong; work cancelled because all is stored has not failed.
        (working if ended_early else stored).result()

    async def _keep_at_work(self, number: int) -> None:
        """Keep one worker at work, on whatever machine Ray has for it."""
        async with self._places:
            member = _Member(number, self._spawn(number))
        while member.losses <= DEATHS_WITHOUT_AN_ANSWER:
            try:
                async with self._places:
                    facts = await member.worker.start(self._longest_prompt)
                self._registry.arrived(number, facts)
                slots = [self._serve(member, slot) for slot in range(facts.slots)]
                await together([self._collect(member), *slots])
            except WorkerLost as loss:
                self._lost(member, str(loss))
            except EngineUnusable as failure:
                self._lost(member, str(failure))
                member.worker.replace()
        self._given_up += 1

    async def _serve(self, member: _Member, slot: int) -> None:
        while True:
            task = await self._queue.take()
            member.held[task.number] = task
            requests = [r for r in task.requests if r.name in task.missing]
            with self._journal.clock.request():
                await member.worker.serve(slot, job(requests, self._texts(task)))

    def _texts(self, task: GroupTask) -> dict[Name, str | None]:
        records = (self._journal.answers.record(request) for request in task.requests)
        return {record.name: record.text for record in records if record and record.is_final}

    async def _collect(self, member: _Member) -> None:
        while True:
            delivery = await member.worker.collect(self._linger)
            self._registry.cost(member.number, delivery.figures)
            for name, completion in delivery.answers:
                member.losses = 0
                request = self._queue.settle(name)
                if request is not None:
                    self._record(request, completion)
            member.held = {number: task for number, task in member.held.items() if task.missing}

    def _record(self, request: Request, completion: Completion) -> None:
        messages = self._journal.answers.messages(request)
        assert messages is not None, "a dialogue's turns come in order"
        record = self._journal.record(request, messages, completion)
        self._journal.answers.add(record)  # the next turn of its dialogue may come before it is on disk
        self._store.put(record)

    def _lost(self, member: _Member, reason: str) -> None:
        member.losses += 1
        self._reason = reason
        self._registry.lost(member.number)
        self._queue.give_back(member.held.values())
        member.held = {}

    async def _watch(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            if self._given_up == self._size:
                raise EngineUnusable(
                    f"every worker is lost time and again without any answer: {self._reason}"
                )
            if self._registry.present:
                last = time.monotonic()
            elif time.monotonic() - last > self._patience:
                raise EngineUnusable(
                    f"no worker for {self._patience:.0f} s: the cluster has no room for "
                    "executor.resources, or its autoscaler is slower than executor.patience"
                )


_TASKS_PER_SLOT = 4
_SHORTEST_TASK = 4


def longest_task(requests: int, slots: int) -> int:
    """How many requests a group may have, so that none keeps one slot at work when the others are done.

    A quarter of an even share, but not so few that shared prefixes are computed again and again.

    Args:
        slots: of all workers.
    """
    return max(_SHORTEST_TASK, -(-requests // (slots * _TASKS_PER_SLOT)))


def split(groups: Sequence[Group], slots: int) -> list[Group]:
    """Groups of at most `longest_task` requests; one whose requests build on each other stays whole."""
    longest = longest_task(sum(map(len, groups)), slots)
    return [part for group in groups for part in (_parts(group, longest) if _is_loose(group) else [group])]


def _is_loose(group: Group) -> bool:
    return not any(isinstance(m, OwnAnswer) for request in group for m in request.example.messages)


def _parts(group: Group, longest: int) -> list[Group]:
    return [group[start : start + longest] for start in range(0, len(group), longest)]


class TaskQueue:
    """All groups that lack something, in the order in which they should be taken."""

    def __init__(self, groups: Sequence[Group], answers: Answers) -> None:
        self._queue: asyncio.PriorityQueue[GroupTask] = asyncio.PriorityQueue()
        self._of: dict[Name, GroupTask] = {}
        for number, group in enumerate(groups):
            missing = {r.name: r for r in group if answers.record(r) is None}
            task = GroupTask(number, tuple(group), missing)
            self._of.update(dict.fromkeys(missing, task))
            if missing:
                self._queue.put_nowait(task)

    @property
    def count(self) -> int:
        """How many groups wait for a worker."""
        return self._queue.qsize()

    @property
    def missing(self) -> int:
        """How many answers are still to come."""
        return len(self._of)

    async def take(self) -> GroupTask:
        """The next group; waits for one that a lost worker gives back."""
        return await self._queue.get()

    def settle(self, name: Name) -> Request | None:
        """The request that an answer is for; None if it has one already."""
        task = self._of.pop(name, None)
        if task is None:
            return None
        return task.missing.pop(name)

    def give_back(self, tasks: Iterable[GroupTask]) -> None:
        """Take back what a lost worker had."""
        for task in tasks:
            if task.missing:
                task.losses += 1
                self._queue.put_nowait(task)


class WorkerRegistry:
    """All workers that a run has had. A worker that is made anew keeps its number.

    Args:
        reference: the worker whose identity is the run's.
    """

    def __init__(self, reference: Facts) -> None:
        self._reference = reference
        self._facts: dict[int, Facts] = {}
        self._figures: dict[int, Figures] = {}
        self._past_seconds: dict[int, float] = {}
        self._starts: dict[int, int] = {}
        self._present: set[int] = set()

    @property
    def present(self) -> frozenset[int]:
        """The workers that have started and are not known to be lost."""
        return frozenset(self._present)

    def arrived(self, number: int, facts: Facts) -> None:
        """A worker has started.

        Raises:
            UserError: its answers would not be those of the run's model.
        """
        check_same(self._reference, facts)
        self._present.add(number)
        self._facts[number] = facts
        self._starts[number] = self._starts.get(number, 0) + 1
        figures = self._figures.get(number, Figures())
        self._past_seconds[number] = self._past_seconds.get(number, 0.0) + figures.engine_seconds
        self._figures[number] = Figures(figures.peak_memory_bytes, figures.peak_gpu_memory_bytes)

    def cost(self, number: int, figures: Figures) -> None:
        """What the worker has cost since it was last made; its peaks stay those of its whole life."""
        before = self._figures.get(number, Figures())
        self._figures[number] = Figures(
            _highest([before.peak_memory_bytes, figures.peak_memory_bytes]),
            _highest([before.peak_gpu_memory_bytes, figures.peak_gpu_memory_bytes]),
            figures.engine_seconds,
        )

    def lost(self, number: int) -> None:
        self._present.discard(number)

    def peak_memory_bytes(self) -> int | None:
        """The highest of any one worker."""
        return _highest(figures.peak_memory_bytes for figures in self._figures.values())

    def peak_gpu_memory_bytes(self) -> int | None:
        return _highest(figures.peak_gpu_memory_bytes for figures in self._figures.values())

    def description(self) -> dict[str, Any]:
        """For run.json: the workers, the machines, and the workers' peaks of memory added up."""
        workers = [
            {
                "node": facts.node,
                "starts": self._starts[number],
                "load_seconds": facts.engine.get("load_seconds"),
                "peak_memory_bytes": self._figures[number].peak_memory_bytes,
                "peak_gpu_memory_bytes": self._figures[number].peak_gpu_memory_bytes,
                "engine_seconds": round(self._past_seconds[number] + self._figures[number].engine_seconds, 3),
            }
            for number, facts in sorted(self._facts.items())
        ]
        return {
            "workers": workers,
            "nodes": {facts.node: facts.hardware for facts in self._facts.values()},
            "peak_memory_bytes_sum": sum(w["peak_memory_bytes"] or 0 for w in workers) or None,
        }


def check_same(reference: Facts, other: Facts) -> None:
    """Raises UserError if `other` is not the reference's model, engine and harness."""
    if other.version != __version__:
        raise UserError(
            f"the worker on {other.node} has evalkit {other.version}, this machine {__version__}: "
            "install the same version there"
        )
    ours, theirs = reference.identity, other.identity
    for key in sorted(ours.keys() | theirs.keys()):
        if ours.get(key) != theirs.get(key):
            raise UserError(
                f"the worker on {other.node} is not the same model: {key} is {theirs.get(key)!r} there and "
                f"{ours.get(key)!r} on {reference.node}: make the machines the same"
            )


def _highest(values: Iterable[int | None]) -> int | None:
    return max((value for value in values if value), default=None)


class RecordStore:
    """The one writer of a run's records.

    Each record is synced to disk before it counts. A sync takes milliseconds however much it carries, and
    beside it the work goes on: records that arrive meanwhile go to disk together.
    """

    def __init__(self, journal: Journal) -> None:
        self.journal = journal
        self._waiting: list[Answer] = []
        self._arrived = asyncio.Event()

    def put(self, record: Answer) -> None:
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
            if batch := self._taken():
                self.journal.keep(batch)

    async def _store(self) -> int:
        batch = self._taken()
        writing = asyncio.ensure_future(asyncio.to_thread(self.journal.writer.append, batch))
        try:
            await asyncio.shield(writing)
        except asyncio.CancelledError:
            await writing
            raise
        self.journal.count(batch)
        return len(batch)

    def _taken(self) -> list[Answer]:
        batch, self._waiting = self._waiting, []
        self._arrived.clear()
        return batch
