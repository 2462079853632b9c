"""Money: what answers cost, and a ceiling that is never passed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from evalkit.backends.engine import EngineUnusable
from evalkit.errors import UserError

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


def read_prices(given: Mapping[str, Any], setting: str) -> Prices | None:
    """Prices from a config's mapping {input, cached_input, output, currency}; None if none are given.

    Args:
        setting: what the mapping is called on the command line, for the message.

    Raises:
        UserError: a price is not a number of 0 or more, or only one of input and output is given.
    """
    amounts = {name: given.get(name) for name in ("input", "cached_input", "output")}
    for name, value in amounts.items():
        wrong_type = isinstance(value, bool) or not isinstance(value, int | float | None)
        if wrong_type or (value is not None and not 0 <= value < float("inf")):
            raise UserError(f"{setting}.{name}: must be a price per million tokens, 0 or more, or null")
    if amounts["input"] is None and amounts["output"] is None:
        return None
    if amounts["input"] is None or amounts["output"] is None:
        raise UserError(f"{setting}: give both {setting}.input and {setting}.output, per million tokens")
    currency = str(given.get("currency") or "USD")
    return Prices(amounts["input"], amounts["output"], amounts["cached_input"], currency)


@runtime_checkable
class Priced(Protocol):
    """An engine that costs money, and must know what earlier sessions of its run have cost."""

    def count_earlier(self, sessions: Iterable[Mapping[str, Any]], records: Iterable[Answered]) -> None: ...


class Answered(Protocol):
    """What is known of a finished answer's tokens."""

    @property
    def prompt_tokens(self) -> int | None: ...

    @property
    def cached_tokens(self) -> int | None: ...

    @property
    def completion_tokens(self) -> int | None: ...


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

    def count_earlier(self, sessions: Iterable[Mapping[str, Any]], records: Iterable[Answered]) -> None:
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
