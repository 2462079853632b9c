"""Intervals and tests of accuracies and differences, against other implementations and published values."""

from __future__ import annotations

import math
import random
from typing import Any

import numpy as np
import pytest
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from evalkit.schema import Estimate
from evalkit.stats.intervals import difference_limits, difference_variance, quantile, standard_error
from evalkit.stats.paired import mcnemar_exact, mean_estimate, p_difference, p_non_inferior, paired_difference

Z = 1.959963984540054


def changed(better: int, worse: int, n: int, page: int = 1, **options: Any) -> Estimate:
    """`better` wrong answers put right, `worse` right ones put wrong, of `n`, in pages of `page`."""
    candidate = [1.0] * better + [0.0] * (n - better)
    reference = [0.0] * better + [1.0] * worse + [0.0] * (n - better - worse)
    return paired_difference(candidate, reference, [str(i // page) for i in range(n)], **options)


def tango(better: int, worse: int, n: int) -> tuple[float, float]:
    d = np.array([(better - worse) / n])
    variance = np.array([((better + worse) / n - d[0] ** 2) / n])
    low, high = difference_limits(d, variance, np.array([float(n)]), Z)
    return float(low[0]), float(high[0])


def test_tango_published() -> None:
    # Bentur (2009) and Cavo (2012) in Fagerland, Lydersen & Laake (2014), Stat. Med. 33: 2850-2875, and in
    # the tests of R's contingencytables.
    assert tango(1, 7, 21) == pytest.approx((-0.517, -0.026), abs=5e-4)
    assert tango(6, 16, 161) == pytest.approx((-0.1240, -0.0054), abs=5e-5)
    # Without any change the equation is (d n)² = z² n d (1 - d).
    assert tango(0, 0, 40) == pytest.approx((-(Z**2) / (40 + Z**2), Z**2 / (40 + Z**2)))


@pytest.mark.parametrize(
    ("b", "c", "n"), [(6, 16, 161), (40, 20, 160), (15, 5, 50), (2, 30, 400), (43, 1, 60)]
)
def test_tango_against_closed_form(b: int, c: int, n: int) -> None:
    """Yang, Sun & Hardin (2012) solve Tango's equation as a polynomial of degree four."""
    g, m = Z**2, b - c
    coefficients = [
        n**2 * (n / g + 1) ** 2,
        -n * m * (n / g + 1) * (4 * n / g + 1),
        2 * n * m**2 * (3 * n / g + 2) / g - n**2 * ((b + c) / g + 1),
        n * m * (2 * (b + c) / g + 1) - m**3 * (4 * n / g + 1) / g,
        m**2 * (m**2 / g - (b + c)) / g,
    ]
    roots = np.roots(coefficients)
    real = roots.real[np.abs(roots.imag) < 1e-7]
    found = tango(b, c, n)
    assert min(abs(real - found[0])) < 1e-6
    assert min(abs(real - found[1])) < 1e-6


def test_error_is_millers_and_statsmodels() -> None:
    import statsmodels.api as sm

    rng = random.Random(3)
    clusters = [rng.choice("abcdefghijklmnop") for _ in range(90)]
    candidate = [float(rng.random() < 0.7) for _ in clusters]
    reference = [float(rng.random() < 0.6) for _ in clusters]
    differences = [mine - other for mine, other in zip(candidate, reference, strict=True)]
    estimate = paired_difference(candidate, reference, clusters)
    assert estimate.error == pytest.approx(standard_error(differences, clusters), rel=1e-12)
    assert (estimate.n, estimate.clusters) == (90, 16)
    assert mean_estimate(candidate, clusters).error == pytest.approx(standard_error(candidate, clusters))
    codes = np.unique(clusters, return_inverse=True)[1]
    fit = sm.OLS(differences, np.ones(90)).fit(cov_type="cluster", cov_kwds={"groups": codes})
    # statsmodels scales the clusters' sums by G/(G-1); Miller the squares within them by n/(n-1).
    sums = fit.bse[0] ** 2 * 15 / 16
    spread = np.var(differences) / 90
    assert (estimate.error or 0) ** 2 == pytest.approx(sums + spread * (90 / 89 - 1))


def test_accuracy_is_wilsons_with_t() -> None:
    scores = [1.0] * 63 + [0.0] * 27
    names = [str(i) for i in range(90)]
    found = mean_estimate(scores, names)
    t = quantile(90)
    # Independent items: n - 1 instead of n is all that Miller's error changes.
    alpha = math.erfc(t / math.sqrt(2))
    assert (found.low, found.high) == pytest.approx(proportion_confint(62.3, 89, alpha, "wilson"))


def test_no_change_leaves_a_width() -> None:
    same = changed(0, 0, 40)
    assert (same.value, same.error) == (0.0, 0.0)
    # Rule of three: up to 3 / 40 of the items may change; nothing is settled at 2 points.
    assert same.high == -same.low > 3 / 40
    assert p_difference(same) == 1.0
    assert (p_non_inferior(same, 0.02) or 0.0) > 0.15
    # The same 40 items on 10 pages that may change as a whole tell less, and 1,000 items settle it.
    assert changed(0, 0, 40, page=4).high > 2 * same.high
    assert (p_non_inferior(changed(0, 0, 1000), 0.02) or 1.0) < 0.001
    assert (p_non_inferior(changed(0, 0, 100), 0.02) or 0.0) > 0.05


def test_few_clusters() -> None:
    one = changed(1, 2, 4, page=4)
    assert one == Estimate(-0.25, None, -1.0, 1.0, 4, 1)
    assert p_difference(one) is p_non_inferior(one, 0.02) is None
    assert mean_estimate([1.0], ["page"]) == Estimate(1.0, None, 0.0, 1.0, 1, 1)
    assert paired_difference([5.0], [3.0], ["a"], bounded=False).high == math.inf
    two = mean_estimate([1.0, 1.0], ["a", "b"])
    assert two.low < 0.05
    lost = changed(0, 3, 3)
    assert lost.low == -1.0
    assert (p_difference(lost) or 0.0) > 0.05
    for wrong in ([], ["a", "b"]):
        with pytest.raises(ValueError):
            mean_estimate([1.0] * (len(wrong) // 2), wrong)


def test_scores_between_0_and_1() -> None:
    """Means of samples: no certainty from equal scores, and less spread than right or wrong."""
    names = [str(i) for i in range(40)]
    equal = mean_estimate([0.5] * 40, names)
    assert equal.error == 0
    assert equal.high - equal.low > 0.05
    shifted = paired_difference([0.4] * 40, [0.5] * 40, names)
    assert shifted.low < -0.12
    assert shifted.high > -0.08
    rng = random.Random(1)
    quarters = [rng.choice([0.25, 0.5, 0.75]) for _ in names]
    whole = [float(rng.random() < 0.5) for _ in names]
    narrow, wide = mean_estimate(quarters, names), mean_estimate(whole, names)
    assert narrow.high - narrow.low < 0.6 * (wide.high - wide.low)


def test_unbounded_is_students_t() -> None:
    from scipy.stats import ttest_1samp

    rng = random.Random(2)
    tokens = [rng.gauss(300, 80) for _ in range(30)]
    found = paired_difference(tokens, [280.0] * 30, [str(i) for i in range(30)], bounded=False)
    theirs = ttest_1samp(tokens, 280.0)
    assert (found.low, found.high) == pytest.approx(
        tuple(limit - 280 for limit in theirs.confidence_interval(0.95))
    )
    assert p_difference(found) == pytest.approx(theirs.pvalue)
    still = paired_difference([7.0] * 5, [7.0] * 5, list("abcde"), bounded=False)
    assert (still.low, still.high, p_difference(still)) == (0.0, 0.0, 1.0)
    assert p_difference(paired_difference([8.0] * 5, [7.0] * 5, list("abcde"), bounded=False)) is None


def test_p_is_tangos_beyond_the_limits() -> None:
    """Recovered from the interval alone, the statistic is the one that Tango's formula gives at the null."""
    from scipy.stats import t

    for better, worse, n in (
        (8, 32, 400),
        (0, 10, 150),
        (1, 12, 400),
        (30, 12, 300),
        (0, 3, 800),
        (12, 10, 900),
    ):
        found = changed(better, worse, n)
        assert found.error is not None
        for null in (0.0, -0.02):
            fields = (np.array([x]) for x in (null, found.value, found.error**2, float(n)))
            statistic = (found.value - null) / math.sqrt(difference_variance(*fields)[0])
            p = p_difference(found) if null == 0 else p_non_inferior(found, 0.02)
            wanted = 2 * t.sf(abs(statistic), n - 1) if null == 0 else t.sf(statistic, n - 1)
            assert p == pytest.approx(wanted, rel=5e-3)


def test_p_agrees_with_the_interval() -> None:
    """p < 5 % exactly where the 95 % interval excludes the null, for any pages, clusters and scores."""
    rng = random.Random(5)
    decided = 0
    for _ in range(300):
        n, page, rate = rng.randrange(2, 80), rng.randrange(1, 5), rng.choice([0.02, 0.2, 0.9])
        clusters = [str(i // page) for i in range(n)]
        drift = rng.choice([-0.3, 0, 0.3])
        moves = [
            0.0 if rng.random() > rate else (1.0 if rng.random() < 0.5 + drift else -1.0) for _ in clusters
        ]
        found = paired_difference([max(m, 0) for m in moves], [max(-m, 0) for m in moves], clusters)
        if found.error is None:
            continue
        assert -1 <= found.low <= found.value <= found.high <= 1
        p, q = p_difference(found), p_non_inferior(found, 0.05)
        assert p is not None
        assert q is not None
        assert (p < 0.05) == (found.low > 0 or found.high < 0)
        assert (q < 0.025) == (found.low > -0.05)
        decided += p < 0.05
    assert 30 < decided < 200


def test_sides_are_alike() -> None:
    ours, theirs = changed(3, 9, 120, page=3), changed(9, 3, 120, page=3)
    assert (ours.low, ours.high) == pytest.approx((-theirs.high, -theirs.low))
    assert p_difference(ours) == pytest.approx(p_difference(theirs))


def test_mcnemar() -> None:
    # Agresti, Categorical Data Analysis (2nd ed.), table 10.1: approval ratings, 150 and 86 changed.
    assert mcnemar_exact(150, 86) == pytest.approx(mcnemar([[794, 150], [86, 570]]).pvalue)
    assert mcnemar_exact(6, 16) == pytest.approx(0.052479, abs=1e-6)  # Fagerland et al. (2014), Cavo (2012)
    assert mcnemar_exact(0, 5) == 2 / 2**5
    assert mcnemar_exact(0, 0) == 1.0
    with pytest.raises(ValueError):
        mcnemar_exact(-1, 2)
