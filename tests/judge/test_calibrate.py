"""Calibration by plain-function judges that are as wrong as they are told to be."""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest

from evalkit.judge.calibrate import (
    Calibration,
    CalibrationReport,
    calibrate,
    calibration_json,
    calibration_markdown,
    designs,
    even,
    findings,
    fit,
    halves,
    proportional,
    shuffled,
)
from evalkit.judge.judge import Subject
from evalkit.judge.labels import LabelMatches
from evalkit.judge.prompt import Case
from evalkit.schema import Judgement, Ruling
from tests.judge.runs import subject

Judge = Callable[[Sequence[Case]], list[Judgement]]
RIGHT = "\\boxed{right}"


def answers(n: int, share_right: float, seed: int = 1) -> list[Subject]:
    """Answers whose text says whether they are right, as the rule does too."""
    draw = random.Random(seed)
    rules = [draw.random() < share_right for _ in range(n)]
    return [subject(i, rule=rule, text=RIGHT if rule else "wrong") for i, rule in enumerate(rules)]


def said(score: float | None) -> Judgement:
    if score is None:
        return Judgement("key", None, "broken_reply", attempts=3)
    return Judgement("key", Ruling(score), attempts=1)


def judge(q1: float, q0: float, seed: int = 2) -> Judge:
    """One that calls right answers right with probability `q1`, and wrong ones wrong with `q0`."""
    draw = random.Random(seed)

    def ask(cases: Sequence[Case]) -> list[Judgement]:
        return [
            said(float(draw.random() < q1 if case.answer == RIGHT else draw.random() >= q0)) for case in cases
        ]

    return ask


def by_rule(subjects: list[Subject], ask: Judge, n: int | None = None) -> Calibration:
    (found,), _ = calibrate("finqa", designs(subjects, None, n, 0), ask, 0.75)
    return found


def report(*found: Calibration) -> CalibrationReport:
    return CalibrationReport("a model", {"name": "scripted", "identity": {}}, {"n": 200}, found, (), 0, {})


def test_a_perfect_judge_needs_no_correction() -> None:
    found = by_rule(answers(400, 0.6), judge(1, 1))
    assert found.n == 400
    assert found.agreement.kappa is not None
    assert found.agreement.kappa.value == 1
    assert found.truth is not None
    assert found.corrected is not None
    assert found.corrected.estimate is not None
    assert found.corrected.raw.value == found.truth.value
    assert found.corrected.estimate.value == pytest.approx(found.truth.value)
    assert fit(found.agreement)


def test_what_a_judge_with_known_errors_comes_to() -> None:
    found = by_rule(answers(4_000, 0.7), judge(0.9, 0.8))
    assert found.agreement.sensitivity.value == pytest.approx(0.9, abs=0.03)
    assert found.agreement.specificity.value == pytest.approx(0.8, abs=0.04)
    # κ of a judge with these rates at 70 % right answers: (0.87 - 0.5688) / (1 - 0.5688)
    assert found.agreement.kappa is not None
    assert found.agreement.kappa.value == pytest.approx(0.6985, abs=0.04)
    assert found.estimated == pytest.approx(2_000, abs=1)
    assert found.truth is not None
    assert found.corrected is not None
    assert found.powered is not None
    assert found.corrected.raw.value == pytest.approx(0.7 * 0.9 + 0.3 * 0.2, abs=0.03)
    for estimate in (found.corrected.estimate, found.powered.estimate):
        assert estimate is not None
        assert estimate.low < found.truth.value < estimate.high
        assert estimate.value == pytest.approx(0.7, abs=0.05)


def test_a_lenient_judge_is_put_right() -> None:
    found = by_rule(answers(3_000, 0.3), judge(0.98, 0.6))
    assert found.corrected is not None
    assert found.powered is not None
    assert found.truth is not None
    assert found.corrected.raw.low > found.truth.high  # far too high as it stands
    for estimate in (found.corrected.estimate, found.powered.estimate):
        assert estimate is not None
        assert estimate.low < found.truth.value < estimate.high


@pytest.mark.parametrize(
    ("ask", "says"),
    [
        (judge(0.5, 0.5), "no better than chance"),
        (judge(1, 0), "calls every one of 300 answers right"),
        (judge(0, 1), "calls every one of 300 answers wrong"),
        (judge(0, 0), "no better than chance"),
    ],
)
def test_an_unfit_judge_is_called_so(ask: Judge, says: str) -> None:
    found = by_rule(answers(300, 0.6), ask)
    assert not fit(found.agreement)
    assert found.corrected is not None
    assert found.corrected.estimate is None
    (line,) = findings(report(found))
    assert says in line
    assert "not fit" in line
    assert says in calibration_markdown(report(found))
    assert "q₀ + q₁ not above 1" in calibration_markdown(report(found))


def test_a_fit_judge_is_not_let_off_its_mistakes() -> None:
    (line,) = findings(report(by_rule(answers(3_000, 0.3), judge(0.98, 0.6))))
    assert "agrees moderately" in line
    assert "accepts 41 % of the wrong answers and refuses 2 % of the right" in line


def test_few_labels_are_called_few() -> None:
    found = by_rule(answers(12, 0.5), judge(0.7, 0.6))
    (line,) = findings(report(found))
    assert "cannot be told from chance with 12 labels" in line


def test_labels_of_one_kind_give_no_kappa() -> None:
    found = by_rule(answers(50, 1.0), judge(0.9, 0.8))
    assert found.agreement.kappa is None
    (line,) = findings(report(found))
    assert "all of them 'right'" in line


