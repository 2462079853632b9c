"""Prices and the ceiling: what is let through, what waits, what is refused."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import pytest

from evalkit.config.checks import read
from evalkit.engines.limits import Budget, BudgetSpent, Prices, PriceSettings, read_prices
from evalkit.schema import UserError

DOLLAR_A_TOKEN = Prices(input=1e6, output=1e6, cached_input=0.5e6)


@dataclass(frozen=True)
class Tokens:
    prompt_tokens: int | None
    cached_tokens: int | None
    completion_tokens: int | None


async def spend(budget: Budget, prompt: int, limit: int, used: int | None) -> None:
    """One request of `prompt` tokens, at most `limit` and in fact `used` tokens of answer."""
    async with budget.request(prompt, limit) as charge:
        await asyncio.sleep(0)
        if used is not None:
            charge.used(prompt, 0, used)


def test_cached_tokens_have_a_price_of_their_own() -> None:
    assert DOLLAR_A_TOKEN.cost(10, 4, 3) == pytest.approx(6 + 2 + 3)
    assert Prices(1e6, 2e6).cost(10, 4, 3) == pytest.approx(10 + 6)


def test_what_was_used_is_counted_and_not_the_worst_case() -> None:
    budget = Budget(DOLLAR_A_TOKEN, None)
    asyncio.run(spend(budget, 10, 100, 5))
    assert (budget.spent, budget.uncertain) == (15, 0)


def test_without_a_word_the_worst_case_counts_because_it_may_have_been_billed() -> None:
    budget = Budget(DOLLAR_A_TOKEN, None)
    asyncio.run(spend(budget, 10, 100, None))
    assert (budget.spent, budget.uncertain) == (110, 110)


def test_an_answer_without_usage_costs_the_worst_case_and_a_refusal_nothing() -> None:
    async def story() -> Budget:
        budget = Budget(DOLLAR_A_TOKEN, None)
        async with budget.request(10, 100) as charge:
            charge.used(None, None, None)
        async with budget.request(10, 100) as charge:
            charge.nothing()
        return budget

    assert asyncio.run(story()).spent == 110


def test_the_ceiling_is_never_passed_however_many_ask_at_once() -> None:
    budget = Budget(DOLLAR_A_TOKEN, 100)

    async def story() -> list[BaseException | None]:
        return await asyncio.gather(*(spend(budget, 10, 20, 5) for _ in range(50)), return_exceptions=True)

    outcomes = asyncio.run(story())
    # 15 dollars each, 30 at worst: after the fifth 75 are spent, 25 left.
    assert outcomes.count(None) == 5
    assert all(isinstance(outcome, BudgetSpent) for outcome in outcomes if outcome is not None)
    assert budget.spent == 75


def test_a_request_waits_for_those_in_flight_before_it_is_refused() -> None:
    async def story() -> list[str]:
        order: list[str] = []
        budget = Budget(DOLLAR_A_TOKEN, 100)

        async def first() -> None:
            async with budget.request(10, 80) as charge:
                await asyncio.sleep(0.01)
                charge.used(10, 0, 1)
            order.append("first")

        async def second() -> None:
            async with budget.request(10, 20) as charge:
                order.append("second")
                charge.used(10, 0, 1)

        await asyncio.gather(first(), second())
        return order

    assert asyncio.run(story()) == ["first", "second"]


def test_a_cancelled_request_counts_and_frees_what_it_held() -> None:
    async def story() -> Budget:
        budget = Budget(DOLLAR_A_TOKEN, 200)

        async def hang() -> None:
            async with budget.request(10, 100):
                await asyncio.sleep(60)

        task = asyncio.create_task(hang())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        with pytest.raises(BudgetSpent):
            await spend(budget, 10, 100, 0)
        return budget

    assert asyncio.run(story()).spent == 110


def test_earlier_sessions_count() -> None:
    budget = Budget(DOLLAR_A_TOKEN, 100)
    budget.count_earlier([{"cost": {"spent": 40.0}}, {"cost": None}, {}], [Tokens(10, 0, 5)])
    assert budget.earlier == 40
    budget.count_earlier([{"cost": {"spent": 4.0}}], [Tokens(40, 0, 35), Tokens(None, None, None)])
    assert budget.earlier == 75  # a killed session said less than its answers cost
    with pytest.raises(BudgetSpent, match=r"75\.0000 USD spent of backend\.max_cost=100, .* 30\.0000 more"):
        asyncio.run(spend(budget, 10, 20, 5))


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"input": -1, "output": 1}, r"backend\.prices\.input=-1: must be a number, 0 or more"),
        ({"input": True, "output": 1}, r"backend\.prices\.input=true"),
        ({"input": 1, "output": float("nan")}, r"backend\.prices\.output=nan"),
        ({"input": 1}, "give both"),
    ],
)
def test_prices_that_cannot_be_meant(given: dict[str, float], complaint: str) -> None:
    with pytest.raises(UserError, match=complaint):
        read_prices(read(PriceSettings, given, "backend.prices"))


def test_a_ceiling_needs_prices_and_must_be_money() -> None:
    assert read_prices(PriceSettings(input=None, currency="USD")) is None
    with pytest.raises(UserError, match=r"judge\.prices\.input"):
        Budget(None, 5, "judge.max_cost")
    for wrong in (0, -1, float("nan"), True):
        with pytest.raises(UserError, match="above 0"):
            Budget(DOLLAR_A_TOKEN, wrong)
