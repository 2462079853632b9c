"""One answer to read: marked where it is, and shown as text whatever it is."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.frames import MOST, Runs, load_runs, read
from evalkit.schema import Score, UserError
from tests.frames.conftest import HOSTILE
from tests.leaderboard.made import item, keep, run


def test_an_answer_reads_as_it_was_given(runs: Runs) -> None:
    answer = runs.answers.query("benchmark == 'finqa' and label == 'large'").index[1]
    text = str(read(runs, answer))
    row_ = runs.answers.loc[answer]
    assert row_["gold"] in text
    assert row_["messages"][-1][1][-100:] in text
    assert "\\boxed{⟦" in text
    assert "financial: correct" in text


def test_hostile_output_is_only_text(runs: Runs) -> None:
    answer = runs.answers.index[runs.answers["text"] == HOSTILE][0]
    page = read(runs, answer)._repr_html_()
    assert "<script" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "<mark>&lt;b&gt;1e9&lt;/b&gt;</mark>" in page
    assert "mathjax_ignore" in page
    for shown in (page, str(read(runs, answer))):
        assert "\x1b" not in shown
        assert "\u202e" not in shown


def test_what_is_too_long_loses_its_middle_and_wrong_spans_mark_nothing(tmp_path: Path) -> None:
    score = Score("42", True, 1.0, "correct", span=(5, 10**9))
    long = item("tfns", 0, 1.0, text="x" * 10**6 + "end", scores={"financial": score})
    failed = item("tfns", 1, None, text=None, error="context overflow")
    keep(tmp_path, run("odd", {"tfns": []}, long, failed))
    runs = load_runs(tmp_path)
    text = str(read(runs, 0))
    assert len(text) < 2 * MOST
    assert "xend" in text
    assert "⟦" not in text
    assert "(no answer: context overflow)" in str(read(runs, 1))


def test_there_is_no_such_answer(runs: Runs) -> None:
    with pytest.raises(UserError, match="they go from 0 to"):
        read(runs, -1)
