"""Handing groups to workers, taking their answers, and going on when workers are lost."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from evalkit.backends.engine import Completion, EngineUnusable
from evalkit.executors.groups import Share, Shares
from evalkit.executors.remote_worker import RemoteWorker, WorkerLost
from evalkit.executors.roster import Roster
from evalkit.executors.store import RecordStore
from evalkit.executors.worker import job
from evalkit.runner.answers import Answers
from evalkit.runner.ask import DEATHS_WITHOUT_AN_ANSWER, together
from evalkit.runner.clock import EngineClock
from evalkit.runner.record import generation
from evalkit.runner.request import Name, Request

_CALLS_PER_SECOND = 500  # deliveries that the driver asks for, over all workers
_SHORTEST_LINGER_SECONDS = 0.02
_WATCH_SECONDS = 0.5


@dataclass(slots=True)
class _Place:
    """A worker, the groups that it has, and how often it was lost since its last answer."""

    number: int
    worker: RemoteWorker
    held: dict[int, Share] = field(default_factory=dict)
    losses: int = 0


class Crew:
    """The workers of one run.

    Args:
        hire: makes the worker with a number; Ray is asked for its machine by that.
        size: workers; pending: of those without a machine yet, at most.
        patience: seconds without any worker after which the run ends.
        longest_prompt: tokens, or None where the engine does not tell.
    """

    def __init__(
        self,
        hire: Callable[[int], RemoteWorker],
        roster: Roster,
        *,
        size: int,
        pending: int,
        patience: float,
        longest_prompt: int | None,
    ) -> None:
        self._hire = hire
        self._roster = roster
        self._size = size
        self._patience = patience
        self._longest_prompt = longest_prompt
        self._places = asyncio.Semaphore(pending)
        self._linger = max(_SHORTEST_LINGER_SECONDS, size / _CALLS_PER_SECOND)
        self._given_up = 0
        self._reason = ""

    async def work(self, shares: Shares, answers: Answers, store: RecordStore, clock: EngineClock) -> None:
        """Generate what the groups lack.

        Raises:
            UserError: a worker would not be the same model, or cannot serve it.
            EngineUnusable: there is no worker, or each was lost time and again without an answer.
        """
        self._shares, self._answers, self._store, self._clock = shares, answers, store, clock
        crew = asyncio.ensure_future(
            together([*(self._employ(number) for number in range(self._size)), self._watch()])
        )
        stored = asyncio.ensure_future(store.run(shares.missing))
        try:
            await asyncio.wait({crew, stored}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            crew.cancel()
            await asyncio.gather(crew, return_exceptions=True)
            ended_early = not stored.done()
            stored.cancel()
            await asyncio.gather(stored, return_exceptions=True)
        # Whichever failed is what went wrong; a crew cancelled because all is stored has not failed.
        (crew if ended_early else stored).result()

    async def _employ(self, number: int) -> None:
        """Keep one worker at work, on whatever machine Ray has for it."""
        async with self._places:
            place = _Place(number, self._hire(number))
        while place.losses <= DEATHS_WITHOUT_AN_ANSWER:
            try:
                async with self._places:
                    facts = await place.worker.start(self._longest_prompt)
                self._roster.arrived(number, facts)
                slots = [self._serve(place, slot) for slot in range(facts.slots)]
                await together([self._collect(place), *slots])
            except WorkerLost as loss:
                self._lost(place, str(loss))
            except EngineUnusable as failure:
                self._lost(place, str(failure))
                place.worker.replace()
        self._given_up += 1

    async def _serve(self, place: _Place, slot: int) -> None:
        while True:
            share = await self._shares.take()
            place.held[share.number] = share
            requests = [r for r in share.requests if r.name in share.missing]
            with self._clock.request():
                await place.worker.serve(slot, job(requests, self._texts(share)))

    def _texts(self, share: Share) -> dict[Name, str | None]:
        records = (self._answers.record(request) for request in share.requests)
        return {record.name: record.text for record in records if record and record.is_final}

    async def _collect(self, place: _Place) -> None:
        while True:
            delivery = await place.worker.collect(self._linger)
            self._roster.cost(place.number, delivery.figures)
            for name, completion in delivery.answers:
                place.losses = 0
                request = self._shares.settle(name)
                if request is not None:
                    self._record(request, completion)
            place.held = {number: share for number, share in place.held.items() if share.missing}

    def _record(self, request: Request, completion: Completion) -> None:
        messages = self._answers.messages(request)
        assert messages is not None, "a dialogue's turns come in order"
        record = generation(request, self._answers.key(request, messages), messages, completion)
        self._answers.add(record)
        self._store.put(record)

    def _lost(self, place: _Place, reason: str) -> None:
        place.losses += 1
        self._reason = reason
        self._roster.lost(place.number)
        self._shares.give_back(place.held.values())
        place.held = {}

    async def _watch(self) -> None:
        last = time.monotonic()
        while True:
            await asyncio.sleep(_WATCH_SECONDS)
            if self._given_up == self._size:
                raise EngineUnusable(
                    f"every worker is lost time and again without any answer: {self._reason}"
                )
            if self._roster.present:
                last = time.monotonic()
            elif time.monotonic() - last > self._patience:
                raise EngineUnusable(
                    f"no worker for {self._patience:.0f} s: the cluster has no room for "
                    "executor.resources, or its autoscaler is slower than executor.patience"
                )
