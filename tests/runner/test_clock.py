"""What of a run's time the engine worked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from unittest import mock

import pytest

from evalkit.run.schedule import EngineClock


@pytest.fixture
def seconds() -> Iterator[list[float]]:
    """The time that it is, in its only element."""
    now = [100.0]
    with mock.patch("time.monotonic", side_effect=lambda: now[0]):
        yield now


def test_a_slot_without_work_is_not_idle_and_one_with_work_is(seconds: list[float]) -> None:
    clock = EngineClock()
    clock.expect(slots=4, waiting=3)
    seconds[0] += 7  # loading
    with ExitStack() as first, ExitStack() as second:
        first.enter_context(clock.request())  # two requests wait, three slots are empty
        seconds[0] += 1
        second.enter_context(clock.request())  # one waits, two slots are empty
        seconds[0] += 10
        first.close()
        clock.recorded()
        seconds[0] += 2  # one waits still
        with clock.request():  # nobody waits: the empty slots have nothing to do
            seconds[0] += 5
        second.close()
        clock.recorded()
    seconds[0] += 3
    assert clock.idle_slot_seconds == 2 * 1 + 1 * 10 + 1 * 2
    assert clock.before_first_seconds == 7
    assert clock.after_last_seconds == 3
    assert clock.wall_seconds == clock.engine_seconds == 18


def test_without_slots_nothing_is_said_of_them(seconds: list[float]) -> None:
    clock = EngineClock()
    assert clock.before_first_seconds is clock.after_last_seconds is None
    with clock.request():
        seconds[0] += 1
    assert clock.idle_slot_seconds is None
