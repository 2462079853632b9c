"""Labels read from files as people write them, and found again among a run's answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.judge.labels import Label, match, read_labels, write_labels
from evalkit.schema import UserError
from tests.judge.runs import subject

SUBJECTS = [subject(number) for number in range(4)]


def written(path: Path, *rows: dict[str, object]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.mark.parametrize("value", [True, 1, "1", "true", " Yes ", "RIGHT"])
def test_right_in_all_its_spellings(tmp_path: Path, value: object) -> None:
    (label,) = read_labels(written(tmp_path / "l.jsonl", {"id": "item-1", "correct": value}))
    assert label == Label(None, "item-1", None, 0, None, True)


def test_the_field_names_of_hand_labels(tmp_path: Path) -> None:
    rows = [
        {"id": "a", "correct_lenient": True, "correct_lenient_exe": False, "borderline": False},
        {"id": "b#2", "record_id": "b", "turn_idx": 2, "correct_lenient": True, "borderline": False},
        {"id": "c", "correct_lenient": True, "borderline": True},
    ]
    labels = read_labels(written(tmp_path / "l.jsonl", *rows))
    assert [(label.id, label.turn, label.correct) for label in labels] == [
        ("a", None, False),  # against the executed value, which is what a judge is given
        ("b", 2, True),
        ("c", None, None),
    ]


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"correct": True}, "needs the id"),
        ({"id": "x"}, "needs correct"),
        ({"id": "x", "correct": "perhaps"}, "true or false"),
        ({"id": "x", "correct": float("nan")}, "true or false"),
        ({"id": "x", "correct": []}, "true or false"),
        ({"id": "x", "correct": True, "turn": "two"}, "whole number"),
        ({"id": "x", "correct": True, "sample": -1}, "whole number"),
        ({"id": ["x"], "correct": True}, "needs the id"),
        ({"id": "x", "correct": True, "benchmark": 7}, "is text"),
    ],
)
def test_a_wrong_row_is_named_in_one_line(tmp_path: Path, row: dict[str, object], says: str) -> None:
    path = written(tmp_path / "l.jsonl", {"id": "fine", "correct": True}, row)
    with pytest.raises(UserError, match=says) as caught:
        read_labels(path)
    assert "line 2" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\n\n", b"[1]\n", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_file_of_labels(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "l.jsonl"
    path.write_bytes(content)
    with pytest.raises(UserError):
        read_labels(path)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot read"):
        read_labels(tmp_path / "none.jsonl")


@pytest.mark.parametrize("delimiter", [",", ";"])
def test_a_sheet_as_spreadsheets_save_it(tmp_path: Path, delimiter: str) -> None:
    rows = [("id", "turn", "correct"), ("'=x", "", "1"), ("b", "2", "FALSE"), ("later", "", "")]
    path = tmp_path / "l.csv"
    path.write_text("\r\n".join(delimiter.join(row) for row in rows), encoding="utf-8-sig", newline="")
    labels = read_labels(path)
    assert [(label.id, label.turn, label.correct) for label in labels] == [
        ("=x", None, True),
        ("b", 2, False),
    ]


def test_labels_find_their_answers() -> None:
    labels = [
        Label("finqa", "item-0", None, 0, None, True),
        Label(None, "item-1", 0, 0, "key-1", False),  # turn 0 of what has no turns
        Label(None, "item-2", None, 0, None, None),
        Label("tfns", "item-3", None, 0, None, True),
        Label(None, "item-3", None, 1, None, True),  # a sample that there is not
        Label(None, "item-3", None, 0, "another answer's", True),
    ]
    found = match(labels, SUBJECTS)
    assert found.decided == {SUBJECTS[0].name: True, SUBJECTS[1].name: False}
    assert found.borderline == {SUBJECTS[2].name}
    assert found.unmatched == 3


def test_labels_of_one_run_are_not_taken_for_those_of_several() -> None:
    labels = [Label(None, "item-0", None, 0, None, True), Label(None, "item-1", None, 0, "key-1", True)]
    found = match(labels, SUBJECTS, any_output=False)
    assert (list(found.verdicts), found.unmatched) == ([SUBJECTS[1].name], 1)


def test_contradicting_labels_are_an_error() -> None:
    label = Label(None, "item-0", None, 0, None, True)
    assert match([label, label], SUBJECTS).decided == {SUBJECTS[0].name: True}
    with pytest.raises(UserError, match="labelled twice"):
        match([label, Label("finqa", "item-0", None, 0, None, False)], SUBJECTS)


def test_written_labels_are_read_back(tmp_path: Path) -> None:
    labels = [Label("finqa", "一'\n\u2028", 1, 2, "k", correct) for correct in (True, False, None)]
    write_labels(tmp_path / "labels.jsonl", labels)
    assert read_labels(tmp_path / "labels.jsonl") == labels
