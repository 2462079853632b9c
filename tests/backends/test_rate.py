"""Limits per minute, given and learned."""

from __future__ import annotations

import pytest

from evalkit.engines.limits import Pace, Window, duration


def test_no_sixty_seconds_hold_more_than_the_limit() -> None:
    window = Window(3)
    now, sent = 0.0, []
    for _ in range(10):
        now += window.wait(1, now)
        window.take(1, now)
        sent.append(now)
        now += 1.0
    assert all(later - earlier >= 60 for earlier, later in zip(sent, sent[3:], strict=False))
    assert sent[9] < 185  # and no slower than that


def test_amounts_are_added_up_and_one_above_the_limit_goes_alone() -> None:
    window = Window(1000)
    window.take(700, 0.0)
    window.take(200, 10.0)
    assert window.wait(100, 20.0) == 0
    assert window.wait(500, 20.0) == pytest.approx(40)
    assert window.wait(5000, 20.0) == pytest.approx(50)
    assert window.wait(5000, 71.0) == 0


def test_without_a_limit_nothing_waits() -> None:
    window = Window(None)
    window.take(10**9, 0.0)
    assert window.wait(10**9, 0.0) == 0


def test_limits_are_learned_from_headers_unless_given() -> None:
    headers = {"x-ratelimit-limit-requests": "500", "x-ratelimit-limit-tokens": "30000"}
    learned, given = Pace(None, None), Pace(20, None)
    learned.learn(headers)
    given.learn(headers)
    assert learned.as_json() == {"requests_per_minute": 500, "tokens_per_minute": 30000}
    assert given.as_json() == {"requests_per_minute": 20, "tokens_per_minute": 30000}


@pytest.mark.parametrize("value", ["-1", "0", "", "many", "9" * 30, "١٢"])
def test_a_limit_that_is_none_is_not_learned(value: str) -> None:
    pace = Pace(None, None)
    pace.learn({"x-ratelimit-limit-requests": value})
    assert pace.as_json()["requests_per_minute"] is None


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12ms", 0.012),
        ("6m0s", 360),
        ("7.66s", 7.66),
        ("1h2m3s", 3723),
        ("30", 30),
        ("", None),
        ("soon", None),
        ("5s later", None),
        ("1" * 60, None),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert duration(text) == (None if seconds is None else pytest.approx(seconds))