def test_broken_replies_are_counted_and_left_out() -> None:
    def ask(cases: Sequence[Case]) -> list[Judgement]:
        return [said(None if i % 4 == 0 else float(c.answer == RIGHT)) for i, c in enumerate(cases)]

    subjects = answers(200, 0.5)
    found = by_rule(subjects, ask)
    assert found.errors == {"broken_reply": 50}
    assert found.n == 150
    assert found.agreement.accuracy.value == 1


def test_a_judge_that_never_answers() -> None:
    found = by_rule(answers(30, 0.5), lambda cases: [said(None) for _ in cases])
    assert (found.n, found.corrected, found.powered) == (0, None, None)
    assert "no verdict on any" in findings(report(found))[0]
    calibration_markdown(report(found))


def test_a_grade_counts_from_the_threshold_on() -> None:
    subjects = answers(40, 0.5)

    def ask(cases: Sequence[Case]) -> list[Judgement]:
        return [said(0.75 if case.answer == RIGHT else 0.5) for case in cases]

    (found,), _ = calibrate("finqa", designs(subjects, None, None, 0), ask, 0.75)
    assert found.agreement.accuracy.value == 1
    (found,), _ = calibrate("finqa", designs(subjects, None, None, 0), ask, 0.5)
    assert found.agreement.specificity.value == 0


def test_flips_are_counted_where_order_or_language_change_the_verdict() -> None:
    subjects = answers(100, 0.5)
    stubborn = {s.case.question for s in subjects[:70]}

    def ask(cases: Sequence[Case]) -> list[Judgement]:
        def score(case: Case) -> float:
            right = case.answer == RIGHT
            turned = case.order == "answer_first" and case.question not in stubborn
            return float(right != turned)

        return [said(score(case)) for case in cases]

    _, flipped = calibrate("finqa", designs(subjects, None, None, 0), ask, 0.75)
    assert [(each.swap, each.changed.count, each.changed.n) for each in flipped] == [
        ("order", 30, 100),
        ("language", 0, 100),
    ]


def test_peoples_labels_say_what_the_unlabelled_answers_score() -> None:
    subjects = [replace(each, rule=None) for each in answers(2_000, 0.5)]
    labelled = shuffled(subjects, 7)[:400]
    people = LabelMatches({s.name: s.case.answer == RIGHT for s in labelled}, unmatched=0)
    people.verdicts[labelled[0].name] = None
    (design,) = designs(subjects, people, 1_000, 0)
    assert (design.source, design.held_back, design.borderline) == ("people", False, 1)
    assert (len(design.labelled), len(design.estimated)) == (399, 1_000)
    assert not {s.name for s in labelled} & {s.name for s in design.estimated}
    (found,), _ = calibrate("finqa", [design], judge(0.9, 0.7), 0.75)
    assert found.truth is None
    assert found.corrected is not None
    assert found.corrected.estimate is not None
    assert found.corrected.estimate.low < 0.5 < found.corrected.estimate.high


def test_where_all_is_labelled_half_is_held_back() -> None:
    subjects = answers(60, 0.5)
    people = LabelMatches({s.name: s.case.answer == RIGHT for s in subjects}, unmatched=0)
    rule, design = designs(subjects, people, None, 0)
    assert (rule.source, design.source) == ("rule", "people")
    assert design.held_back
    assert len(design.labelled) == len(design.estimated) == 30


def test_each_answer_is_judged_once_for_both_kinds_of_labels() -> None:
    subjects = answers(60, 0.5)
    asked: list[int] = []

    def ask(cases: Sequence[Case]) -> list[Judgement]:
        asked.append(len(cases))
        return [said(1.0) for _ in cases]

    people = LabelMatches({s.name: True for s in subjects}, unmatched=0)
    calibrate("finqa", designs(subjects, people, None, 0), ask, 0.75)
    assert asked == [180]  # as they are, in the other order, in the other language


def test_the_json_is_json_and_holds_everything() -> None:
    found = by_rule(answers(200, 0.6), judge(0.9, 0.8))
    content = json.loads(calibration_json(report(found)))
    cell = content["benchmarks"]["finqa"]["rule"]
    assert sum(cell["table"].values()) == cell["n"] == 200
    assert cell["held_back"] is True
    for name in ("raw", "corrected", "prediction_powered", "labels"):
        assert cell[name]["low"] <= cell[name]["value"] <= cell[name]["high"]
    unfit = json.loads(calibration_json(report(by_rule(answers(200, 0.6), judge(0.5, 0.5)))))
    assert unfit["benchmarks"]["finqa"]["rule"]["corrected"] == {"value": None, "refusal": "uninformative"}


def test_a_larger_sample_contains_the_smaller() -> None:
    subjects = answers(100, 0.5)
    assert shuffled(subjects, 0)[:20] == shuffled(list(reversed(subjects)), 0)[:20]
    assert shuffled(subjects, 0) != shuffled(subjects, 1)


def test_every_stratum_has_its_share() -> None:
    subjects = answers(100, 0.37)
    right = sum(bool(s.rule) for s in subjects)
    chosen = proportional(subjects, 50, 0, lambda s: s.rule)
    assert len(chosen) == 50
    assert abs(sum(bool(s.rule) for s in chosen) - right / 2) < 1
    assert len(proportional(subjects, 500, 0, lambda s: s.rule)) == 100


def test_halves_share_no_group() -> None:
    subjects = [subject(i, group=f"page-{i % 9}") for i in range(90)]
    first, second = halves(subjects, 0)
    assert {s.group for s in first}.isdisjoint(s.group for s in second)
    assert (len(first), len(second)) == (50, 40)
    assert halves([subject(1)], 0) == ([subject(1)], [])


def test_small_benchmarks_give_all_they_have() -> None:
    assert even([10, 1000, 500], 100) == [10, 45, 45]
    assert even([3, 4], 100) == [3, 4]
    assert even([50, 50, 50], 100) == [34, 33, 33]
