"""What a judge said, and how wrong it is, on the leaderboard and on the site."""

from __future__ import annotations

from typing import Any

import pytest

from evalkit.board.board import Board, board_of
from evalkit.board.site import site
from evalkit.board.tables import board_markdown
from evalkit.published import read_table
from evalkit.run.info import Run
from evalkit.schema import Score, UserError
from tests.leaderboard.made import item, run, with_items
from tests.leaderboard.made import judged as scored

TABLE = read_table()
FILE = "records/m.jsonl.gz"
RATE = {"rate": 0.62, "mistakes": 31, "n": 50, "interval": [0.48, 0.74]}
SCORE = {"value": 0.41, "error": 0.1, "low": 0.3, "high": 0.521, "n": 90, "clusters": 90}


def summary(shown: str, reason: str | None) -> dict[str, Any]:
    canaries = {"false_positive": RATE, "false_negative": {**RATE, "rate": 0.1}, "reason": reason}
    of = {"shown": shown, "paths": {"rule": 0, "judge": 4}, "canaries": canaries, "errors": {}}
    return {"judge": {"name": "strict <b>", "identity": {}}, "benchmarks": {"finance_instruct": of}}


def calibration() -> dict[str, Any]:
    kappa = {"value": 0.61, "low": 0.42, "high": 0.8}
    corrected = {"value": None, "refusal": "uninformative"}
    people = {"n": 90, "kappa": kappa, "raw": SCORE, "corrected": corrected, "prediction_powered": SCORE}
    return {"judge": {"name": "strict <b>"}, "benchmarks": {"finance_instruct": {"people": people}}}


def judged(shown: str, grades: list[float], reason: str | None = None) -> Run:
    blocks = {"judge": summary(shown, reason), "calibration": calibration()}
    made = run("m", {"tfns": [1.0, 0.0], "finance_instruct": [None] * 4}, **blocks)
    items = list(made.items)
    for number, grade in enumerate(grades):
        said = Score(None, grade >= 0.5, grade, "correct" if grade >= 0.5 else "judged_wrong", "judge")
        scores = {"financial": scored(None), "judged": said}
        items[2 + number] = item("finance_instruct", number, None, scores=scores)
    return with_items(made, items)


def markdown(board: Board) -> str:
    return board_markdown(board, [TABLE], {}, [], {})


def test_free_text_counts_as_judged_and_the_judge_stands_beside_it() -> None:
    board = board_of({FILE: judged("fit", [1.0, 0.5, 0.0, 0.5])}, [TABLE])
    (entry,) = board.measured
    cell = entry.cells["finance_instruct"]
    assert (cell.rule, cell.estimate.value if cell.estimate else None) == ("judged", 0.5)
    assert entry.cells["tfns"].rule == "financial"
    assert entry.average is not None
    assert entry.average.value == 0.5
    text = markdown(board)
    assert "50.0 [" in text.partition("## Published")[0]
    assert "‡ n=4" in text
    part = text.partition("## Judged")[2]
    assert "62 % [48, 74] of 50" in part
    assert "0.61 [0.42, 0.80]" in part
    assert "not usable" in part
    assert "41.0 [30.0, 52.1]" in part


def test_a_judge_that_is_not_fit_leaves_the_cell_unscored_and_says_why() -> None:
    board = board_of({FILE: judged("withheld", [], "accepts 62 % of wrong answers")}, [TABLE])
    (entry,) = board.measured
    assert entry.cells["finance_instruct"].estimate is None
    assert entry.cells["finance_instruct"].unscored == 4
    assert "not fit, withheld: it accepts 62 % of wrong answers" in markdown(board)
    made = {FILE: judged("withheld", [], "accepts 62 % of wrong answers")}
    assert '<a href="judge.html">judge not fit</a>' in site(board, made, [])["index.html"].decode()


def test_the_site_has_the_judge_and_escapes_it() -> None:
    made = {FILE: judged("fit", [1.0, 0.5, 0.0, 0.5])}
    pages = site(board_of(made, [TABLE]), made, [])
    page = pages["judge.html"].decode()
    assert "strict &lt;b&gt;" in page
    assert "<b>" not in page
    assert "62 % [48, 74] of 50" in page
    assert '<a href="judge.html">judged</a>' in pages["index.html"].decode()


def test_a_run_without_a_judge_has_no_such_part() -> None:
    made = {FILE: run("m", {"tfns": [1.0]})}
    board = board_of(made, [TABLE])
    assert "## Judged" not in markdown(board)
    pages = site(board, made, [])
    assert "judge.html" not in pages
    assert b"judge.html" not in pages["index.html"]


@pytest.mark.parametrize(
    "wrong",
    [{"judge": {"name": ""}}, {"judge": {"name": "x"}, "benchmarks": {"tfns": {"shown": "loud"}}}, {}],
)
def test_a_foreign_judge_block_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UserError, match="is not a run's record: judge"):
        run("m", {"tfns": [1.0]}, judge=wrong)


def test_what_the_judge_says_of_unknown_benchmarks_is_left_out() -> None:
    other = summary("fit", None)
    other["benchmarks"] = {"elsewhere": other["benchmarks"]["finance_instruct"]}
    (entry,) = board_of({FILE: run("m", {"tfns": [1.0]}, judge=other)}, [TABLE]).measured
    assert entry.judged == ()
