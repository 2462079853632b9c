"""Scores of a judge that errs: agreement, corrected and prediction-powered estimates, and their mixture."""

from __future__ import annotations

import math

import numpy as np
import pytest
from statsmodels.stats.inter_rater import cohens_kappa
from statsmodels.stats.proportion import proportion_confint

from evalkit.stats.judged import LabelledItems, agreement, combined, corrected, flip_rate, prediction_powered
from evalkit.stats.paired import mean_estimate


def pairs(right_yes: int, right_no: int, wrong_yes: int, wrong_no: int) -> LabelledItems:
    """Labelled items by label (right, wrong) and verdict (yes, no)."""
    label = [1.0] * (right_yes + right_no) + [0.0] * (wrong_yes + wrong_no)
    judge = [1.0] * right_yes + [0.0] * right_no + [1.0] * wrong_yes + [0.0] * wrong_no
    return LabelledItems(judge, label)


def verdicts(yes: int, n: int) -> list[float]:
    return [1.0] * yes + [0.0] * (n - yes)


def test_agreement_is_the_textbook_one() -> None:
    table = pairs(40, 10, 6, 44)
    found = agreement([v > 0 for v in table.judge], [v > 0 for v in table.label])
    assert (found.sensitivity.count, found.sensitivity.n) == (40, 50)
    assert (found.specificity.count, found.specificity.n) == (44, 50)
    assert found.accuracy.value == 0.84
    assert found.kappa is not None
    assert found.kappa.value == pytest.approx(0.68)
    reference = cohens_kappa([[40, 10], [6, 44]])
    assert (found.kappa.low, found.kappa.high) == pytest.approx((reference.kappa_low, reference.kappa_upp))
    limits = proportion_confint(40, 50, method="wilson")
    assert (found.sensitivity.low, found.sensitivity.high) == pytest.approx(limits)


@pytest.mark.parametrize(
    ("judge", "label"), [([1, 1, 1], [1, 0, 1]), ([1, 0, 1], [0, 0, 0]), ([1, 1], [1, 1]), ([], [])]
)
def test_kappa_is_undefined_with_a_constant_rater(judge: list[bool], label: list[bool]) -> None:
    assert agreement(judge, label).kappa is None


def test_perfect_agreement_is_not_certainty() -> None:
    kappa = agreement([True, False] * 10, [True, False] * 10).kappa
    assert kappa is not None
    assert (kappa.value, kappa.high) == (1, 1)
    assert 0.5 < kappa.low < 0.9


def test_flip_rate() -> None:
    flips = flip_rate([True, True, False, False], [True, False, False, False])
    assert (flips.count, flips.n, flips.value) == (1, 4, 0.25)
    assert flip_rate([], []).value is None
    with pytest.raises(ValueError):
        flip_rate([True], [])


def test_corrected_value_is_rogan_and_gladens() -> None:
    found = corrected(verdicts(60, 100), pairs(90, 10, 20, 80))
    assert found.refusal is None
    assert found.estimate is not None
    assert found.raw.value == 0.6
    assert found.estimate.value == pytest.approx((0.6 + 0.8 - 1) / (0.8 + 0.9 - 1))
    assert found.slope == pytest.approx(1 / 0.7)
    assert found.raw.low < found.raw.value < found.estimate.low + 0.2
    delta = 0.6 * 0.4 / 99 + 0.5714**2 * 0.09 / 100 + 0.4286**2 * 0.16 / 100
    assert found.estimate.error == pytest.approx(math.sqrt(delta) / 0.7, rel=0.01)


def test_corrected_interval_shrinks_to_that_of_the_items_and_of_the_labels() -> None:
    """With endless labels the limits are the raw ones put through the correction; and the other way round."""
    found = corrected(verdicts(60, 100), pairs(18_000, 2_000, 4_000, 16_000))
    assert found.estimate is not None
    expected = [(limit - 0.2) / 0.7 for limit in (found.raw.low, found.raw.high)]
    assert [found.estimate.low, found.estimate.high] == pytest.approx(expected, abs=3e-3)
    found = corrected(verdicts(12_000, 20_000), pairs(90, 10, 20, 80))
    assert found.estimate is not None
    limits = [found.estimate.low, found.estimate.high]
    assert limits == pytest.approx([found.labels_low, found.labels_high], abs=3e-3)


