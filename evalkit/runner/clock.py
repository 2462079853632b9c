"""Wall time of a run, and the part of it in which the engine had something to do."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class EngineClock:
    """Counts from the first request sent to the last record on disk.

    ``wall_seconds`` is that span, ``engine_seconds`` the part with at least one request in flight. The rest
    is the harness's own time. Seconds, monotonic.
    """

    def __init__(self) -> None:
        self._first: float | None = None
        self._last = 0.0
        self._in_flight = 0
        self._busy_since = 0.0
        self._busy = 0.0

    @contextmanager
    def request(self) -> Iterator[None]:
        """One request in flight."""
        now = time.monotonic()
        if self._first is None:
            self._first = now
        if self._in_flight == 0:
            self._busy_since = now
        self._in_flight += 1
        try:
            yield
        finally:
            self._in_flight -= 1
            if self._in_flight == 0:
                self._busy += time.monotonic() - self._busy_since

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
