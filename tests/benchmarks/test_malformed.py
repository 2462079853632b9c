"""Hostile and broken input: one line that names file, record and field, and never a traceback."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from evalkit.benchmarks import load
from evalkit.config.settings import DataSettings, read_benchmark, run_settings
from evalkit.schema import UserError
from tests.settings import benchmark_settings, local

from .helpers import dialogue, finqa_record, write_csv, write_json, write_jsonl


def refused(name: str, directory: Path, **changes: object) -> str:
    """The one line with which a benchmark refuses a directory."""
    with pytest.raises(UserError) as caught:
        load(benchmark_settings(name, **changes), local(directory), limit=None, seed=0, sampling="item")
    message = str(caught.value)
    assert message
    assert "\n" not in message
    return message


def change(path: str, value: object) -> Callable[[dict[str, Any]], None]:
    def apply(record: dict[str, Any]) -> None:
        *parents, last = path.split(".")
        for parent in parents:
            record = record[parent]
        if value is ...:
            del record[last]
        else:
            record[last] = value

    return apply


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("qa.exe_ans", None, "field qa.exe_ans: expected a number or yes/no, got null"),
        ("qa.exe_ans", ..., "field qa.exe_ans: expected a number or yes/no, got nothing"),
        ("qa.exe_ans", "12", "field qa.exe_ans: expected a number or yes/no, got '12'"),
        ("qa.exe_ans", True, "field qa.exe_ans: expected a number or yes/no, got true"),
        ("qa.exe_ans", [1], "field qa.exe_ans: expected a number or yes/no, got a list of 1"),
        ("qa.exe_ans", float("nan"), "field qa.exe_ans: expected a number or yes/no, got nan"),
        ("qa.exe_ans", float("inf"), "field qa.exe_ans: expected a number or yes/no, got inf"),
        ("qa.exe_ans", 10**400, "field qa.exe_ans: expected a number or yes/no, got a huge integer"),
        ("qa", "text", "field qa.question: expected text, got nothing"),
        ("qa.question", " ", "field qa.question: expected a text that is not empty, got ' '"),
        ("qa.question", "half \ud83d", "field qa.question: expected text, got 'half \\ud83d'"),
        ("qa.answer", 5, "field qa.answer: expected text, got 5"),
        ("id", ..., "field id: expected text, got nothing"),
        ("filename", 3, "field filename: expected text, got 3"),
        ("pre_text", "one string", "field pre_text: expected a list of texts, got 'one string'"),
        ("post_text", ["a", None], "field post_text: expected a list of texts, got a list of 2"),
        ("table", [["a"], "b"], "field table: expected a list of rows of texts, got a list of 2"),
        ("table", {}, "field table: expected a list of rows of texts, got an object"),
    ],
)
def test_finqa_field(tmp_path: Path, path: str, value: object, message: str) -> None:
    records = [finqa_record(0), finqa_record(1)]
    change(path, value)(records[1])
    (tmp_path / "finqa").mkdir()
    (tmp_path / "finqa/test.json").write_text(json.dumps(records), encoding="utf-8")
    assert refused("finqa", tmp_path) == f"finqa/test.json: record 2: {message}"


def test_finqa_id_twice(tmp_path: Path) -> None:
    write_json(tmp_path / "finqa/test.json", [finqa_record(0), finqa_record(0)])
    message = "finqa/test.json: record 2: id 'ACME/2020/page_1.pdf-0' was used before; ids must be unique"
    assert refused("finqa", tmp_path) == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b'[{"id": "x", "pre', "finqa/test.json: not valid JSON at line 1 column 14"),
        (b"", "finqa/test.json: not valid JSON at line 1 column 1"),
        (b'{"data": []}', "finqa/test.json: expected a JSON list of records, got an object"),
        (b"[3]", "finqa/test.json: record 1: expected an object, got 3"),
        (b"[]", "finqa: no answered record among 0"),
        ('[{"id": "é"}]'.encode("latin-1"), "finqa/test.json: not UTF-8"),
        (b"[" * 100_000, "finqa/test.json: not a JSON record: RecursionError"),
        (b"[" + b"9" * 10_000 + b"]", "finqa/test.json: not a JSON record: ValueError"),
    ],
)
def test_file_that_is_no_list_of_records(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "finqa").mkdir()
    (tmp_path / "finqa/test.json").write_bytes(content)
    assert refused("finqa", tmp_path).startswith(message)


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        ("annotation", ..., "field annotation.dialogue_break: expected a list of texts, got nothing"),
        ("annotation.dialogue_break", [], "field annotation.dialogue_break: expected at least one question"),
        (
            "annotation.turn_program",
            ["8"],
            "field annotation.turn_program: expected one program for each of 3",
        ),
        (
            "annotation.exe_ans_list",
            [1.0],
            "field annotation.exe_ans_list: expected one answer for each of 3",
        ),
        (
            "annotation.exe_ans_list",
            [1.0, "A0", 2.0],
            "field annotation.exe_ans_list: expected a list of numbers",
        ),
    ],
)
def test_convfinqa_field(tmp_path: Path, path: str, value: object, message: str) -> None:
    record = dialogue()
    change(path, value)(record)
    write_json(tmp_path / "convfinqa/dev.json", [record])
    assert refused("convfinqa", tmp_path).startswith(f"convfinqa/dev.json: record 1: {message}")


def test_convfinqa_history_that_does_not_exist(tmp_path: Path) -> None:
    write_json(tmp_path / "convfinqa/dev.json", [dialogue()])
    message = refused("convfinqa", tmp_path, history="golden")
    assert message == ("benchmark.convfinqa.history=golden: must be gold, own or last. Did you mean gold?")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        (
            ["1", "问\n问", "甲", "乙", "E"],
            "line 3: field answer: expected one of the row's options (A, B), got 'E'",
        ),
        (["1", "问", "甲", "", "B"], "line 3: field answer: expected one of the row's options (A), got 'B'"),
        (
            ["1", "问", "", "", "A"],
            "line 3: field answer: expected one of the row's options (it has none), got 'A'",
        ),
        (["1", "", "甲", "乙", "A"], "line 3: field question: expected a text that is not empty, got ''"),
        (["1", "问", "甲", "A"], "line 3: expected 5 cells (id, question, A, B, answer), got 4"),
        (["0", "问", "甲", "乙", "A"], "line 3: id 'c/t/0' was used before; ids must be unique"),
    ],
)
def test_ant_finance_row(tmp_path: Path, row: list[str], message: str) -> None:
    header = ["id", "question", "A", "B", "answer"]
    write_csv(tmp_path / "ant_finance/c/t.csv", header, [["0", "问", "甲", "乙", "A"], row])
    assert refused("ant_finance", tmp_path) == f"ant_finance/c/t.csv: {message}"


def test_ant_finance_yes_no(tmp_path: Path) -> None:
    write_csv(tmp_path / "ant_finance/c/t.csv", ["id", "question", "answer"], [["0", "问", "A"]])
    assert "field answer: expected 是 or 否, as the file has no options, got 'A'" in refused(
        "ant_finance", tmp_path
    )


def test_ant_finance_without_its_columns(tmp_path: Path) -> None:
    write_csv(tmp_path / "ant_finance/c/t.csv", ["id", "question"], [["0", "问"]])
    assert refused("ant_finance", tmp_path) == (
        "ant_finance/c/t.csv: line 2: field answer: expected text, got nothing"
    )


@pytest.mark.parametrize("label", ["3", "", "-1", "1.0", "bullish"])
def test_tfns_label(tmp_path: Path, label: str) -> None:
    write_csv(tmp_path / "tfns/sent_valid.csv", ["text", "label"], [["two\nlines", 0], ["up", label]])
    assert refused("tfns", tmp_path) == (
        "tfns/sent_valid.csv: line 4: field label: "
        f"expected 0 (bearish), 1 (bullish) or 2 (neutral), got '{label}'"
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "tfns/sent_valid.csv: line 1: expected a line of column names, got nothing"),
        (
            b"text,label,text\nup,1,down\n",
            "tfns/sent_valid.csv: line 1: a column name is used twice: text, label",
        ),
        (b"text,label\n\xff\xfe,1\n", "tfns/sent_valid.csv: not UTF-8"),
        (b'text,label\nup,1\n"down, and cut', "tfns/sent_valid.csv: line 3: not valid CSV"),
        (b"text,label\nup,1\n" + b"x" * 200_000 + b",1\n", "tfns/sent_valid.csv: line 3: not valid CSV"),
    ],
)
def test_csv_that_cannot_be_read(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "tfns").mkdir()
    (tmp_path / "tfns/sent_valid.csv").write_bytes(content)
    assert refused("tfns", tmp_path).startswith(message)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"user": "q", "assistant": "a"', "line 3: not valid JSON at line 1 column"),
        ('{"user": 5, "assistant": "a"}', "line 3: field user: expected text, got 5"),
        ('{"user": "q"}', "line 3: field assistant: expected text, got nothing"),
        ('["q"]', "line 3: expected an object, got a list of 1"),
    ],
)
def test_finance_instruct_line(tmp_path: Path, line: str, message: str) -> None:
    path = write_jsonl(tmp_path / "finance_instruct/a.jsonl", [{"system": "", "user": "q", "assistant": "a"}])
    path.write_text(path.read_text() + "\n" + line + "\n")
    assert refused("finance_instruct", tmp_path).startswith(f"finance_instruct/a.jsonl: {message}")


def test_line_without_end(tmp_path: Path) -> None:
    (tmp_path / "finance_instruct").mkdir()
    (tmp_path / "finance_instruct/a.jsonl").write_bytes(b" " * (17 * 2**20))
    assert refused("finance_instruct", tmp_path).startswith(
        "finance_instruct/a.jsonl: line 1: longer than 16 MiB"
    )


@pytest.mark.parametrize(
    ("name", "layout"),
    [
        ("finqa", "finqa/test.json"),
        ("convfinqa", "convfinqa/dev.json"),
        ("ant_finance", "ant_finance/*/*.csv"),
        ("tfns", "tfns/sent_valid.csv"),
        ("finance_instruct", "finance_instruct/*.jsonl"),
    ],
)
def test_missing_files_say_the_layout(tmp_path: Path, name: str, layout: str) -> None:
    assert refused(name, tmp_path).endswith(f"expected <data.dir>/{layout}")
    missing = tmp_path / "nowhere"
    assert refused(name, missing) == (
        f"data.dir={missing}: no such directory; expected one that holds <data.dir>/{layout}"
    )


def test_data_source() -> None:
    nowhere = DataSettings(source="local")
    with pytest.raises(UserError, match=r"data=local needs data\.dir=PATH, a directory that holds"):
        load(benchmark_settings("finqa"), nowhere, limit=None, seed=0, sampling="item")
    with pytest.raises(UserError, match=r"^data\.source=disk: must be hub, local or sample$"):
        run_settings(["model=fin-r1-q4_k", "data=sample", "data.source=disk"])


def test_unknown_benchmark_and_template(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^benchmark\.finqua: no such benchmark .* Did you mean finqa\?$"):
        read_benchmark("finqua", {"name": "finqua"})
    write_json(tmp_path / "finqa/test.json", [finqa_record()])
    assert refused("finqa", tmp_path, prompt="nope.jinja").startswith(
        "benchmark.finqa.prompt=nope.jinja: no such file, and no such template in "
    )
