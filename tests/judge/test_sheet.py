"""Labelling: the sheet's keys, its terminal, and the way through a spreadsheet."""

from __future__ import annotations

import csv
import io
import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from evalkit.commands import judge
from evalkit.judge.calibrate import label_sample
from evalkit.judge.judge import Subject
from evalkit.judge.labels import Labels, card, fill, label_of, printable, read_labels, to_csv
from evalkit.schema import UserError
from tests.compare.helpers import run
from tests.judge.runs import answers_of, finqa_run, subject

HOSTILE = "\x1b[2J\x1b]0;title\x07\u202etxet\u200b\x00\r=cmd()|' /C calc'!A0 \\boxed{1} [bold]x[/bold]"
SUBJECTS = [subject(number) for number in range(5)]


def filled(keys: str, labels: Labels | None = None) -> tuple[int, dict[str, bool | None], list[list[str]]]:
    """What is left, the labels by id, and the ids in each saved state."""
    saves: list[list[str]] = []
    labels = {} if labels is None else labels
    left = fill(SUBJECTS, labels, keys, lambda *_: None, lambda all_: saves.append([n[1] for n in all_]))
    return left, {name[1]: label.correct for name, label in labels.items()}, saves


def test_each_key_is_a_verdict_and_saved_at_once() -> None:
    left, labels, saves = filled("10bs1")
    assert labels == {"item-0": True, "item-1": False, "item-2": None, "item-4": True}
    assert left == 1
    assert [len(saved) for saved in saves] == [1, 2, 3, 4]


def test_undo_takes_the_last_verdict_back() -> None:
    _, labels, saves = filled("11u0q")
    assert labels == {"item-0": True, "item-1": False}
    assert [len(saved) for saved in saves] == [1, 2, 1, 2]
    assert filled("uuu1")[1] == {"item-0": True}  # nothing to undo at the start
    assert filled("su1q")[1] == {"item-0": True}  # a skip has no label to take back


def test_other_keys_do_nothing_and_their_end_is_a_quit() -> None:
    assert filled("x7 \n1")[1] == {"item-0": True}
    assert filled("")[0] == 5


def test_it_goes_on_where_it_stopped() -> None:
    labels = {SUBJECTS[0].name: label_of(SUBJECTS[0], False)}
    shown: list[str] = []
    fill(SUBJECTS, labels, "1", lambda each, _: shown.append(each.name[1]), lambda _: None)
    assert shown == ["item-1", "item-2"]
    assert labels[SUBJECTS[0].name].correct is False


def rendered(each: Subject) -> str:
    console = Console(file=io.StringIO(), width=100, force_terminal=True, color_system=None)
    console.print(card(each, 3))
    text = console.file.getvalue()  # type: ignore[attr-defined]  # it is the StringIO
    assert isinstance(text, str)
    return text


def test_the_labeller_sees_the_answer_and_no_verdict() -> None:
    one = subject(7, rule=False, text="<think>8?</think>It is \\boxed{7}.")
    text = rendered(one)
    for part in ("What is 7?", "It is \\boxed{7}.", "Gold answer", "1 right"):
        assert part in text
    assert "8?" not in text  # nor the reasoning
    assert text == rendered(replace(one, rule=True))


def test_hostile_text_reaches_the_terminal_as_text_only() -> None:
    one = subject(7, text=HOSTILE)
    case = replace(one.case, question=HOSTILE, reference=HOSTILE)
    text = rendered(replace(one, case=case, extracted=HOSTILE))
    assert "[bold]x[/bold]" in text
    assert not set(text) & set("\x1b\x07\x00\r\u202e\u200b")
    assert printable("a\tb\r\nc\u2028d") == "a    b\nc�d"


def test_a_long_answer_is_shown_by_its_end() -> None:
    text = rendered(subject(7, text="start " + "word " * 100_000 + "so it is 7"))
    assert "so it is 7" in text.replace("\n", " ")
    assert "start" not in text
    assert len(text) < 20_000


def test_a_sheet_holds_no_formula_and_comes_back(tmp_path: Path) -> None:
    evil = subject(7, text=HOSTILE)
    evil = replace(evil, name=("finqa", "=1+1", None, 0), extracted="=SUM(A1)")
    rows = list(csv.reader(io.StringIO(to_csv([evil, *SUBJECTS], {}))))
    assert not [cell for row in rows for cell in row if cell[:1] in ("=", "+", "-", "@", "\t", "\r")]
    at = {name: index for index, name in enumerate(rows[0])}
    marks = {"'=1+1": "1", "item-0": "0", "item-1": "B", "item-2": ""}
    for row in rows[1:]:
        row[at["label"]] = marks.get(row[at["id"]], "")
    path = tmp_path / "sheet.csv"
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        csv.writer(file).writerows(rows)
    labels = {label.id: label.correct for label in read_labels(path)}
    assert labels == {"=1+1": True, "item-0": False, "item-1": None}


def test_labels_of_another_benchmark_stay(tmp_path: Path) -> None:
    both = run(tmp_path / "model", {}, "benchmark=[finqa,tfns]")
    sheet = tmp_path / "sheet.csv"
    for benchmark in ("finqa", "tfns"):
        label(both, f"benchmark={benchmark}", "n=1", f"out={sheet}")
        # `label` is the first column.
        sheet.write_bytes(sheet.read_bytes().replace(b"\r\n", b"\r\n1", 1))
        assert label(both, f"in={sheet}") == 0
    assert {each.benchmark for each in read_labels(both / "labels.jsonl")} == {"finqa", "tfns"}


