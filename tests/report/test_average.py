"""The average over benchmarks and its error."""

from __future__ import annotations

import pytest

from evalkit.report.results import Result, average


def result(accuracy: float | None, stderr: float | None, n: int = 100) -> Result:
    return Result("b", "financial", accuracy, stderr, n, n, 0, 0, 0)


def test_errors_of_independent_benchmarks_add_in_squares() -> None:
    assert average([result(0.4, 0.03), result(0.6, 0.04)]) == pytest.approx((0.5, 0.025))


def test_unscored_benchmarks_do_not_count_as_zero() -> None:
    assert average([result(0.4, 0.03), result(None, None, 0)]) == pytest.approx((0.4, 0.03))
    assert average([result(None, None, 0)]) is None


def test_nothing_right_is_not_certainty() -> None:
    found = average([result(0.0, 0.0, 18)])
    assert found is not None
    assert found[1] == pytest.approx(0.1759 / 3.92, rel=0.01)


def test_one_unknown_error_makes_the_averages_unknown() -> None:
    found = average([result(0.4, 0.03), result(0.5, None, 1)])
    assert found is not None
    assert found[0] == pytest.approx(0.45)
    assert found[1] is None
