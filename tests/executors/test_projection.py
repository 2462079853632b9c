"""The projection against cases whose answer is known."""

from __future__ import annotations

import statistics

import pytest

from bench.cluster import Costs, Setup, answer_times, driver_rate, project

FREE = Costs(record=0, call=0, sync=0)


def setup(slots: int = 1, load: float = 0.0, pending: int = 1000) -> Setup:
    return Setup(slots=slots, answer_seconds=10, load_seconds=load, pending=pending)


def test_even_work_is_shared_evenly() -> None:
    found = project([[10.0]] * 80, 4, setup(slots=2), FREE)
    assert (found.seconds, found.efficiency, found.bound) == (100, 1, "work")


def test_one_long_group_is_divided_but_not_endlessly() -> None:
    groups = [[10.0] * 30] + [[10.0]] * 30
    assert project(groups, 2, setup(), FREE).seconds == 300
    found = project(groups, 1000, setup(), FREE)
    assert (found.seconds, found.bound) == (40, "longest group")


def test_workers_come_as_many_at_a_time_as_may_be_pending() -> None:
    assert project([[10.0]] * 100, 100, setup(load=60, pending=100), FREE).seconds == 70
    found = project([[10.0]] * 1000, 100, setup(load=60, pending=10), FREE)
    assert found.bound == "start of workers"
    assert 170 < found.seconds < 700


def test_the_driver_bounds_what_any_cluster_gets() -> None:
    costs = Costs(record=0.001, call=0.002, sync=0.01)
    found = project([[1.0, 1.0]] * 10_000, 1000, setup(slots=64), costs)
    assert found.bound == "driver"
    assert found.seconds == pytest.approx(40)
    assert 20_000 / found.seconds == pytest.approx(driver_rate(costs, 2))


def test_answer_times_keep_the_groups_and_the_mean() -> None:
    groups = answer_times([1, 4, 3], 8001, mean=30)
    assert sum(map(len, groups)) == 8001
    assert [len(group) for group in groups] == sorted((len(group) for group in groups), reverse=True)
    assert statistics.mean(t for group in groups for t in group) == pytest.approx(30, rel=0.05)
