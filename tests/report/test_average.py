"""The average over benchmarks and its interval."""

from __future__ import annotations

import pytest

from evalkit.metrics import Result, average
from evalkit.schema import Estimate


def result(accuracy: float | None, error: float | None, n: int = 100) -> Result:
    width = 1.0 if error is None else 1.96 * error
    estimate = (
        None
        if accuracy is None
        else Estimate(accuracy, error, max(0.0, accuracy - width), min(1.0, accuracy + width), n, n)
    )
    return Result("b", "financial", estimate, n, 0, 0, 0, 0, {})


def test_errors_of_independent_benchmarks_add_in_squares() -> None:
    found = average([result(0.4, 0.03), result(0.6, 0.04)])
    assert found is not None
    assert (found.value, found.error) == pytest.approx((0.5, 0.025))


def test_unscored_benchmarks_do_not_count_as_zero() -> None:
    found = average([result(0.4, 0.03), result(None, None, 0)])
    assert found is not None
    assert (found.value, found.error) == pytest.approx((0.4, 0.03))
    assert average([result(None, None, 0)]) is None


def test_one_unknown_error_makes_the_averages_unknown() -> None:
    found = average([result(0.4, 0.03), result(0.5, None, 1)])
    assert found is not None
    assert found.value == pytest.approx(0.45)
    assert found.error is None
