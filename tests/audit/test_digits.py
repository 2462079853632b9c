"""Which percentages n items can give, against every count there is."""

from __future__ import annotations

from decimal import ROUND_HALF_DOWN, ROUND_HALF_UP, Decimal

import pytest

from evalkit.audit import can_fail, possible, whole_share


def printed(n: int, decimals: int) -> list[set[Decimal]]:
    """For every count of n the percentages that it may be printed as."""
    unit = Decimal(1).scaleb(-decimals)
    exact = [Decimal(100 * k) / n for k in range(n + 1)]
    return [{value.quantize(unit, way) for way in (ROUND_HALF_UP, ROUND_HALF_DOWN)} for value in exact]


@pytest.mark.parametrize("decimals", [0, 1])
@pytest.mark.parametrize("n", [1, 7, 16, 71, 100, 160, 999, 1000])
def test_possible_is_what_some_count_rounds_to(n: int, decimals: int) -> None:
    by_count = set().union(*printed(n, decimals))
    unit = Decimal(1).scaleb(-decimals)
    candidates = [unit * step for step in range(int(100 / unit) + 1)]
    assert {value for value in candidates if possible(value, n, decimals)} == by_count
    if not can_fail(n, decimals):
        assert by_count == set(candidates)


def test_not_a_percentage_of_anything() -> None:
    assert not possible(Decimal("100.1"), 1000, 1)
    assert not possible(Decimal("-0.1"), 1000, 1)
    with pytest.raises(ValueError, match="0 items"):
        possible(Decimal(50), 0, 1)


@pytest.mark.parametrize(("n", "decimals"), [(71, 1), (100, 1), (333, 1), (500, 2)])
def test_whole_share(n: int, decimals: int) -> None:
    whole = sum(all(value % 1 == 0 for value in values) for values in printed(n, decimals))
    assert whole_share(n, decimals) == pytest.approx(whole / (n + 1), abs=1e-12)


def test_whole_share_of_many_items() -> None:
    assert whole_share(1000, 1) == pytest.approx(0.1)
    assert whole_share(100_000, 2) == pytest.approx(0.01)
