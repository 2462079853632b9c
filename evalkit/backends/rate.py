"""Requests and tokens per minute: as given, or as the service tells."""

from __future__ import annotations

import asyncio
import math
import re
import time
from collections import deque
from collections.abc import Mapping

_MINUTE = 60.0
_DURATION = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|s|m|h|d)?", re.ASCII)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0, None: 1.0}
_LONGEST_HOLD = 120.0  # a service that wants more says so with each 429, and the retries decide


class Window:
    """At most `limit` units in any sixty seconds; None: no limit."""

    def __init__(self, limit: int | None) -> None:
        self.limit = limit
        self._taken: deque[tuple[float, int]] = deque()
        self._sum = 0

    def wait(self, amount: int, now: float) -> float:
        """Seconds until `amount` fits. What is larger than the limit goes alone."""
        self._forget(now)
        if self.limit is None or not self._taken or self._sum + amount <= self.limit:
            return 0.0
        excess = self._sum + min(amount, self.limit) - self.limit
        for at, taken in self._taken:
            excess -= taken
            if excess <= 0:
                return max(0.0, at + _MINUTE - now)
        return 0.0

    def take(self, amount: int, now: float) -> None:
        self._taken.append((now, amount))
        self._sum += amount

    def _forget(self, now: float) -> None:
        while self._taken and self._taken[0][0] <= now - _MINUTE:
            self._sum -= self._taken.popleft()[1]


class Pace:
    """When the next request may go to one service.

    Args:
        requests_per_minute: None: learned from the service's headers, if it states any.
        tokens_per_minute: likewise; a request counts with its prompt and the longest answer it may get.
    """

    def __init__(self, requests_per_minute: int | None, tokens_per_minute: int | None) -> None:
        self._requests = Window(requests_per_minute)
        self._tokens = Window(tokens_per_minute)
        self._given = {"requests": requests_per_minute, "tokens": tokens_per_minute}
        self._held_until = 0.0
        self._turn = asyncio.Lock()

    async def admit(self, tokens: int) -> None:
        """Wait for this request's turn; in order of asking."""
        async with self._turn:
            while (wait := self._wait(tokens, time.monotonic())) > 0:
                await asyncio.sleep(wait)
            now = time.monotonic()
            self._requests.take(1, now)
            self._tokens.take(tokens, now)

    def _wait(self, tokens: int, now: float) -> float:
        return max(self._held_until - now, self._requests.wait(1, now), self._tokens.wait(tokens, now))

    def hold(self, seconds: float) -> None:
        """Send nothing for so long: the service has said so."""
        self._held_until = max(self._held_until, time.monotonic() + min(seconds, _LONGEST_HOLD))

    def learn(self, headers: Mapping[str, str]) -> None:
        """Take over what the service says of its limits: OpenAI's x-ratelimit-* headers.

        https://platform.openai.com/docs/guides/rate-limits#rate-limits-in-headers
        Limits are taken as per minute; where a service means a day, they bind later than the 429 does.
        """
        for name, window in (("requests", self._requests), ("tokens", self._tokens)):
            limit = _count(headers.get(f"x-ratelimit-limit-{name}"))
            if limit and self._given[name] is None:
                window.limit = limit
            if _count(headers.get(f"x-ratelimit-remaining-{name}")) == 0:
                self.hold(duration(headers.get(f"x-ratelimit-reset-{name}")) or 0.0)

    def as_json(self) -> dict[str, int | None]:
        """The limits in force."""
        return {"requests_per_minute": self._requests.limit, "tokens_per_minute": self._tokens.limit}


def _count(text: str | None) -> int | None:
    return int(text) if text and text.isascii() and text.isdigit() and len(text) <= 12 else None


def duration(text: str | None) -> float | None:
    """Seconds of a duration as the headers write it: `12ms`, `6m0s`, `7.66s`, or bare seconds.

    None if it is not one.
    """
    if not text or len(text) > 40:
        return None
    total, end = 0.0, 0
    for match in _DURATION.finditer(text):
        if match.start() != end:
            return None
        total += float(match[1]) * _UNITS[match[2]]
        end = match.end()
    return total if end == len(text) and math.isfinite(total) else None
