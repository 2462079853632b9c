"""Training files, honest and hostile."""

from __future__ import annotations

import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from evalkit.overlap import index as training
from evalkit.overlap.index import texts
from evalkit.schema import UserError

RECORDS = [
    {"Question": "how much?", "Thinking": "five, then", "n": 7, "more": {"rows": [["a", "b"], ["c", 1.5]]}},
    "a text alone",
    {"Question": '股票 "x"\nand a line', "empty": None, "flag": True},
]
FLAT = ["how much?\nfive, then\n7\na\nb\nc\n1.5", "a text alone", '股票 "x"\nand a line']


@pytest.mark.parametrize("indent", [None, 1])
def test_a_json_list(tmp_path: Path, indent: int | None) -> None:
    file = tmp_path / "train.json"
    file.write_text(json.dumps(RECORDS, indent=indent, ensure_ascii=False) + "\n", encoding="utf-8")
    assert list(texts(file)) == FLAT


def test_a_json_list_that_never_ends_with_what_is_read_at_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "train.json"
    numbers = [[1234567, 89], "x" * 50, 12, {"a": [3.25, "yz"]}] * 3
    file.write_text(json.dumps(numbers), encoding="utf-8")
    whole = list(texts(file))
    for window in range(1, 12):
        monkeypatch.setattr(training, "WINDOW", window)
        assert list(texts(file)) == whole


def test_json_lines_with_blank_ones_and_a_byte_order_mark(tmp_path: Path) -> None:
    file = tmp_path / "train.JSONL"
    lines = "\n\n".join(json.dumps(record, ensure_ascii=False) for record in RECORDS)
    file.write_text(lines, encoding="utf-8-sig")
    assert list(texts(file)) == FLAT


def test_csv_with_long_cells_and_lines_in_them(tmp_path: Path) -> None:
    file = tmp_path / "train.csv"
    file.write_text(f'text,label\r\n"a ""b""\nc",1\r\n{"x" * 200_000},2\r\n', encoding="utf-8")
    assert list(texts(file)) == ["text\nlabel", 'a "b"\nc\n1', "x" * 200_000 + "\n2"]


def test_a_text_in_windows_loses_nothing_at_their_edges(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "WINDOW", 100)
    monkeypatch.setattr(training, "REPEATED", 30)
    text = "".join(f"word{number} " for number in range(200))
    file = tmp_path / "train.txt"
    file.write_text(text, encoding="utf-8")
    windows = list(texts(file))
    assert all(len(window) <= 130 for window in windows)
    assert all(any(text[at : at + 30] in window for window in windows) for at in range(len(text) - 30))


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("t.jsonl", b'{"a": "b"', "line 1: not valid JSON"),
        ("t.jsonl", b'"ok"\n' + b"[" * 100_000, "line 2: not valid JSON"),
        ("t.jsonl", b"1" * 10_000, "line 1: not valid JSON"),
        ("t.jsonl", "股票".encode("gbk"), "not UTF-8"),
        ("t.jsonl", b"", "no record in it"),
        ("t.jsonl", b"\n \n", "no record in it"),
        ("t.json", b'{"data": []}', "not a JSON list"),
        ("t.json", b"[", "record 1: not valid JSON"),
        ("t.json", b"[]", "no record in it"),
        ("t.json", b'["a", ', "record 2: not valid JSON"),
        ("t.json", b'["a" "b"]', "not valid JSON after record 1"),
        ("t.json", b'["a"', "record 1: not valid JSON, cut off"),
        ("t.json", b"[" * 100_000, "record 1: not valid JSON"),
        ("t.json", b"[" + b"1" * 10_000 + b"]", "record 1: not valid JSON"),
        ("t.json", b'["\xff"]', "not UTF-8"),
        ("t.csv", b'a,"b\n', "not valid CSV"),
        ("t.csv", b'a,"b"c\n', "not valid CSV"),
        ("t.txt", b"\xff\xfea", "not UTF-8"),
        ("t.txt", b"", "no record in it"),
        ("t.parquet", b"PAR1", "ends in .jsonl, .json, .csv, .txt"),
    ],
)
def test_a_hostile_file_ends_in_one_line(tmp_path: Path, name: str, content: bytes, says: str) -> None:
    file = tmp_path / name
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"^[^\n]+$") as refusal:
        list(texts(file))
    assert says in str(refusal.value)


@pytest.mark.parametrize(
    ("name", "begin", "filler", "says"),
    [
        ("t.jsonl", b'"', b"x" * 4096, "longer than"),
        ("t.json", b'["', b"x" * 4096, "longer than"),
        ("t.csv", b'a,"', b"x\n" * 2048, "longer than"),
        ("t.csv", b'"', (b"x" * 1000 + b'\n","') * 4, "longer than"),
    ],
)
def test_a_record_without_an_end_takes_bounded_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, begin: bytes, filler: bytes, says: str
) -> None:
    monkeypatch.setattr(training, "MAX_RECORD", 1 << 18)
    monkeypatch.setattr(training, "WINDOW", 1 << 14)
    file = tmp_path / name
    with file.open("wb") as stream:
        stream.write(begin)
        for _ in range(2000):
            stream.write(filler)
    with measured_peak() as peak, pytest.raises(UserError, match=says):
        list(texts(file))
    assert peak[0] < 6 << 20


def test_memory_does_not_grow_with_the_file(tmp_path: Path) -> None:
    file = tmp_path / "t.json"
    record = json.dumps({"q": "x" * 2000})
    with file.open("w") as stream:
        stream.write("[" + ",\n".join([record] * 10_000) + "]")
    with measured_peak() as peak:
        assert sum(1 for _ in texts(file)) == 10_000
    assert peak[0] < file.stat().st_size / 2


class measured_peak:
    """The most memory that Python held inside the block, in bytes, as the one item of a list."""

    def __enter__(self) -> list[int]:
        tracemalloc.start()
        self.peak = [0]
        return self.peak

    def __exit__(self, *exc: object) -> None:
        self.peak[0] = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()


def test_a_missing_file_is_the_users_to_fix(tmp_path: Path) -> None:
    found: Iterator[str] = texts(tmp_path / "none.txt")
    with pytest.raises(UserError, match="cannot be read"):
        next(found)
