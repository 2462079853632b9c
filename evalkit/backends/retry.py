"""What is worth asking again, and how long to wait before: bounded, with backoff, as the service asks."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tenacity import AsyncRetrying, RetryCallState

RETRIED = frozenset({408, 409, 425, 429, *range(500, 600)})
"""HTTP statuses that another try may change."""

_LONGEST_BACKOFF = 60.0


class Transient(Exception):
    """No usable answer this time; another try may bring one. The message is one line without secrets.

    Args:
        wait: seconds that the service asked to wait.
        limited: the service is alive and wants fewer requests (429).
        billed: whether the service may have done the work all the same.
        headers: that came with the refusal.
    """

    def __init__(
        self,
        reason: str,
        *,
        wait: float | None = None,
        limited: bool = False,
        billed: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(reason)
        self.wait = wait
        self.limited = limited
        self.headers = headers or {}
        self.billed = billed


@dataclass(frozen=True, slots=True)
class Patience:
    """Bounds on the tries of one request at one service.

    Args:
        attempts: at most so many tries.
        seconds: of waiting between tries, in all.
        backoff: seconds before the second try; doubled for each further one, with as much jitter.
    """

    attempts: int
    seconds: float
    backoff: float

    def wait(self, error: Transient, attempt: int) -> float:
        """Seconds to wait after try number `attempt` (from 1)."""
        jitter = random.uniform(0, self.backoff)
        asked = error.wait or 0.0
        backoff = self.backoff * 2.0 ** min(attempt - 1, 30)
        return max(asked, min(backoff, _LONGEST_BACKOFF)) + jitter


def retrying(
    patience: Patience,
    waited: float,
    worth_it: Callable[[], bool],
    on_wait: Callable[[RetryCallState], None],
) -> AsyncRetrying:
    """A loop of tries that ends with the last `Transient`.

    Args:
        waited: seconds of patience that this request has used up elsewhere.
        worth_it: asked before each wait.
        on_wait: called before each wait; `upcoming_sleep` says how long.
    """
    from tenacity import AsyncRetrying, retry_if_exception

    def wait(state: RetryCallState) -> float:
        assert state.outcome is not None
        error = state.outcome.exception()
        assert isinstance(error, Transient)
        return patience.wait(error, state.attempt_number)

    def enough(state: RetryCallState) -> bool:
        impatient = waited + state.idle_for + state.upcoming_sleep > patience.seconds
        return impatient or state.attempt_number >= patience.attempts

    return AsyncRetrying(
        stop=enough,
        wait=wait,
        retry=retry_if_exception(lambda error: isinstance(error, Transient) and worth_it()),
        before_sleep=on_wait,
        reraise=True,
    )


def asked_to_wait(headers: Mapping[str, str]) -> float | None:
    """Seconds from `retry-after-ms` or `Retry-After` (seconds or a date, RFC 9110 §10.2.3); None without.

    A date is taken against the service's own clock where it tells it.
    """
    for name, scale in (("retry-after-ms", 0.001), ("retry-after", 1.0)):
        try:
            seconds = float(headers[name]) * scale
        except (KeyError, ValueError):
            continue
        if math.isfinite(seconds):
            return max(0.0, seconds)
    until = _date(headers.get("retry-after"))
    if until is None:
        return None
    return max(0.0, (until - (_date(headers.get("date")) or datetime.now(UTC))).total_seconds())


def _date(text: str | None) -> datetime | None:
    try:
        date = parsedate_to_datetime(text or "")
    except (ValueError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)