def test_perfect_judge_corrects_nothing_and_is_not_certain() -> None:
    found = corrected(verdicts(60, 100), pairs(50, 0, 0, 50))
    assert found.estimate is not None
    assert found.estimate.value == 0.6
    assert found.estimate.low < found.raw.low < found.raw.high < found.estimate.high


@pytest.mark.parametrize(
    ("table", "refusal"),
    [
        (pairs(50, 0, 50, 0), "uninformative"),  # says yes to everything
        (pairs(25, 25, 25, 25), "uninformative"),
        (pairs(10, 40, 40, 10), "uninformative"),  # says the opposite
        (pairs(3, 2, 2, 3), "uninformative"),
        (pairs(50, 0, 0, 0), "few_labels"),
        (pairs(95, 5, 70, 30), "contradictory"),  # says yes to 70 % of the wrong ones, and to 10 % here
    ],
)
def test_unfit_judges_get_no_number(table: LabelledItems, refusal: str) -> None:
    found = corrected(verdicts(10, 100), table)
    assert (found.estimate, found.refusal) == (None, refusal)
    assert found.raw.value == 0.1


def test_score_is_clipped_where_chance_takes_it_out_of_scale() -> None:
    found = corrected(verdicts(18, 100), pairs(90, 10, 20, 80))
    assert found.estimate is not None
    assert (found.estimate.value, found.estimate.low) == (0, 0)
    assert 0.02 < found.estimate.high < 0.2


