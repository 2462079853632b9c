"""How many questions would settle an open comparison, and which files are no choice."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pytest

from evalkit.compare.needed import Needed, needed, size_of
from evalkit.fitness import constant_answer, floor_of, unfit
from evalkit.schema import AVERAGE, Comparison, Estimate, Verdict
from tests.report.helpers import score


def comparison(benchmark: str, n: int, items: int | None, error: float = 0.05) -> Comparison:
    both = Estimate(0.5, error, 0.4, 0.6, n, n)
    difference = Estimate(-0.01, error, -0.1, 0.1, n, n)
    return Comparison(benchmark, both, both, difference, *(None,) * 9, Verdict("unresolved", items))


def found(items: int | None, sizes: Mapping[str, int | None]) -> tuple[str, int, int]:
    parts = [comparison("a", 100, None), comparison("b", 100, None)]
    average = comparison(AVERAGE, 200, items)
    need = needed(average, [*parts, average], sizes)
    assert need is not None
    return need.kind, need.limit, need.more


def test_a_limit_is_of_each_benchmark() -> None:
    # Four times the questions of both, so four times the limit.
    assert found(800, {"a": 5000, "b": 5000}) == ("limit", 400, 600)
    assert found(800, {}) == ("limit", 400, 600)


def test_a_small_benchmark_leaves_more_to_the_other() -> None:
    # 1/400 + 1/400 is to be reached with at most 250 of a: 1/(1/200 - 1/250) = 1,000 of b.
    assert found(800, {"a": 250, "b": 5000}) == ("limit", 1000, 1050)


def test_what_benchmarks_do_not_have_is_never_promised() -> None:
    assert found(800, {"a": 250, "b": 900}) == ("never", 0, 0)
    one = comparison("a", 16, 42_913)
    assert needed(one, [one], {"a": 1490}) == Needed("never", available=1490)


def test_what_is_settled_or_cannot_be_told() -> None:
    assert found(None, {"a": 250})[0] == "unknown"
    settled = replace(comparison("a", 100, None), verdict=Verdict("worse"))
    assert needed(settled, [settled], {}) is None


def test_the_samples_are_not_the_benchmark() -> None:
    assert size_of("sample", 16, 1147, None) == 1147
    assert size_of("local", 40, 1147, None) == 40
    assert size_of("hub", 500_000, None, 1000) == 1000
    assert size_of("sample", 20, None, None) == 20


def test_a_constant_answer_is_right_as_often_as_the_most_frequent_label() -> None:
    labels = [replace(score(str(i), 1.0), gold_kind="label", gold=gold) for i, gold in enumerate("aab")]
    options = replace(score("x", 1.0), gold_kind="choice", gold="A", choices=dict.fromkeys("ABCD", "text"))
    number = replace(score("y", 1.0), gold_kind="number", gold="3")
    assert constant_answer(labels) == pytest.approx(2 / 3)
    assert constant_answer([options]) == pytest.approx(1 / 4)
    assert constant_answer([*labels, options, number]) == pytest.approx((2 + 1 / 4) / 5)
    assert constant_answer([]) == 0


def test_the_floor_of_an_average_is_the_mean_of_floors() -> None:
    assert floor_of(AVERAGE, {"tfns": 0.65}, ["finqa", "tfns"]) == pytest.approx((0.05 + 0.65) / 2)
    assert floor_of("tfns", {"tfns": 0.65}, []) == 0.65


@pytest.mark.parametrize(
    ("cut_off", "accuracy", "floor", "short"),
    [
        (0.51, (0.9, 0.85, 0.95), 0.05, "51 % cut off"),
        (0.5, (0.9, 0.85, 0.95), 0.05, None),
        (None, (0.3, 0.25, 0.35), 0.4, "below chance"),
        (0.0, (0.3, 0.2, 0.45), 0.4, None),
        (0.0, (0.0, 0.0, 0.031), 0.05, "at the floor"),
        (0.0, (0.0, 0.0, 0.61), 0.05, None),
        (None, None, 0.4, None),
    ],
)
def test_only_what_is_shown_makes_a_file_unfit(
    cut_off: float | None, accuracy: tuple[float, float, float] | None, floor: float, short: str | None
) -> None:
    estimate = None if accuracy is None else Estimate(accuracy[0], 0.02, *accuracy[1:], 100, 100)
    why = unfit(cut_off, estimate, floor)
    assert (why.short if why else None) == short
