"""leaderboard.md, .csv and .json: what they say, and that nobody's text breaks them."""

from __future__ import annotations

import csv
import io
import json
import re

import pytest

from evalkit.audit import audit_table
from evalkit.board.board import Board, Problem, board_of
from evalkit.board.published import against
from evalkit.board.tables import board_csv, board_json, board_markdown, notes
from evalkit.published import read_table
from evalkit.text import visible_text
from tests.leaderboard.made import run
from tests.sweep.ladders import tiny

TABLE = read_table()
HOSTILE = "x | y\n\n# <script>alert(1)</script> [a](javascript:b) `` ` `` $\\LaTeX$ \x1b[31m \u202e"


def board() -> Board:
    best = run("best", {"finqa": [1.0, 0.0, 1.0, 1.0], "tfns": [1.0, 1.0], "finance_instruct": [None]})
    odd = run("odd", {"tfns": [0.0, 1.0, 0.0]}, model={"name": HOSTILE, "title": HOSTILE})
    problems = [
        Problem("records/old.jsonl.gz", "the same model", "superseded"),
        Problem(f"records/{HOSTILE}.jsonl.gz", "is cut off"),
    ]
    return board_of({"records/best.jsonl.gz": best, "records/odd.jsonl.gz": odd}, [TABLE], problems)


def page(found: Board) -> str:
    return board_markdown(
        found, [TABLE], {"tiny ladder": tiny()}, [audit_table(TABLE)], {TABLE.name: against(found, TABLE)}
    )


def section(text: str, title: str) -> str:
    found = re.search(rf"^## {title}\n\n(.*?)(?=^## |\Z)", text, re.M | re.S)
    assert found is not None, title
    return found[1]


def rows(text: str) -> list[list[str]]:
    lines = [line for line in text.split("\n") if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_measured_and_published_rows_are_apart_and_rectangular() -> None:
    text = page(board())
    measured, published = rows(section(text, "Measured")), rows(section(text, "Published"))
    assert [len(line) for line in measured] == [14] * 4  # header, rule, two runs
    assert [len(line) for line in published] == [9] * (2 + len(TABLE.rows))
    assert measured[2][0] == "Best"
    assert re.fullmatch(r"75\.0 \[\d+\.\d, \d+\.\d\] n=4", measured[2][2])
    assert measured[2][6] == "1 unscored"
    assert measured[2][7].endswith("(2 of 5)")
    assert [line[0] for line in published[2:]] == [row.title for row in TABLE.rows]


def test_the_rule_for_duplicates_the_odd_averages_and_what_is_left_out_are_stated() -> None:
    text = page(board())
    assert "the most complete one is shown" in section(text, "Measured")
    assert "69.2 is printed, its scores average 68.80" in section(text, "Published")
    assert "`records/old.jsonl.gz`" in section(text, "Another run stands for these")
    assert "cut off" in section(text, "Could not be read")
    assert "(curves/tiny%20ladder/report.md)" in section(text, "Quants")
    assert "### Training overlap" in section(text, "The published table, audited")


def test_a_measured_file_of_a_published_model_stands_against_the_published_score() -> None:
    model = {"name": "fin-r1-q4_k", "title": "Fin-R1 q4_k", "parameters": 7_615_616_512}
    runs = {"a": run("a", {"tfns": [1.0, 0.0, 0.0, 1.0]}, model=model)}
    audited = section(page(board_of(runs, [TABLE])), "The published table, audited")
    (line,) = (line for line in rows(audited.partition("### Measured against published")[2])[2:])
    assert line[1:4] == ["TFNS", "50.0", "71.0"]
    assert line[4].startswith("-21.0 [")
    assert "GPT-4o as judge there" in line[5]


def test_nobodys_text_gets_out_of_its_code_span() -> None:
    text = page(board())
    assert "\x1b" not in text
    assert "\u202e" not in text
    outside = re.sub(r"(`+) ?.*? ?\1(?!`)", "", text)
    assert "<script>" not in outside
    assert "javascript:" not in outside


@pytest.mark.parametrize("title", ["www.example.com", "a_b*c*", "https://x", "<b>", "`", "|", "![x](y)"])
def test_a_title_that_markdown_would_read_is_code(title: str) -> None:
    runs = {"a": run("a", {"tfns": [1.0]}, model={"name": "a", "title": title})}
    (line,) = rows(section(page(board_of(runs, [TABLE])), "Measured"))[2:]
    assert line[0].startswith("`")


def test_rows_with_the_same_title_are_told_apart_by_their_run() -> None:
    protocols = ("greedy", "paper")
    runs = {
        name: run("m", {"tfns": [1.0]}, run_id=f"run-{name}", protocol={"name": name}) for name in protocols
    }
    lines = rows(section(page(board_of(runs, [TABLE])), "Measured"))[2:]
    assert [line[0] for line in lines] == ["M `run-greedy`", "M `run-paper`"]


def test_an_empty_board_says_how_to_fill_it() -> None:
    text = board_markdown(board_of({}, [TABLE]), [TABLE], {}, [], {})
    assert "evalkit run" in section(text, "Measured")
    assert "## Quants" not in text


def test_a_title_is_no_formula_in_a_spreadsheet() -> None:
    runs = {"a": run("a", {"tfns": [1.0]}, model={"name": "a", "title": "=HYPERLINK(1)"})}
    (line, *_) = csv.DictReader(io.StringIO(board_csv(board_of(runs, [TABLE]))))
    assert line["title"] == "'=HYPERLINK(1)"


def test_json_says_its_schema_and_holds_the_board() -> None:
    found = board()
    content = json.loads(board_json(found, notes(found)))
    assert content["schema"] == 1
    assert [entry["model"] for entry in content["measured"]] == ["best", visible_text(HOSTILE)]
    cell = content["measured"][0]["cells"]["finqa"]
    assert cell["estimate"]["value"] == 0.75
    assert cell["covered"] == 4
    assert content["published"][0]["scores"]["finqa"] == 71.0
    assert content["problems"][0]["kind"] == "superseded"
    assert content["measured"][0]["rule"] == "financial"


def test_csv_is_in_per_cent_with_a_kind_and_equal_columns() -> None:
    lines = list(csv.DictReader(io.StringIO(board_csv(board()))))
    assert [line["kind"] for line in lines] == ["measured"] * 2 + ["published"] * len(TABLE.rows)
    first, second = lines[:2]
    assert (float(first["finqa"]), first["finqa_n"], first["finance_instruct_unscored"]) == (75.0, "4", "1")
    assert float(first["finqa_low"]) < 75 < float(first["finqa_high"])
    assert first["finance_instruct"] == second["finqa"] == ""
    assert second["title"] == visible_text(HOSTILE)
    llama = next(line for line in lines if line["model"] == "deepseek-r1-distill-llama-70b")
    assert (llama["average"], llama["tfns"], llama["table"]) == ("69.2", "62.0", "fin-r1-paper")
    assert None not in first


@pytest.mark.parametrize("count", [1, 7])
def test_the_last_digits_of_a_processor_change_nothing(count: int) -> None:
    def shifted(by: float) -> Board:
        scores = [0.1 + by, 0.7, 0.2] * count
        return board_of({"a": run("m", {"tfns": scores, "finqa": scores})}, [TABLE])

    one, other = shifted(0.0), shifted(2e-15)
    assert board_json(one, []) == board_json(other, [])
    assert board_csv(one) == board_csv(other)
    assert board_markdown(one, [TABLE], {}, [], {}) == board_markdown(other, [TABLE], {}, [], {})
