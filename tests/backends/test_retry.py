"""How long a service asks to wait, and how long is waited."""

from __future__ import annotations

import asyncio

import pytest

from evalkit.engines.client import Transient, asked_to_wait
from evalkit.engines.limits import Patience, retrying


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "7"}, 7),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        (
            {
                "retry-after": "Wed, 21 Oct 2015 07:28:30 GMT",
                "date": "Wed, 21 Oct 2015 07:28:00 GMT",
            },
            30,
        ),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:30 GMT"}, 0),
        ({"retry-after": "-5"}, 0),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "when it is ready"}, None),
        ({}, None),
    ],
)
def test_what_a_service_asks_for(headers: dict[str, str], seconds: float | None) -> None:
    assert asked_to_wait(headers) == seconds


def test_waits_double_up_to_a_bound_and_never_undercut_what_was_asked() -> None:
    patience = Patience(attempts=50, seconds=1e9, backoff=1.0)
    nothing_asked = Transient("x")
    for attempt, least in ((1, 1), (2, 2), (3, 4), (6, 32), (7, 60), (5000, 60)):
        assert least <= patience.wait(nothing_asked, attempt) <= least + 1
    assert 90 <= patience.wait(Transient("x", wait=90), 1) <= 91
    assert 60 <= patience.wait(Transient("x", wait=0.1), 40) <= 61


def tries(patience: Patience, waited: float = 0.0, error: Transient | None = None) -> int:
    """How often something that always fails is tried."""
    count = 0

    async def fail() -> None:
        nonlocal count
        count += 1
        raise error or Transient("x")

    async def story() -> None:
        await retrying(patience, waited, lambda: True, lambda _: None)(fail)

    with pytest.raises(Transient):
        asyncio.run(story())
    return count


def test_tries_are_bounded_by_number_and_by_patience() -> None:
    assert tries(Patience(attempts=4, seconds=10, backoff=0.001)) == 4
    assert tries(Patience(attempts=4, seconds=10, backoff=0.001), waited=10) == 1
    assert tries(Patience(attempts=9, seconds=0, backoff=0.001)) == 1
    assert tries(Patience(attempts=9, seconds=10, backoff=0.001), error=Transient("x", wait=3600)) == 1
