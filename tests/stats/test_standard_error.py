from __future__ import annotations

import math
import random

import pytest

from evalkit.stats.intervals import standard_error, wilson


def test_clt_by_hand() -> None:
    # mean 3/4, squared deviations 3·(1/16) + 9/16 = 3/4, s² = 1/4, SE = sqrt(1/16)
    assert standard_error([1, 1, 0, 1]) == pytest.approx(0.25)


def test_clustered_by_hand() -> None:
    # Scores 1 1 | 0 0: s² = 1/3, SE_CLT² = 1/12; cross products 2·(1/4) in each cluster, 1 in all, over 16.
    assert standard_error([1, 1, 0, 0], ["a", "a", "b", "b"]) == pytest.approx(math.sqrt(1 / 12 + 1 / 16))
    # Opposite answers within each cluster: 1/12 - 1/16, less than without clusters.
    assert standard_error([1, 0, 1, 0], ["a", "a", "b", "b"]) == pytest.approx(math.sqrt(1 / 12 - 1 / 16))


def test_formula_as_printed() -> None:
    """Against the triple sum of the paper, with clusters of uneven size in mixed order."""
    rng = random.Random(1)
    scores = [rng.random() for _ in range(60)]
    clusters = [rng.choice("abcdefghij") for _ in scores]
    n, mean = len(scores), sum(scores) / len(scores)
    total = sum((s - mean) ** 2 for s in scores) / (n - 1) / n
    for i in range(n):
        for j in range(n):
            if i != j and clusters[i] == clusters[j]:
                total += (scores[i] - mean) * (scores[j] - mean) / n**2
    assert standard_error(scores, clusters) == pytest.approx(math.sqrt(total), rel=1e-12)


def test_singletons_agree_with_clt() -> None:
    scores = [0.0, 1.0, 1.0, 0.5]
    assert standard_error(scores, ["a", "b", "c", "d"]) == pytest.approx(standard_error(scores))


def test_nothing_to_estimate() -> None:
    assert standard_error([]) is None
    assert standard_error([1.0]) is None
    assert standard_error([1, 0, 1], ["page"] * 3) is None
    assert standard_error([1, 1, 1]) == 0.0
    with pytest.raises(ValueError, match="2 scores but 1 clusters"):
        standard_error([1, 0], ["a"])


def test_coverage_of_clustered_and_naive_intervals() -> None:
    """Pages whose four questions share a difficulty: naive 95 % intervals cover far too rarely."""
    rng = random.Random(7)
    naive = clustered = 0
    runs = 600
    for _ in range(runs):
        scores: list[float] = []
        clusters: list[str] = []
        for page in range(60):
            chance = 0.9 if rng.random() < 0.5 else 0.1
            scores += [float(rng.random() < chance) for _ in range(4)]
            clusters += [str(page)] * 4
        off = abs(sum(scores) / len(scores) - 0.5)
        plain, honest = standard_error(scores), standard_error(scores, clusters)
        assert plain is not None
        assert honest is not None
        naive += off <= 1.96 * plain
        clustered += off <= 1.96 * honest
    assert naive / runs < 0.85
    assert 0.92 < clustered / runs < 0.975


def test_wilson_known_values() -> None:
    # Agresti & Coull's classic: 0 of n gives [0, z²/(n + z²)].
    z2 = 1.959963984540054**2
    assert wilson(0, 10)[0] == 0.0
    assert wilson(0, 10)[1] == pytest.approx(z2 / (10 + z2))
    assert wilson(10, 10)[0] == pytest.approx(10 / (10 + z2))
    assert wilson(10, 10)[1] == 1.0
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(81, 263) == pytest.approx((0.2553, 0.3662), abs=5e-5)
    for k, n, level in ((3, 2, 0.95), (-1, 2, 0.95), (1, 2, 1.0), (1, 2, 0.0)):
        with pytest.raises(ValueError):
            wilson(k, n, level)


def test_wilson_agrees_with_statsmodels() -> None:
    proportion = pytest.importorskip("statsmodels.stats.proportion")
    for k, n in ((1, 20), (50, 71), (999, 1000)):
        theirs = proportion.proportion_confint(k, n, alpha=0.1, method="wilson")
        assert wilson(k, n, level=0.9) == pytest.approx(theirs)
