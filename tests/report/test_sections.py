"""Failures, classification and sensitivity on hand-made scores."""

from __future__ import annotations

import csv
import io

import pytest

from evalkit.metrics import RuleLine, nearest_rank
from evalkit.report.rules import FILES, Panel, draw, rules_section
from evalkit.report.sections import classification_section, failures_section
from evalkit.schema import Estimate, Flips

from .helpers import as_json, label, make, score


def test_failures_truncation_and_length() -> None:
    scores = [
        score("a", 1, tokens=10),
        score("b", 0, tokens=20, failure="sign"),
        score("c", 0, tokens=4096, failure="truncated", finish="length"),
        score("d", 1, tokens=4096, finish="length"),
        score("e", 0, failure="truncated"),
    ]
    found = failures_section(make(scores))
    assert found is not None
    data = as_json(found)["finqa"]
    assert data["failures"] == {"correct": 2, "sign": 1, "truncated": 2}
    assert data["truncated"] == 3
    assert data["all"]["accuracy"] == pytest.approx(0.4)
    assert (data["without_truncated"]["accuracy"], data["without_truncated"]["n"]) == (0.5, 2)
    assert data["completion_tokens"] == {"median": 2058, "p95": 4096}


def test_nearest_rank() -> None:
    assert nearest_rank([1, 2, 3, 4], 0.5) == 2
    assert nearest_rank([7], 0.95) == 7


def test_classification_counts_answers_that_are_no_label() -> None:
    scores = [
        label("a", "neutral", "neutral", True),
        label("b", "neutral", "bullish", False),
        label("c", "bullish", "bullish", True),
        label("d", "bearish", "buy and sell", False),
    ]
    found = classification_section(make(scores))
    assert found is not None
    data = as_json(found)["tfns"]
    assert data["confusion"]["bearish"]["no answer"] == 1
    assert data["confusion"]["neutral"] == {"bearish": 0, "bullish": 1, "neutral": 1, "no answer": 0}
    # F1: bearish 0, bullish 2/3, neutral 2/3.
    assert found.metrics["tfns"]["macro_f1"] == pytest.approx(4 / 9)
    assert found.metrics["tfns"]["majority_baseline"] == 0.5
    assert classification_section(make([score("a", 1)])) is None


def test_sensitivity_table_flips_and_disagreements() -> None:
    strict = {"a": 1.0, "b": 0.0, "c": 1.0}
    scores = [score(id_, value, rule="strict", extracted="=HYPERLINK(1)") for id_, value in strict.items()]
    scores = [score("a", 1), score("b", 1, extracted="x | <b>"), score("c", 0), score("d", 1), *scores]
    found = rules_section(make(scores))
    assert found is not None
    line = as_json(found)["finqa"]["strict"]
    assert (line["n"], line["difference"], line["difference_n"]) == (3, 0.0, 3)
    assert (line["lost"], line["gained"]) == (1, 1)
    assert list(as_json(found)["finqa"]) == ["financial", "strict"]
    assert "`x ¦ <b>`" in found.body
    rows = list(csv.DictReader(io.StringIO(found.files["disagreements.csv"].decode())))
    assert [(row["id"], row["financial"], row["strict"]) for row in rows] == [
        ("b", "1", "0"),
        ("c", "0", "1"),
    ]
    assert rows[0]["strict: extracted"] == "'=HYPERLINK(1)"
    assert set(found.files) == set(FILES)


def test_disagreements_are_capped_in_markdown_and_complete_in_csv() -> None:
    scores = [
        score(f"id{i}", float(rule == "pot"), rule=rule) for i in range(50) for rule in ("financial", "pot")
    ]
    found = rules_section(make(scores))
    assert found is not None
    assert "disagree on 50 outputs. 30 more are in disagreements.csv" in found.body
    assert found.body.count("`id") == 20
    assert found.files["disagreements.csv"].decode().count("\n") == 51


def test_one_rule_draws_nothing() -> None:
    assert rules_section(make([score("a", 1)])) is None
    unscored = [score("a", None), score("a", 1, rule="pot")]
    assert rules_section(make(unscored)) is None


def test_figure_is_the_same_bytes_whatever_the_users_settings() -> None:
    import matplotlib

    none = Flips(0, 0, 0, 0)
    rules = [
        RuleLine("financial", Estimate(0.7, 0.05, 0.6, 0.8, 61, 40), None, none, partial=False),
        RuleLine("pot", Estimate(0.0, 0.0, 0.0, 0.8, 2, 2), None, none, partial=True),
    ]
    panels = [Panel("A $title", rules, "financial")]
    first = draw(panels)
    with matplotlib.rc_context({"font.size": 20, "axes.facecolor": "black", "savefig.dpi": 30}):
        second = draw(panels)
        assert matplotlib.rcParams["font.size"] == 20
    assert first == second
    png, svg = first
    assert png.startswith(b"\x89PNG")
    assert b"<svg" in svg
    assert b"<dc:date>" not in svg
