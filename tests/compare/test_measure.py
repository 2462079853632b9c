"""Comparisons against hand calculation, scipy and statsmodels; Holm over the right family."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import pytest
from scipy.stats import binomtest
from statsmodels.stats.multitest import multipletests

from evalkit.compare.comparison import comparisons, judged
from evalkit.compare.pairs import PairedBenchmark
from evalkit.schema import AVERAGE, Comparison, Flips, Verdict
from tests.compare.helpers import paired
from tests.report.helpers import merged, score

MARGIN = 0.02

# Candidate, reference, cluster: two pages of two questions, two of one.
ITEMS = [(1, 1, "a"), (0, 1, "a"), (0, 1, "b"), (0, 1, "b"), (1, 0, "c"), (1, 1, "d")]


def bench(items: Sequence[tuple[float, float, str]] = ITEMS, benchmark: str = "finqa") -> PairedBenchmark:
    """The candidate has answers of 30 tokens, all cut off in the first cluster; the reference of 10."""
    return paired(
        *(
            (
                score(
                    str(i),
                    a,
                    group=g,
                    tokens=30,
                    finish="length" if g == "a" else "stop",
                    benchmark=benchmark,
                ),
                score(str(i), b, group=g, tokens=10, benchmark=benchmark),
            )
            for i, (a, b, g) in enumerate(items)
        ),
        benchmark=benchmark,
    )


def lossy(lost: int, gained: int, n: int, benchmark: str = "finqa") -> PairedBenchmark:
    kept = n - lost - gained
    pairs = [(0, 1)] * lost + [(1, 0)] * gained + [(1, 1)] * (kept // 2) + [(0, 0)] * (kept - kept // 2)
    return bench([(a, b, str(i)) for i, (a, b) in enumerate(pairs)], benchmark)


def test_one_benchmark_by_hand() -> None:
    [found] = comparisons([bench()], MARGIN)
    assert (found.benchmark, found.candidate.value, found.reference.value) == ("finqa", 3 / 6, 5 / 6)
    assert found.difference.value == pytest.approx(-2 / 6)
    assert (found.difference.n, found.difference.clusters) == (6, 4)
    # Deviations from -1/3: a: 1/3, -2/3; b: -2/3, -2/3; c: 4/3; d: 1/3. Their squares sum to 30/9, those of
    # the cluster sums (-1/3, -4/3, 4/3, 1/3) to 34/9; SE² = 30/9/5/6 + (34/9 - 30/9)/36.
    assert found.difference.error == pytest.approx((30 / 9 / 30 + 4 / 9 / 36) ** 0.5)
    assert found.difference.low < found.difference.value < found.difference.high
    assert found.flips == Flips(right_to_wrong=3, wrong_to_right=1, wrong_to_other_wrong=0, n=6)
    assert found.p_mcnemar == pytest.approx(binomtest(3, 4, 0.5).pvalue)
    assert found.tokens is not None
    assert (found.tokens.value, found.tokens.n) == (20, 6)
    assert found.truncated is not None
    assert found.truncated.value == pytest.approx(2 / 6)
    assert found.adjusted_p_difference is None
    assert found.adjusted_p_non_inferior is None


def test_the_average_is_over_benchmarks_whatever_their_sizes() -> None:
    parts = [lossy(2, 0, 10, "finqa"), lossy(0, 0, 40, "tfns")]
    finqa, tfns, average = comparisons(parts, MARGIN)
    assert [finqa.benchmark, tfns.benchmark, average.benchmark] == ["finqa", "tfns", AVERAGE]
    assert average.difference.value == pytest.approx(-0.1)
    assert average.candidate.value - average.reference.value == pytest.approx(-0.1)
    assert average.difference.n == 50
    assert average.flips == Flips(2, 0, 0, 50)
    assert average.p_mcnemar is None
    assert average.tokens is not None
    assert average.tokens.value == pytest.approx(20)


def test_a_benchmark_without_scored_pairs_is_not_measured() -> None:
    empty = PairedBenchmark("finance_instruct", "Finance", "financial", [], 0, 0, 0, 9)
    assert [each.benchmark for each in comparisons([bench(), empty], MARGIN)] == ["finqa"]


def test_several_samples_count_as_their_mean_and_have_no_mcnemar() -> None:
    ours = [score("x", v, sample=i, tokens=t) for i, (v, t) in enumerate([(1.0, 10), (0.0, 30)])]
    theirs = [score("x", v, sample=i, tokens=40) for i, v in enumerate([1.0, 1.0])]
    pairs = [(merged(ours)[0], merged(theirs)[0])]
    single = lossy(1, 0, 8).pairs
    [found] = comparisons([paired(*pairs, *single)], MARGIN)
    assert found.difference.value == pytest.approx(-1.5 / 9)
    assert found.tokens is not None
    assert found.tokens.value == pytest.approx((-20 + 8 * 20) / 9)
    assert found.flips == Flips(1, 0, 0, 8)
    assert found.p_mcnemar is None


def test_answers_without_token_counts_are_left_out_of_the_length() -> None:
    pairs = [(score(str(i), 1.0, tokens=12 if i else None), score(str(i), 1.0, tokens=10)) for i in range(4)]
    [found] = comparisons([paired(*pairs)], MARGIN)
    assert found.tokens is not None
    assert (found.tokens.value, found.tokens.n) == (2, 3)
    pairs = [(score(str(i), 1.0), score(str(i), 1.0, tokens=10)) for i in range(4)]
    [found] = comparisons([paired(*pairs)], MARGIN)
    assert found.tokens is None


def test_one_cluster_tells_nothing() -> None:
    [[found]] = judged([comparisons([bench([(a, b, "a") for a, b, _ in ITEMS])], MARGIN)], MARGIN)
    assert found.difference.error is None
    assert (found.difference.low, found.difference.high) == (-1, 1)
    assert found.tokens is None
    assert (found.p_difference, found.adjusted_p_non_inferior, found.detectable) == (None, None, None)
    assert found.verdict == Verdict("unresolved", None)


def family() -> list[list[Comparison]]:
    losses = [(30, 5, 200), (12, 8, 200), (25, 9, 200)]
    return [
        comparisons([lossy(*loss, "finqa"), lossy(loss[0] // 2, loss[1], 150, "tfns")], MARGIN)
        for loss in losses
    ]


@pytest.mark.parametrize("which", ["difference", "non_inferior"])
def test_holm_is_over_members_and_benchmarks_and_averages_are_their_own(which: str) -> None:
    found = judged(family(), MARGIN)
    assert [[each.benchmark for each in member] for member in found] == [["finqa", "tfns", AVERAGE]] * 3
    rows = [each for member in found for each in member]
    for of_average, size in ((False, 6), (True, 3)):
        same = [each for each in rows if (each.benchmark == AVERAGE) is of_average]
        raw = [getattr(each, f"p_{which}") for each in same]
        assert len(raw) == size
        expected = multipletests(raw, method="holm")[1]
        assert [getattr(each, f"adjusted_p_{which}") for each in same] == pytest.approx(list(expected))


def test_judging_changes_nothing_but_the_judgement() -> None:
    before, after = family(), judged(family(), MARGIN)
    for old, new in zip(before, after, strict=True):
        for a, b in zip(old, new, strict=True):
            assert (a.difference, a.p_difference, a.flips) == (b.difference, b.p_difference, b.flips)


def test_a_loss_that_is_plain_alone_is_not_in_a_large_family() -> None:
    [alone] = judged([comparisons([lossy(14, 3, 200)], MARGIN)], MARGIN)
    others = [comparisons([lossy(9, 9, 200)], MARGIN) for _ in range(20)]
    crowd = judged([comparisons([lossy(14, 3, 200)], MARGIN), *others], MARGIN)
    assert alone[0].verdict.kind == "worse"
    assert crowd[0][0].verdict.kind == "unresolved"
    assert crowd[0][0].p_difference == alone[0].p_difference


def test_verdicts() -> None:
    kinds = [
        judged([comparisons([lossy(*counts)], MARGIN)], MARGIN)[0][0].verdict.kind
        for counts in [(60, 5, 400), (5, 60, 400), (1, 1, 3000), (6, 5, 60), (0, 0, 40)]
    ]
    assert kinds[:2] == ["worse", "better"]
    assert kinds[2] == "as_good"
    assert kinds[3:] == ["unresolved", "unresolved"], "two equal runs of 40 items prove nothing"


def test_without_clusters_the_error_is_the_plain_one() -> None:
    [found] = comparisons([lossy(30, 10, 300)], MARGIN)
    assert found.difference.value == pytest.approx(-20 / 300)
    expected = (statistics.variance([-1.0] * 30 + [1.0] * 10 + [0.0] * 260) / 300) ** 0.5
    assert found.difference.error == pytest.approx(expected, rel=1e-6)


def test_a_larger_family_needs_more_items() -> None:
    alone = judged([comparisons([lossy(6, 5, 60)], MARGIN)], MARGIN)[0][0]
    crowd = judged([comparisons([lossy(6, 5, 60)], MARGIN) for _ in range(20)], MARGIN)[0][0]
    assert alone.verdict.needed_n is not None
    assert crowd.verdict.needed_n is not None
    assert 60 < alone.verdict.needed_n < crowd.verdict.needed_n
