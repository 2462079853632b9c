"""Wording, tables and files of a comparison; other people's text stays text."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from evalkit.compare.needed import Needed
from evalkit.flips import Flip, FlipKind, GradedAnswer
from evalkit.report.compare import (
    flip_cells,
    flips_csv,
    mixed,
    p_value,
    tokens,
)
from evalkit.report.verdict import points, verdict_sentence
from evalkit.schema import Comparison, Estimate, Item, Verdict
from evalkit.text import change, named, percent, printable, shown
from tests.report.helpers import score


def estimate(value: float, low: float, high: float) -> Estimate:
    return Estimate(value, 0.01, low, high, 200, 80)


def comparison(difference: Estimate, verdict: Verdict) -> Comparison:
    both = estimate(0.5, 0.4, 0.6)
    tests = (None,) * 6
    return Comparison("finqa", both, both, difference, None, None, None, *tests, verdict)


@pytest.mark.parametrize(
    ("difference", "verdict", "margin", "says"),
    [
        ((-0.001, -0.012, 0.011), Verdict("as_good"), 0.02, "as good as the reference (within 2 points)"),
        ((0.0, -0.006, 0.006), Verdict("as_good"), 0.01, "as good as the reference (within 1 point)"),
        ((-0.0312, -0.0501, -0.0119), Verdict("worse"), 0.02, "worse by 3.1 [1.2, 5.0] points"),
        ((-0.02, -0.04, -0.0001), Verdict("worse"), 0.02, "worse by 2.0 [0.0, 4.0] points"),
        ((0.02, 0.003, 0.037), Verdict("better"), 0.02, "better by 2.0 [0.3, 3.7] points"),
        ((-0.01, -0.05, 0.03), Verdict("unresolved", 1960), 0.02, "no answer yet"),
    ],
)
def test_verdict_sentences(
    difference: tuple[float, float, float], verdict: Verdict, margin: float, says: str
) -> None:
    assert verdict_sentence(comparison(estimate(*difference), verdict), margin) == says


@pytest.mark.parametrize(
    ("needed", "says"),
    [
        (Needed("limit", 1600, 1400), "no answer yet (limit=1600 would tell)"),
        (Needed("never", available=1490), "no answer yet (never: too few questions)"),
        (Needed("unknown"), "no answer yet"),
    ],
)
def test_what_would_settle_it_stands_behind_an_open_verdict(needed: Needed, says: str) -> None:
    found = comparison(estimate(-0.01, -0.05, 0.03), Verdict("unresolved", 1960))
    assert verdict_sentence(found, 0.02, needed) == says


def test_figures() -> None:
    assert percent(estimate(0.725, 0.601, 0.8234)) == "72.5 [60.1, 82.3]"
    assert change(estimate(-0.031, -0.05, -0.0004)) == "-3.1 [-5.0, 0.0]"
    assert change(estimate(0.031, -0.05, 0.1)) == "+3.1 [-5.0, +10.0]"
    assert change(None) == tokens(None) == p_value(None) == "-"
    assert tokens(estimate(1234.4, -0.4, 2500.6)) == "+1,234 [0, +2,501]"
    assert [p_value(p) for p in (0.0004, 0.0123, 1.0)] == ["<0.001", "0.012", "1.000"]
    assert [points(m) for m in (0.02, 0.01, 0.005, 0.035)] == [
        "2 points",
        "1 point",
        "0.5 points",
        "3.5 points",
    ]


HOSTILE = "=cmd|' /C calc'!A0\x1b[2J\n<script>alert(1)</script> `x` \u202e" + "9" * 300


def flip(kind: FlipKind, id_: str = "x", extracted: str | None = "1") -> Flip:
    before, after = (score(id_, value, extracted=extracted) for value in (1.0, 0.0))
    return Flip(kind, graded(before), graded(after))


def graded(item: Item) -> GradedAnswer:
    return GradedAnswer(item, item.samples[0], item.samples[0].scores["financial"])


def test_kinds_of_flips_take_turns() -> None:
    many = [flip("right_to_wrong", str(i)) for i in range(9)]
    found = mixed([*many, flip("wrong_to_other_wrong"), flip("wrong_to_right")], 5)
    assert [each.kind for each in found] == [
        *("right_to_wrong", "wrong_to_right", "wrong_to_other_wrong", "right_to_wrong", "right_to_wrong")
    ]
    assert [each.reference.item.id for each in found if each.kind == "right_to_wrong"] == ["0", "1", "2"]


def test_an_answer_that_is_missing_shows_why() -> None:
    before, after = score("x", 1.0, extracted="5"), score("x", 0.0, failure="truncated")
    without = Flip("right_to_wrong", graded(before), graded(after))
    assert flip_cells(without)[-2:] == ("5", "(truncated)")


def test_hostile_text_in_the_csv_is_one_cell_and_no_formula() -> None:
    text = flips_csv([flip("right_to_wrong", HOSTILE, HOSTILE)])
    header, row = csv.reader(io.StringIO(text))
    assert len(header) == len(row) == 9
    assert text.count("\n") == 2
    assert row[header.index("id")].startswith("'=")
    assert row[header.index("candidate_extracted")].startswith("'=")


def test_hostile_text_in_messages_and_on_the_terminal_is_one_short_line() -> None:
    for text in (printable(HOSTILE), shown(HOSTILE), named((HOSTILE, 3))):
        assert text.isprintable()
        assert "\x1b" not in text
        assert len(text) < 100
    assert re.fullmatch(r'"=cmd.* turn 3', named((HOSTILE, 3)))
    assert json.loads(shown("a\nb")) == "a\nb"