def test_clusters_widen_the_corrected_interval() -> None:
    table = pairs(90, 10, 20, 80)
    alone = corrected(verdicts(60, 100), table).estimate
    each = [str(i) for i in range(100)]
    assert corrected(verdicts(60, 100), table, each).estimate == alone
    pages = corrected(verdicts(60, 100), table, [str(i // 4) for i in range(100)]).estimate
    assert alone is not None
    assert pages is not None
    assert pages.clusters == 25
    assert pages.high - pages.low > 1.2 * (alone.high - alone.low)
    labelled = LabelledItems(table.judge, table.label, [str(i // 5) for i in range(200)])
    apart = corrected(verdicts(60, 100), labelled, [f"p{i}" for i in range(100)]).estimate
    assert apart is not None
    assert apart.high - apart.low > 1.2 * (alone.high - alone.low)
    single = corrected(verdicts(60, 100), table, ["one"] * 100)
    assert single.estimate is not None
    assert (single.estimate.error, single.estimate.low, single.estimate.high) == (None, 0, 1)


def test_prediction_powered_is_the_formula() -> None:
    table = pairs(90, 10, 20, 80)
    found = prediction_powered(verdicts(60, 100), table, tuned=False).estimate
    assert found is not None
    assert found.value == pytest.approx(0.6 + (10 - 20) / 200)
    variance = 0.24 / 99 + (30 / 200 - 0.05**2) / 199
    assert found.error == pytest.approx(math.sqrt(variance), rel=0.01)
    tuned = prediction_powered(verdicts(60, 100), table)
    assert tuned.estimate is not None
    slope = (0.45 - 0.5 * 0.55) / (0.55 * 0.45) / (1 + 200 / 100)
    assert tuned.slope == pytest.approx(slope)
    assert tuned.estimate.value == pytest.approx(slope * 0.6 + 0.5 - slope * 0.55)
    assert tuned.estimate.high - tuned.estimate.low < found.high - found.low


def test_prediction_powered_takes_grades_and_bad_judges() -> None:
    rng = np.random.default_rng(0)
    truth = rng.random(3000)
    grades = np.clip(truth * 0.5 + 0.4 + rng.normal(0, 0.05, 3000), 0, 1)
    found = prediction_powered(
        grades[200:].tolist(), LabelledItems(grades[:200].tolist(), truth[:200].tolist())
    )
    alone = mean_estimate(truth[:200].tolist(), [str(i) for i in range(200)])
    assert found.estimate is not None
    assert found.raw.value > 0.63
    assert found.estimate.low < 0.5 < found.estimate.high
    assert found.estimate.high - found.estimate.low < 0.6 * (alone.high - alone.low)
    constant = prediction_powered([1.0] * 1000, LabelledItems([1.0] * 200, truth[:200].tolist()))
    assert constant.estimate is not None
    assert constant.slope == 0
    assert constant.estimate.value == pytest.approx(alone.value)


def test_prediction_powered_keeps_its_width_without_mistakes() -> None:
    found = prediction_powered(verdicts(600, 1000), pairs(30, 0, 0, 20)).estimate
    assert found is not None
    assert found.low < 0.57
    assert found.high > 0.63
    few = prediction_powered(verdicts(60, 100), pairs(2, 0, 0, 2))
    assert (few.estimate, few.refusal) == (None, "few_labels")


def test_combined_is_the_weighted_score() -> None:
    judged = corrected(verdicts(60, 100), pairs(90, 10, 20, 80))
    assert judged.estimate is not None
    scores = [*verdicts(240, 300), *verdicts(60, 100)]
    by_judge = [False] * 300 + [True] * 100
    found = combined(scores, by_judge, None, judged)
    assert found is not None
    assert found.value == pytest.approx((240 + 100 * judged.estimate.value) / 400)
    assert (found.n, found.clusters) == (400, 400)
    assert found.error is not None
    assert judged.estimate.error is not None
    parts = math.hypot(0.75 * math.sqrt(0.16 / 300), 0.25 * judged.estimate.error)
    between = 0.1875 * (0.8 - judged.estimate.value) ** 2 / 400
    assert found.error == pytest.approx(math.hypot(parts, math.sqrt(between)), rel=0.01)
    assert found.low < found.value - 1.8 * found.error < found.value + 1.8 * found.error < found.high
    only = combined(verdicts(60, 100), [True] * 100, None, judged)
    assert only is not None
    assert only.value == pytest.approx(judged.estimate.value)
    assert only.high - only.low == pytest.approx(judged.estimate.high - judged.estimate.low, rel=0.1)
    unfit = corrected(verdicts(60, 100), pairs(25, 25, 25, 25))
    assert combined(scores, by_judge, None, unfit) is None


def test_combined_covers() -> None:
    rng = np.random.default_rng(5)
    truth, held, repeats = 0.7 * 0.8 + 0.3 * 0.4, 0, 200
    for _ in range(repeats):
        by_judge = rng.random(300) < 0.3
        right = rng.random(300) < np.where(by_judge, 0.4, 0.8)
        said = np.where(by_judge, judge_says(rng, right), right)
        label = rng.random(150) < 0.4
        labelled = LabelledItems(judge_says(rng, label).tolist(), label.astype(float).tolist())
        judged = corrected(said[by_judge].tolist(), labelled)
        found = combined(said.tolist(), by_judge.tolist(), None, judged)
        assert found is not None
        held += found.low <= truth <= found.high
    assert 0.92 <= held / repeats <= 0.98


def judge_says(rng: np.random.Generator, right: np.ndarray) -> np.ndarray:
    return (rng.random(len(right)) < np.where(right, 0.9, 0.2)).astype(float)


def test_wrong_arguments() -> None:
    table = pairs(9, 1, 2, 8)
    with pytest.raises(ValueError):
        LabelledItems([1.0], [1.0, 0.0])
    with pytest.raises(ValueError):
        corrected([], table)
    with pytest.raises(ValueError):
        corrected([0.5], table)
    with pytest.raises(ValueError):
        corrected([1.0], table, ["a", "b"])
    with pytest.raises(ValueError):
        prediction_powered([math.nan], table)
    with pytest.raises(ValueError):
        combined([1.0, 0.0], [True, False], None, corrected(verdicts(6, 10), table))
