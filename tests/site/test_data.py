"""The example browser's data: complete, aligned, escaped, in parts."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from evalkit.records.record import Record, Row
from evalkit.site import examples
from evalkit.site.javascript import chunk
from evalkit.site.questions import questions
from evalkit.site.runs import runs_of
from tests.site.material import HOSTILE, board_of, hostile, record

TITLES = {"finqa": "FinQA"}


def content(script: bytes, name: str) -> Any:
    text = script.decode("utf-8")
    start, end = f'evalkit.chunk("{name}",', ");\n"
    assert text.startswith(start)
    assert text.endswith(end)
    return json.loads(text[len(start) : -len(end)])


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Record:
    return record(tmp_path_factory.mktemp("data") / "hostile", "hostile", hostile, ("finqa",))


def scripts(*records: Record) -> dict[str, bytes]:
    by_file = {str(number): each for number, each in enumerate(records)}
    board = board_of(by_file)
    return examples.scripts(TITLES, runs_of(board, by_file), "financial")


def renamed(made: Record, name: str, rows: list[Row]) -> Record:
    return Record(replace(made.head, model={**made.head.model, "name": name, "title": name}), rows)


@pytest.mark.parametrize("text", [*HOSTILE, "\ud800 lone", '"]}); alert(1); //', "\\u003c", "__proto__"])
def test_any_text_survives_and_ends_no_script(text: str) -> None:
    script = chunk("b0", {"text": [text]})
    assert content(script, "b0") == {"text": [text]}
    shown = script.decode("utf-8")
    assert not set("<\u2028\u2029\n") & set(shown.removesuffix("\n"))


def test_every_answer_is_there_with_every_rules_verdict(made: Record) -> None:
    files = scripts(made)
    index = content(files["index.js"], "index")
    listed = content(files["b0.js"], "b0")
    assert index["rules"][0] == "financial"
    assert sorted(index["rules"]) == made.rules
    parts = [content(files[f"b0-{n}.js"], f"b0-{n}") for n in range(len(listed["starts"]))]
    answers = [item["answers"][0] for part in parts for item in part["items"]]
    by_key = {row.key: row for row in made.rows}
    assert len(answers) == len(listed["items"]) == len(by_key)
    for place, (item, answer) in enumerate(zip(listed["items"], answers, strict=True)):
        id_, turn, sample, gold, _ = item
        row = by_key["finqa", id_, turn, sample]
        assert (answer["text"], gold) == (row.text, row.gold)
        for number, rule in enumerate(index["rules"]):
            verdict = row.verdicts.get(rule)
            marks = listed["verdicts"][0][number]
            code = marks[place] if marks else " "
            assert code == (" " if verdict is None else "+" if verdict.correct else "-")


def test_a_part_holds_what_its_start_says(made: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examples, "CHUNK", 5_000)
    files = scripts(made)
    listed = content(files["b0.js"], "b0")
    starts = [*listed["starts"], len(listed["items"])]
    assert len(starts) > 4
    for number, (first, end) in enumerate(pairwise(starts)):
        part = content(files[f"b0-{number}.js"], f"b0-{number}")
        assert len(part["items"]) == end - first
        texts = {message[1] for item in part["items"] for prompt in item["prompts"] for message in prompt}
        assert texts == set(range(len(part["texts"])))


def test_spans_count_as_javascript_counts(made: Record) -> None:
    files = scripts(made)
    checked = 0
    for row in made.rows:
        verdict = row.verdicts["financial"]
        if row.text is None or verdict.span is None or row.text.isascii():
            continue
        part = content(files["b0-0.js"], "b0-0")
        answer = next(a for item in part["items"] for a in item["answers"] if a["text"] == row.text)
        start, end = next(v[4] for v in answer["verdicts"] if v[0] == 0)
        units = row.text.encode("utf-16-le")[2 * start : 2 * end]
        assert units.decode("utf-16-le") == row.text[slice(*verdict.span)]
        checked += start != verdict.span[0]
    assert checked


def test_a_span_outside_the_text_marks_nothing(made: Record) -> None:
    row = made.rows[0]
    wrong = replace(row.verdicts["financial"], span=(5, 10**9))
    odd = Record(made.head, [replace(row, verdicts={**row.verdicts, "financial": wrong})])
    part = content(scripts(odd)["b0-0.js"], "b0-0")
    assert part["items"][0]["answers"][0]["verdicts"][sorted(row.verdicts).index("financial")][4] is None


def test_runs_are_aligned_by_example(made: Record) -> None:
    other = renamed(made, "other", list(reversed(made.rows[3:])))
    asked_differently = renamed(made, "third", [replace(made.rows[0], messages=(("user", "Else?"),))])
    files = scripts(made, other, asked_differently)
    listed = content(files["b0.js"], "b0")
    assert len(listed["items"]) == len(made.rows)
    part = content(files["b0-0.js"], "b0-0")
    runs = [[answer["run"] for answer in item["answers"]] for item in part["items"]]
    assert sorted(map(len, runs)) == [1, 1, *[2] * (len(made.rows) - 2)]
    first = next(item for item in part["items"] if 2 in [answer["run"] for answer in item["answers"]])
    assert len(first["prompts"]) == 2
    assert [answer["prompt"] for answer in first["answers"]] == [0, 1]
    blank = [marks.count(" ") for marks in (listed["verdicts"][1][0], listed["verdicts"][2][0])]
    assert blank == [3, len(made.rows) - 1]


def test_another_gold_is_another_example(made: Record) -> None:
    other = renamed(made, "other", [replace(row, gold="1") for row in made.rows[:1]])
    assert len(content(scripts(made, other)["b0.js"], "b0")["items"]) == len(made.rows) + 1


def test_a_failed_and_an_unscored_answer_have_marks_of_their_own(made: Record) -> None:
    row = made.rows[0]
    failed = replace(row.verdicts["financial"], correct=None, score=None, failure="engine_error")
    unscored = replace(failed, failure="unscored")
    rows = [
        replace(row, id="a", text=None, error="engine_error: gone", verdicts={"financial": failed}),
        replace(row, id="b", verdicts={"financial": unscored}),
    ]
    assert content(scripts(Record(made.head, rows))["b0.js"], "b0")["verdicts"][0][0] == "!?"


def test_questions_are_what_is_asked(tmp_path: Path) -> None:
    made = record(tmp_path / "all", "all", lambda _: "?", ("finqa", "convfinqa", "tfns"))
    for benchmark, label in (("finqa", "Question: "), ("convfinqa", "Question: "), ("tfns", "Tweet: ")):
        rows = [row for row in made.rows if row.benchmark == benchmark]
        for row, asked in zip(rows, questions(rows), strict=True):
            prompt = " ".join(row.messages[-1][1].split())
            asked_for, instructions, _ = prompt.rpartition(label)[2].partition(" Reason step by step")
            assert asked == (asked_for if instructions else prompt.rpartition(label)[2])


def test_a_single_prompt_or_an_empty_one_has_a_question(made: Record) -> None:
    one = replace(made.rows[0], messages=(("user", "Only this\n\nline"),))
    assert questions([one]) == ["Only this line"]
    assert questions([replace(one, messages=())]) == [""]
    assert questions([one, one]) == ["line", "line"]
