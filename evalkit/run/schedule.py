"""The order in which requests are sent, and how one engine works through them.

An engine's slot keeps the prefix of its last request, so the questions of one page belong on one slot, one
after the other. The longest pages start first, so that the slots finish together. Every answer is on disk
before it counts.
"""

from __future__ import annotations

import asyncio
import time
from array import array
from collections import defaultdict, deque
from collections.abc import Callable, Coroutine, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol

from evalkit.engines import Engine, EngineDied
from evalkit.run.folder import Answers, generation
from evalkit.run.generations import Writer
from evalkit.schema import (
    ENGINE_ERROR,
    Answer,
    Completion,
    EngineUnusable,
    Example,
    GenerationSettings,
    Message,
    Request,
)


class Watch(Protocol):
    """Whoever looks at the answers as they come, and may have seen enough before all are there."""

    def ordered(self, groups: Sequence[Group]) -> list[Group]:
        """The groups in the order in which they are wanted."""
        ...

    def wants(self, group: Group) -> bool:
        """Whether a group is still wanted when its turn comes."""
        ...

    def seen(self, answer: Answer) -> None:
        """An answer is on disk."""
        ...


@dataclass(frozen=True, slots=True)
class Journal:
    """Where the answers of a run go.

    Args:
        answers: those that there are.
        writer: of the file that keeps them.
        on_record: called after each record is on disk.
        watch: who may want no more; None: all is wanted.
    """

    answers: Answers
    writer: Writer
    clock: EngineClock
    on_record: Callable[[Answer], None]
    watch: Watch | None = None

    def wants(self, group: Group) -> bool:
        """Whether a group is still to be answered when its turn comes."""
        return self.watch is None or self.watch.wants(group)

    def record(self, request: Request, messages: tuple[Message, ...], completion: Completion) -> Answer:
        """The record of a finished request, which is not on disk yet."""
        return generation(request, self.answers.key(request, messages), messages, completion)

    def keep(self, records: Sequence[Answer]) -> None:
        """Put records on disk; then they count."""
        self.writer.append(records)
        self.count(records)

    def count(self, records: Sequence[Answer]) -> None:
        """Records are on disk."""
        self.clock.recorded()
        for record in records:
            self.answers.add(record)
            self.on_record(record)


class Scheduler:
    """Works through groups of requests on the slots of one engine."""

    def __init__(self, engine: Engine, journal: Journal) -> None:
        self._engine = engine
        self._asker = Asker(engine, journal.clock)
        self._journal = journal

    async def run(self, groups: Sequence[Group]) -> None:
        """Generate what the groups still lack.

        Raises:
            EngineUnusable: the engine does not come back. All finished records are on disk.
        """
        queue = deque(groups)
        answers = self._journal.answers
        waiting = sum(answers.record(request) is None for group in groups for request in group)
        self._journal.clock.expect(self._engine.slots, waiting)

        async def serve(slot: int) -> None:
            while queue:
                group = queue.popleft()
                for request in group if self._journal.wants(group) else ():
                    await self._finish(request, slot)

        await together([serve(slot) for slot in range(self._engine.slots)])

    async def _finish(self, request: Request, slot: int) -> None:
        answers = self._journal.answers
        if answers.record(request) is not None:
            return
        messages = answers.messages(request)
        assert messages is not None, "a dialogue's turns are in order, so the earlier answers exist"
        if answers.lacks_history(request):
            completion = NO_HISTORY
        else:
            completion = await self._asker.ask(messages, answers.sampling(request), slot)
        self._journal.keep([self._journal.record(request, messages, completion)])


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

    async def ask(self, messages: Sequence[Message], sampling: GenerationSettings, slot: int) -> Completion:
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


Group = list[Request]


def requests_of(examples: Iterable[Example], samples: int) -> list[Request]:
    """Each example `samples` times, the samples of one example next to each other."""
    return [Request(example, sample) for example in examples for sample in range(samples)]


def by_prefix(requests: Iterable[Request]) -> dict[tuple[str, str], Group]:
    """Requests by benchmark and group (a page, a dialogue), in the requests' order."""
    groups: dict[tuple[str, str], Group] = defaultdict(list)
    for request in requests:
        groups[request.example.benchmark, request.example.group].append(request)
    return groups


