"""Several answers to one example, and what an answer's length decides."""

from __future__ import annotations

import random
from itertools import combinations

import pytest

from evalkit.flips import graded
from evalkit.report.samples import budget_section, samples_section
from evalkit.samples import budget_curve, pass_at, several, vote
from evalkit.schema import Item

from .helpers import as_json, make, merged, score


@pytest.mark.parametrize("n", range(1, 7))
def test_pass_at_k_is_the_share_of_draws_with_a_right_answer(n: int) -> None:
    for right in range(n + 1):
        answers = [True] * right + [False] * (n - right)
        for k in range(1, n + 1):
            draws = list(combinations(answers, k))
            assert pass_at(right, n, k) == pytest.approx(sum(map(any, draws)) / len(draws))


def example(id_: str, *said: tuple[str, bool], group: str | None = None) -> Item:
    """An example with one answer for each text, right or wrong."""
    answers = [
        score(id_, float(right), sample=number, text=f"\\boxed{{{text}}}", extracted=text, group=group)
        for number, (text, right) in enumerate(said)
    ]
    (item,) = merged(answers)
    return item


def test_answers_vote_by_what_they_mean() -> None:
    item = example("a", ("7.5%", True), ("0.075", True), ("12", False), ("13", False))
    assert vote(graded(item, "financial")).share == 0.5
    assert vote(graded(item, "financial")).right == 1
    tie = example("b", ("1", True), ("2", False), ("3", False))
    assert vote(graded(tie, "financial")).right == pytest.approx(1 / 3)


def test_no_answer_has_no_vote() -> None:
    silent = [score("a", 0.0, sample=n, text="I cannot say.", failure="no_final_answer") for n in range(3)]
    (item,) = merged(silent)
    assert vote(graded(item, "financial")).right == 0
    said = [*silent[:2], score("a", 1.0, sample=2, text=r"\boxed{5}", extracted="5")]
    (item,) = merged(said)
    found = vote(graded(item, "financial"))
    assert found.right == 1
    assert found.share == pytest.approx(1 / 3)


def test_figures_of_a_benchmark() -> None:
    items = [
        example("a", ("1", True), ("1", True), ("2", False), ("3", False)),
        example("b", ("5", False), ("5", False), ("5", False), ("1", True)),
        example("c", ("1", True), ("1", True), ("1", True), ("1", True)),
    ]
    found = several(items, "financial")
    assert found is not None
    assert found.samples == 4
    assert {k: round(each.value, 6) for k, each in found.pass_at.items()} == {
        1: round((0.5 + 0.25 + 1) / 3, 6),
        2: round((5 / 6 + 0.5 + 1) / 3, 6),
        4: 1.0,
    }
    assert found.majority.value == pytest.approx(2 / 3)
    assert found.confident is not None
    assert found.unsure is not None
    assert (found.confident.value, found.confident.n) == (0.5, 2)
    assert (found.unsure.value, found.unsure.n) == (1.0, 1)
    section = samples_section(make(items))
    assert section is not None
    assert as_json(section)["finqa"]["majority"]["accuracy"] == pytest.approx(2 / 3)
    assert "| maj@k, % |" in section.body
    assert samples_section(make([score("a", 1.0)])) is None


def test_a_vote_beats_its_voters_where_errors_differ() -> None:
    draw = random.Random(1)
    items = []
    for number in range(200):
        said = [
            ("42", True) if draw.random() < 0.6 else (str(draw.randrange(100, 999)), False) for _ in range(9)
        ]
        items.append(example(str(number), *said))
    found = several(items, "financial")
    assert found is not None
    assert found.pass_at[1].value == pytest.approx(0.6, abs=0.05)
    assert found.majority.value > 0.95


def test_the_curve_of_the_token_limit() -> None:
    items = [
        score("a", 1, tokens=10),
        score("b", 1, tokens=100),
        score("c", 0, tokens=40),
        score("d", 1, tokens=300),
    ]
    points = budget_curve(items, "financial")
    assert [(point.tokens, point.accuracy.value, point.ended) for point in points] == [
        (64, 0.25, 0.5),
        (128, 0.5, 0.75),
        (256, 0.5, 0.75),
        (512, 0.75, 1.0),
    ]
    section = budget_section(make(items))
    assert section is not None
    assert [point["accuracy"] for point in as_json(section)["finqa"]] == [0.25, 0.5, 0.5, 0.75]
    assert budget_curve([*items, score("e", 1)], "financial") == []  # a length that is not known
    assert budget_section(make([score("a", 1, tokens=3)])) is None
