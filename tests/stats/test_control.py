"""A difference narrowed by the reference's other answers: by hand, at its limits, and simulated."""

from __future__ import annotations

import numpy as np
import pytest

from bench.control import Benchmarks, benchmarks, coverage, main, stopped_coverage
from bench.statistics import Design
from evalkit.schema import UserError
from evalkit.stats.control import LEAST_PAGES, controlled_difference, page_correlation
from evalkit.stats.paired import paired_difference

PAGES = [str(number) for number in range(40)]
OTHERS = [f"o{number}" for number in range(160)]


def drawn(seed: int) -> tuple[list[float], list[float], list[float]]:
    """Gains and x of 40 items, x of 160 others."""
    rng = np.random.default_rng(seed)
    made = benchmarks(rng, 1, Design(200, "1", 0.0), 0.3, -0.1)
    known = made.known("score")[0].tolist()
    return made.gains[0, :40].tolist(), known[:40], known[40:]


def test_value_and_weight_are_those_of_the_formula() -> None:
    gains, known, others = drawn(1)
    found = controlled_difference(gains, known, PAGES, others, OTHERS)
    assert found is not None
    covariance = np.cov(gains, known, bias=True)[0, 1] / 40
    variance = np.var(known) / 40 + np.var(others) / 160
    weight = covariance / variance
    assert 0 < weight < 1
    assert found.weight == pytest.approx(weight)
    value = np.mean(gains) - weight * (np.mean(known) - np.mean(others))
    assert found.difference.value == pytest.approx(value)
    assert (found.others, found.difference.n, found.difference.clusters) == (160, 40, 40)
    plain = paired_difference(gains, [0.0] * 40, PAGES)
    assert found.difference.high - found.difference.low < plain.high - plain.low


def test_what_says_nothing_changes_nothing() -> None:
    gains, _, others = drawn(2)
    found = controlled_difference(gains, [0.5] * 40, PAGES, [0.5] * len(others), OTHERS)
    assert found is not None
    plain = paired_difference(gains, [0.0] * 40, PAGES)
    assert found.weight == 0
    assert found.difference.value == pytest.approx(plain.value)
    assert found.difference.low < plain.low, "one degree of freedom less, and no more"
    assert found.difference.low == pytest.approx(plain.low, abs=0.01)


def test_no_change_at_all_leaves_an_interval() -> None:
    _, known, others = drawn(3)
    found = controlled_difference([0.0] * 40, known, PAGES, others, OTHERS)
    assert found is not None
    assert found.difference.value == 0
    assert found.difference.low < -0.05


def test_a_page_of_both_kinds_is_one_page() -> None:
    """Two items a page, one of them answered: x of the other is no independent one."""
    gains, known, _ = drawn(4)
    apart = controlled_difference(gains, known, PAGES, known, [f"o{page}" for page in PAGES])
    together = controlled_difference(gains, known, PAGES, known, PAGES)
    assert apart is not None
    assert together is not None
    assert apart.weight > 0
    assert together.weight == 0, "the same x on the same pages: the draw of one says nothing of the other"


@pytest.mark.parametrize(("few", "others"), [(LEAST_PAGES - 1, 160), (40, LEAST_PAGES - 1)])
def test_few_pages_give_nothing(few: int, others: int) -> None:
    gains, known, rest = drawn(5)
    assert (
        controlled_difference(gains[:few], known[:few], PAGES[:few], rest[:others], OTHERS[:others]) is None
    )


def test_lengths_that_differ() -> None:
    with pytest.raises(ValueError, match="lengths"):
        controlled_difference([0.0], [0.0, 1.0], ["a"], [], [])


def test_correlation_of_pages() -> None:
    assert page_correlation([1, -1, 0, 0], [1, -1, 0, 0], ["a", "a", "b", "b"]) is None, "no page differs"
    assert page_correlation([1, 1, -1, -1], [1, 1, -1, -1], ["a", "a", "b", "b"]) == pytest.approx(1)
    assert page_correlation([1.0], [1.0], ["a"]) is None


@pytest.mark.parametrize("design", [Design(60, "1", 0.0), Design(60, "1-4", 0.3)])
def test_coverage_with_a_planned_number(design: Design) -> None:
    repeats = 1500
    found = coverage(np.random.default_rng(6), repeats, design, 0.3, -0.08, 0.1)
    slack = 3 * (0.05 * 0.95 / repeats) ** 0.5
    for kind in ("score", "chance"):
        assert 0.93 - slack <= found.covered[kind] <= 0.97 + slack
    assert found.width["chance"] < found.width["score"] < 0.95


def test_a_simulated_candidate_loses_only_what_is_right() -> None:
    made: Benchmarks = benchmarks(np.random.default_rng(7), 200, Design(100, "2", 0.3), 0.2, -0.06)
    assert set(made.scores[made.gains < 0]) == {1.0}
    assert set(made.scores[made.gains > 0]) == {0.0}
    assert made.scores.mean() == pytest.approx(0.6, abs=0.02)
    assert made.gains.mean() == pytest.approx(-0.06, abs=0.01)
    assert made.chances[made.gains != 0].mean() == pytest.approx(0.75, abs=0.02)


def test_where_bets_stop() -> None:
    stopped, shares = stopped_coverage(np.random.default_rng(8), 60, Design(120, "1", 0.0), 0.3, -0.25)
    assert 30 < stopped <= 60
    assert set(shares) == {"plain", "score", "chance"}
    assert min(shares.values()) > 0.7


def test_the_command_line() -> None:
    with pytest.raises(UserError, match="simulate, or"):
        main(["one"])