def grouped(requests: Iterable[Request], size: Callable[[Request], int]) -> list[Group]:
    """Requests as prefix groups, in the order in which slots should take them.

    Benchmarks stay together, because all items of one share their instruction; the benchmark with the
    longest prompts comes first, and so does the longest group in it. Ties keep the loader's order, so the
    result depends on nothing but the requests.

    Args:
        size: tokens (or characters) of a request's prompt.
    """
    groups = by_prefix(requests)
    sizes = {request.name: size(request) for group in groups.values() for request in group}
    longest_of_benchmark: dict[str, int] = defaultdict(int)
    for (benchmark, _), group in groups.items():
        longest = max(sizes[request.name] for request in group)
        longest_of_benchmark[benchmark] = max(longest_of_benchmark[benchmark], longest)

    def rank(item: tuple[tuple[str, str], Group]) -> tuple[int, str, int]:
        (benchmark, _), group = item
        return (-longest_of_benchmark[benchmark], benchmark, -sum(sizes[r.name] for r in group))

    return [group for _, group in sorted(groups.items(), key=rank)]


def distinct_tokens(prompts: Iterable[array[int]]) -> int:
    """How many prompt tokens are left when no shared prefix is computed twice: the nodes of their trie.

    Sorted lexicographically, every prompt shares its longest common prefix with a neighbour, so the sum of
    the lengths less the common prefixes of neighbours counts every node once.
    """
    ordered = sorted(prompts)
    total = 0
    previous = array("i")
    for prompt in ordered:
        total += len(prompt) - common_prefix(previous, prompt)
        previous = prompt
    return total


def common_prefix(a: Sequence[object], b: Sequence[object]) -> int:
    """Length of the longest common prefix."""
    limit = min(len(a), len(b))
    return next((i for i in range(limit) if a[i] != b[i]), limit)


class EngineClock:
    """What of a run's time the engine worked. Seconds, monotonic, from where the clock is made.

    ``wall_seconds`` is the span from the first request sent to the last record on disk, ``engine_seconds``
    the part of it with at least one request in flight: the rest is the harness's own time. That says nothing
    of three slots that are empty while the fourth works, so ``idle_slot_seconds`` adds up every slot that was
    empty while a request was waiting: between two requests, and at the end, when the last groups hold what
    is left.
    """

    def __init__(self) -> None:
        self._made = time.monotonic()
        self._first: float | None = None
        self._last = 0.0
        self._in_flight = 0
        self._busy_since = 0.0
        self._busy = 0.0
        self._slots: int | None = None
        self._waiting = 0
        self._idle = 0.0
        self._idle_until = 0.0

    def expect(self, slots: int, waiting: int) -> None:
        """From the first request on, count which of `slots` are idle, with `waiting` requests there."""
        self._slots, self._waiting = slots, waiting

    @contextmanager
    def request(self) -> Iterator[None]:
        """One request in flight."""
        now = time.monotonic()
        if self._first is None:
            self._first = self._idle_until = now
        if self._in_flight == 0:
            self._busy_since = now
        self._change(now, in_flight=1)
        try:
            yield
        finally:
            now = time.monotonic()
            self._change(now, in_flight=-1)
            if self._in_flight == 0:
                self._busy += now - self._busy_since

    def _change(self, now: float, in_flight: int) -> None:
        if self._slots is not None:
            idle = min(self._slots - self._in_flight, self._waiting)
            self._idle += max(idle, 0) * (now - self._idle_until)
            self._idle_until = now
            if in_flight > 0:
                self._waiting -= 1
        self._in_flight += in_flight

    def recorded(self) -> None:
        """A record is on disk."""
        self._last = time.monotonic()

    @property
    def wall_seconds(self) -> float:
        return max(0.0, self._last - self._first) if self._first is not None else 0.0

    @property
    def engine_seconds(self) -> float:
        running = time.monotonic() - self._busy_since if self._in_flight else 0.0
        return min(self._busy + running, self.wall_seconds)

    @property
    def idle_slot_seconds(self) -> float | None:
        """None where nobody said how many slots there are: with workers elsewhere, each has its own."""
        return self._idle if self._slots is not None else None

    @property
    def before_first_seconds(self) -> float | None:
        """Loading, planning, a probe; None before the first request."""
        return self._first - self._made if self._first is not None else None

    @property
    def after_last_seconds(self) -> float | None:
        """Since the last record on disk; None before there is one."""
        return time.monotonic() - self._last if self._last else None
