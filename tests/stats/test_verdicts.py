"""Averages, corrections, power and verdicts."""

from __future__ import annotations

import random
from dataclasses import astuple

import pytest
from statsmodels.stats.multitest import multipletests

from evalkit.schema import Estimate, Verdict
from evalkit.stats.intervals import average_estimate, quantile
from evalkit.stats.paired import (
    detectable_difference,
    holm,
    mean_estimate,
    needed_n,
    p_difference,
    p_non_inferior,
    paired_difference,
    required_items,
    verdict,
)


def difference(better: int, worse: int, n: int) -> Estimate:
    candidate = [1.0] * better + [0.0] * (n - better)
    reference = [0.0] * better + [1.0] * worse + [0.0] * (n - better - worse)
    return paired_difference(candidate, reference, [str(i) for i in range(n)])


def decide(found: Estimate, margin: float = 0.02) -> Verdict:
    return verdict(found, p_difference(found), p_non_inferior(found, margin), margin)


def test_average_of_one_is_itself() -> None:
    one = difference(5, 9, 200)
    mean = average_estimate([one])
    assert astuple(mean) == pytest.approx(astuple(one))


def test_average_is_welchs() -> None:
    """Half the difference of two unbounded means: Welch's t interval, as scipy has it."""
    from scipy.stats import ttest_ind

    rng = random.Random(4)
    first, second = [rng.gauss(1, 1) for _ in range(8)], [rng.gauss(0, 3) for _ in range(25)]
    plus = paired_difference(first, [0.0] * 8, [str(i) for i in range(8)], bounded=False)
    minus = paired_difference([0.0] * 25, second, [str(i) for i in range(25)], bounded=False)
    welch = ttest_ind(first, second, equal_var=False).confidence_interval(0.95)
    mean = average_estimate([plus, minus])
    assert (2 * mean.low, 2 * mean.high) == pytest.approx((welch.low, welch.high))


def test_average_keeps_uncertainty() -> None:
    same, known = difference(0, 0, 40), difference(30, 30, 1000)
    mean = average_estimate([same, known])
    assert mean.low < same.low / 2
    assert mean.n == 1040
    unknown = mean_estimate([1.0, 0.0], ["page", "page"])
    perfect = mean_estimate([1.0] * 30, [str(i) for i in range(30)])
    assert average_estimate([perfect, perfect]).high == 1.0
    half = average_estimate([perfect, unknown])
    assert half.error is None
    assert (half.low, half.high) == pytest.approx((perfect.low / 2, 1.0))
    assert p_difference(half) is None
    with pytest.raises(ValueError):
        average_estimate([])


def test_holm() -> None:
    # Holm's own rule by hand: 0.01·4, 0.02·3, 0.03·2 (not below the one before), 0.9.
    assert holm([0.03, None, 0.01, 0.9, 0.02]) == pytest.approx([0.06, None, 0.04, 0.9, 0.06])
    assert holm([None]) == [None]
    assert holm([]) == []


@pytest.mark.parametrize("count", [1, 2, 7, 40])
def test_holm_is_that_of_statsmodels(count: int) -> None:
    drawn = random.Random(count)
    p_values = [drawn.choice((0.0, 0.01, 1.0, drawn.random() ** 3)) for _ in range(count)]
    assert holm(p_values) == pytest.approx(multipletests(p_values, method="holm")[1].tolist())


def test_required_items() -> None:
    assert [required_items(d, 0.1) for d in (0.01, 0.02, 0.03, 0.05)] == [7847, 1960, 870, 312]
    assert required_items(-0.02, 0.1) == 1960
    assert required_items(0.02, 0.1, power=0.9) > 1960 > required_items(0.02, 0.1, level=0.9)
    for wrong in ((0.2, 0.1), (0.0, 0.1), (0.1, 1.1)):
        with pytest.raises(ValueError):
            required_items(*wrong)


def test_detectable_difference() -> None:
    # As many items as are required for 2 points with 10 % discordant detect just that.
    assert detectable_difference(difference(98, 98, 1960)) == pytest.approx(0.02, rel=0.01)
    # No change in 40 items is not the power to see any loss: McNemar's test needs 6 changes of 40.
    nothing = detectable_difference(difference(0, 0, 40))
    assert nothing is not None
    assert 0.1 < nothing < 0.2
    assert detectable_difference(difference(0, 1, 1)) is None
    assert detectable_difference(difference(0, 1, 2)) is None


def test_needed_n() -> None:
    # One-sided 5 %, power 0.8: 2.4865² σ² / margin², with σ² of 10 % discordant items and one more.
    found = needed_n(difference(50, 50, 1000), 0.02)
    assert found == pytest.approx(2.48647**2 * (0.1 * 1000 / 999 + 0.001) / 0.02**2, abs=1)
    more = needed_n(difference(50, 50, 1000), 0.02, family=50)
    assert more is not None
    assert found is not None
    assert more > 2 * found
    # Beyond the margin only "worse" can come out: 2.8016² σ² / d².
    worse = needed_n(difference(4, 7, 100), 0.02)
    sigma = (0.11 - 0.03**2) * 100 / 99 + 0.01
    assert worse == pytest.approx(2.80159**2 * sigma / 0.03**2, abs=1)
    # No change yet in 100 items: 149 without any would rule a loss of 2 points out (0.98^149 < 5 %).
    assert 149 < (needed_n(difference(0, 0, 100), 0.02) or 0) < 200
    assert needed_n(difference(0, 1, 1), 0.02) is None
    assert needed_n(difference(5, 5, 100), 0.0) is None


def test_verdicts() -> None:
    assert decide(difference(10, 10, 2000)).kind == "as_good"
    assert decide(difference(20, 60, 400)).kind == "worse"
    assert decide(difference(60, 20, 400)).kind == "better"
    # Significantly worse, by less than the margin: harmless.
    harmless = difference(0, 12, 4000)
    assert (p_difference(harmless) or 1) < 0.05
    assert decide(harmless).kind == "as_good"
    unsure = decide(difference(4, 5, 100))
    assert unsure.kind == "unresolved"
    assert (unsure.needed_n or 0) > 100
    # Two identical runs of 40 items prove nothing at 2 points.
    assert decide(difference(0, 0, 40)).kind == "unresolved"
    assert decide(difference(0, 1, 1)) == Verdict("unresolved", None)


def test_verdict_uses_adjusted_p() -> None:
    found = difference(20, 60, 400)
    assert verdict(found, 0.2, 1.0, 0.02).kind == "unresolved"
    family = verdict(found, 0.2, 1.0, 0.02, family=50)
    assert (family.needed_n or 0) >= (verdict(found, 0.2, 1.0, 0.02).needed_n or 0)
    assert verdict(found, 0.2, 1.0, 0.02, alpha=0.3).kind == "worse"


def test_quantile() -> None:
    assert quantile(20) == pytest.approx(2.093, abs=5e-4)  # t, 19 degrees of freedom, from any table
