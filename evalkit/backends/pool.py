"""Several servers of one model: a slot stays with its server while that answers."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from evalkit.backends.engine import EngineUnusable
from evalkit.backends.listing import list_models
from evalkit.backends.rate import Pace
from evalkit.backends.retry import Transient
from evalkit.backends.service import Refused

if TYPE_CHECKING:
    from openai import AsyncOpenAI

_PAUSE_BACKOFFS = 30  # a server that left is asked again after this many backoffs, then twice as many, ...
_PROBE_SECONDS = 10.0


@dataclass(eq=False)
class Replica:
    """One server. `failures` counts those in a row, `departures` how often it left the pool for `reason`."""

    url: str
    client: AsyncOpenAI
    pace: Pace
    gate: asyncio.Semaphore
    failures: int = 0
    departures: int = 0
    answered: int = 0
    reason: str = ""
    _back_at: float | None = field(default=None, init=False)
    _pauses: int = field(default=0, init=False)

    @property
    def out(self) -> bool:
        return self._back_at is not None

    def leave(self, reason: str, pause: float) -> None:
        self.departures += 1
        self.reason = reason
        self.stay_out(pause)

    def stay_out(self, pause: float) -> None:
        """For so many seconds; each time in a row for twice as long."""
        self._back_at = time.monotonic() + pause * 2.0 ** min(self._pauses, 10)
        self._pauses += 1

    def rejoin(self) -> None:
        self._back_at = None
        self.failures = 0

    @property
    def due(self) -> bool:
        """Whether it is time to see if it is back."""
        return self._back_at is not None and time.monotonic() >= self._back_at

    def as_json(self) -> dict[str, Any]:
        return {
            "url": self.url,
            "answered": self.answered,
            "departures": self.departures,
            "out": self.out,
            "reason": self.reason or None,
            **self.pace.as_json(),
        }


class Pool:
    """The servers of a run.

    Args:
        replicas: at least one. Slot `s` belongs to number `s // slots`.
        tolerance: failures in a row after which a server leaves, if another one is left.
        backoff: seconds; scales how long it stays out.
        note: called with a line for the log.
    """

    def __init__(
        self,
        replicas: Sequence[Replica],
        slots: int,
        tolerance: int,
        backoff: float,
        note: Callable[[str], None],
    ) -> None:
        self.replicas = list(replicas)
        self._slots = slots
        self._tolerance = tolerance
        self._pause = _PAUSE_BACKOFFS * backoff
        self._note = note

    def candidates(self, slot: int) -> Iterator[Replica]:
        """Where to send a request of `slot`: its own server, then the others; those in the pool only.

        Asked for anew after each server that could not serve it, so that it follows what happens meanwhile.
        """
        home = self.replicas[slot // self._slots]
        tried = set()
        while True:
            left = [r for r in self.replicas if not r.out and r not in tried]
            if not left:
                return
            chosen = home if home in left else left[slot % len(left)]
            tried.add(chosen)
            yield chosen

    def answered(self, replica: Replica) -> None:
        replica.failures = replica._pauses = 0
        replica.answered += 1

    def failed(self, replica: Replica, error: Transient) -> None:
        """Count a failure; a server that only wants fewer requests is well."""
        if error.limited:
            return
        replica.failures += 1
        others = any(other is not replica and not other.out for other in self.replicas)
        if replica.failures >= self._tolerance and others and not replica.out:
            self.remove(replica, str(error))

    def remove(self, replica: Replica, reason: str) -> None:
        replica.leave(reason, self._pause)
        self._note(f"{replica.url} leaves the pool: {reason}")

    async def welcome_back(self) -> None:
        """See whether servers that left are back, those whose pause is over."""
        for replica in self.replicas:
            if replica.due:
                replica.stay_out(self._pause)  # nobody else asks meanwhile
                if await _answers(replica):
                    replica.rejoin()
                    self._note(f"{replica.url} is back in the pool")


async def _answers(replica: Replica) -> bool:
    try:
        await list_models(replica.client, _PROBE_SECONDS)
    except (Transient, Refused, EngineUnusable):
        return False
    return True
