"""What bounds the requests to a service: tries and waits, requests and tokens per minute, servers, money.

A failed request is tried again as long as that may help, and no sooner than the service asks (`Patience`).
Requests keep to the pace that was given or that the service tells (`Pace`). Of several servers of one model a
slot stays with its own while that answers (`Pool`). A ceiling on costs is never passed (`Budget`).
"""

from __future__ import annotations

import asyncio
import math
import random
import re
import time
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import Field

from evalkit.config.checks import Settings
from evalkit.engines import TokenCounts
from evalkit.engines.client import Refused, Transient, list_models
from evalkit.schema import EngineUnusable, UserError

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from tenacity import AsyncRetrying, RetryCallState


_LONGEST_BACKOFF = 60.0


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


_MILLION = 1_000_000


class BudgetSpent(EngineUnusable):
    """The next request could pass the ceiling. One line: what was spent, and how to go on."""


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices per million tokens, in `currency`. `cached_input` None: cached prompt tokens cost the same."""

    input: float
    output: float
    cached_input: float | None = None
    currency: str = "USD"

    def cost(self, prompt_tokens: int, cached_tokens: int, completion_tokens: int) -> float:
        """What one answer costs. `cached_tokens` are those of the prompt that the service had cached."""
        cached = self.input if self.cached_input is None else self.cached_input
        return (
            (prompt_tokens - cached_tokens) * self.input
            + cached_tokens * cached
            + completion_tokens * self.output
        ) / _MILLION


Price = Annotated[float, Field(ge=0, allow_inf_nan=False)]


class PriceSettings(Settings):
    """Per million tokens. `cached_input` null: cached prompt tokens cost the same as others."""

    input: Price | None = None
    cached_input: Price | None = None
    output: Price | None = None
    currency: str = "USD"


def read_prices(given: PriceSettings) -> Prices | None:
    """The prices of a service; None if none are given.

    Raises:
        UserError: only one of input and output is given.
    """
    if given.input is None and given.output is None:
        return None
    if given.input is None or given.output is None:
        raise UserError("backend.prices: give both backend.prices.input and .output, per million tokens")
    return Prices(given.input, given.output, given.cached_input, given.currency)


class Charge:
    """What one request costs. Until the caller says otherwise, the worst case: it may have been billed."""

    def __init__(self, worst: float, prices: Prices | None) -> None:
        self.cost = worst
        self.certain = False
        self._prices = prices

    def used(
        self, prompt_tokens: int | None, cached_tokens: int | None, completion_tokens: int | None
    ) -> None:
        """An answer came. Without a count of its tokens the worst case stands."""
        if self._prices is None or prompt_tokens is None or completion_tokens is None:
            return
        self.cost = self._prices.cost(prompt_tokens, cached_tokens or 0, completion_tokens)
        self.certain = True

    def nothing(self) -> None:
        """The service refused or was not reached: nothing is billed."""
        self.cost, self.certain = 0.0, True


class Budget:
    """Counts what is spent; a request is let through only if its worst case still fits under the ceiling.

    Without a ceiling nothing ever waits; without prices every cost is 0.

    Args:
        prices: per million tokens; needed for a ceiling.
        max_cost: the ceiling, in the prices' currency; None: none.
        setting: what the ceiling is called on the command line, for the message.

    Raises:
        UserError: a ceiling that is no positive number, or one without prices.
    """

    def __init__(
        self, prices: Prices | None, max_cost: float | None, setting: str = "backend.max_cost"
    ) -> None:
        if max_cost is not None:
            if isinstance(max_cost, bool) or not isinstance(max_cost, int | float) or not max_cost > 0:
                raise UserError(f"{setting}={max_cost}: must be an amount of money above 0, or null")
            if prices is None:
                where = setting.replace("max_cost", "prices")
                raise UserError(f"{setting} needs the prices: {where}.input and {where}.output")
        self.prices = prices
        self.max_cost = max_cost
        self.spent = 0.0
        self.earlier = 0.0
        self.uncertain = 0.0
        self._setting = setting
        self._reserved: list[float] = []
        self._waiting: list[asyncio.Future[None]] = []

    @property
    def total(self) -> float:
        """Spent now and in earlier sessions."""
        return self.earlier + self.spent

    @asynccontextmanager
    async def request(self, prompt_tokens: int, max_tokens: int) -> AsyncIterator[Charge]:
        """Room for one request of at most so many tokens; what the caller made of the charge is counted.

        While requests in flight leave no room, it waits for them: they mostly cost less than their worst
        case, and an answer that is paid for shall be kept.

        Raises:
            BudgetSpent: nothing is in flight and the worst case does not fit.
        """
        worst = self.prices.cost(prompt_tokens, 0, max_tokens) if self.prices else 0.0
        await self._room(worst)
        self._reserved.append(worst)
        charge = Charge(worst, self.prices)
        try:
            yield charge
        finally:
            self._reserved.remove(worst)
            self.spent += charge.cost
            if not charge.certain:
                self.uncertain += charge.cost
            for waiting in self._waiting:
                if not waiting.done():
                    waiting.set_result(None)
            self._waiting.clear()

    async def _room(self, worst: float) -> None:
        while self.max_cost is not None and self.total + sum(self._reserved) + worst > self.max_cost:
            if not self._reserved:
                raise BudgetSpent(self._line(worst))
            freed = asyncio.get_running_loop().create_future()
            self._waiting.append(freed)
            await freed

    def _line(self, worst: float) -> str:
        assert self.prices is not None, "a ceiling needs prices"
        return (
            f"{self.total:.4f} {self.prices.currency} spent of {self._setting}={self.max_cost:g}, and the "
            f"next request could cost {worst:.4f} more: give a higher {self._setting}"
        )

    def count_earlier(self, sessions: Iterable[Mapping[str, Any]], records: Iterable[TokenCounts]) -> None:
        """Take what earlier sessions of the same work have cost as spent.

        A session that was killed may not have written its last figures, so the finished answers are counted
        as well; what is larger holds.

        Args:
            sessions: of run.json; each may have `cost`, as `as_json` gives it.
            records: finished answers of all sessions.
        """
        if self.prices is None:
            return
        said = sum((session.get("cost") or {}).get("spent", 0.0) for session in sessions)
        answers = sum(
            self.prices.cost(r.prompt_tokens or 0, r.cached_tokens or 0, r.completion_tokens or 0)
            for r in records
        )
        self.earlier = max(said, answers)

    def as_json(self) -> dict[str, Any] | None:
        """This session's cost for records; None without prices. `uncertain` is the part never confirmed."""
        if self.prices is None:
            return None
        return {
            "currency": self.prices.currency,
            "spent": round(self.spent, 6),
            "uncertain": round(self.uncertain, 6),
        }