def test_the_sample_has_all_kinds_in_proportion(tmp_path: Path) -> None:
    subjects = [subject(i, rule=i % 4 != 0) for i in range(80)]
    sample = label_sample({"finqa": subjects}, 20, 0, tmp_path)
    assert len(sample) == 20
    assert sum(not each.rule for each in sample) == 5
    assert sample == label_sample({"finqa": subjects[::-1]}, 20, 0, tmp_path)


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return finqa_run(tmp_path_factory.mktemp("labelled") / "model")


def label(run_dir: Path, *arguments: str) -> int:
    return judge.main(["label", str(run_dir), *arguments])


def test_out_and_in_by_command(run_dir: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sheet = tmp_path / "sheet.csv"
    assert label(run_dir, "n=6", f"out={sheet}") == 0
    with sheet.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 6
    with pytest.raises(UserError, match="no labels"):
        label(run_dir, f"in={sheet}")
    for row, mark in zip(rows, "1100b", strict=False):
        row["label"] = mark
    with sheet.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)
    assert label(run_dir, f"in={sheet}") == 0
    assert "5 labels taken" in capsys.readouterr().out
    found = read_labels(run_dir / "labels.jsonl")
    assert [each.correct for each in found] == [True, True, False, False, None]
    keys = {each.key for each in answers_of(run_dir).subjects["finqa"]}
    assert all(each.key in keys for each in found)
    # What was labelled already stands in the next sheet.
    assert label(run_dir, "n=6", f"out={sheet}") == 0
    assert [row["label"] for row in csv.DictReader(io.StringIO(sheet.read_text("utf-8-sig")))] == [
        *"1100b",
        "",
    ]
    (run_dir / "labels.jsonl").unlink()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["out=x.csv", "in=y.csv"], "not both"),
        (["n=many"], "whole number"),
        (["judge=local"], "needs no judge"),
        (["in=nowhere.csv"], "cannot read"),
        (["out=/nowhere/at/all.csv"], "cannot write"),
        (["colour=red"], "no such setting"),
        (["n=2"], "not a terminal"),
    ],
)
def test_a_wrong_request_is_one_line(
    run_dir: Path, arguments: list[str], says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(UserError, match=says) as caught:
        label(run_dir, *arguments)
    assert "\n" not in str(caught.value)


def test_labels_of_other_answers_are_not_overwritten(run_dir: Path) -> None:
    path = run_dir / "labels.jsonl"
    path.write_text(json.dumps({"id": "of another run", "correct": True}) + "\n", encoding="utf-8")
    with pytest.raises(UserError, match="of other answers"):
        label(run_dir, "n=2")
    path.unlink()


COMMAND = "import sys; from evalkit.commands.judge import main; sys.exit(main(sys.argv[1:]))"


def typed(run_dir: Path, keys: Sequence[bytes]) -> tuple[int, bytes]:
    """Run the sheet in a terminal of its own; each of `keys` is typed once a card asks for it."""
    ours, theirs = pty.openpty()
    arguments = [sys.executable, "-c", COMMAND, "label", str(run_dir), "n=4"]
    with subprocess.Popen(arguments, stdin=theirs, stdout=theirs, stderr=theirs, close_fds=True) as process:
        os.close(theirs)
        seen, deadline, left = b"", time.monotonic() + 60, list(keys)
        asked = 0
        while time.monotonic() < deadline:
            if not select.select([ours], [], [], 1)[0]:
                continue
            try:
                seen += os.read(ours, 4096)
            except OSError:  # the other side is closed
                break
            if seen.count(b"q quit") > asked and left:
                asked = seen.count(b"q quit")
                os.write(ours, left.pop(0))
        os.close(ours)
        return process.wait(timeout=120), seen


def test_the_sheet_in_a_real_terminal(run_dir: Path) -> None:
    # An arrow key with a modifier holds a 1, which is no verdict.
    code, seen = typed(run_dir, [b"1", b"\x1b[1;5C\x1bOHq"])
    assert code == 0, seen
    first = read_labels(run_dir / "labels.jsonl")
    assert [each.correct for each in first] == [True]
    code, seen = typed(run_dir, [b"0", b"b", b"1"])
    assert code == 0, seen
    assert b"4 of 4 labelled" in seen
    found = read_labels(run_dir / "labels.jsonl")
    assert [each.correct for each in found] == [True, False, None, True]
    assert found[0] == first[0]
    (run_dir / "labels.jsonl").unlink()


def test_control_keys_end_the_sheet_and_every_verdict_is_kept(run_dir: Path) -> None:
    code, seen = typed(run_dir, [b"1", b"\x04"])
    assert code == 0, seen
    code, _ = typed(run_dir, [b"0", b"\x03"])
    assert code in (-signal.SIGINT, 130)  # 130 where whoever started the tests ignores SIGINT
    assert [each.correct for each in read_labels(run_dir / "labels.jsonl")] == [True, False]
    (run_dir / "labels.jsonl").unlink()
