"""A training file as texts, one a record, whatever its columns are called: .jsonl, .json, .csv, .txt.

The file is read as a stream, and no record of more than 16 MiB: memory does not grow with the file.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from evalkit.errors import UserError

MAX_RECORD = 16 << 20
"""Bytes of a record; in .json characters."""

WINDOW = 1 << 20
REPEATED = 1 << 16
"""Plain text has no records: it is read in windows of so many characters, each after the end of the last."""

_BLANKS = re.compile(r"[ \t\r\n]*")


def texts(path: Path) -> Iterator[str]:
    """The text of every record: all its strings and numbers, in the file's order, a line each.

    Raises:
        UserError: the file cannot be read, is empty, broken, not UTF-8, of another kind, or has a record
            that is too long.
    """
    nothing = True
    readers = {".jsonl": _json_lines, ".json": _json_list, ".csv": _csv_rows, ".txt": _windows}
    read = readers.get(path.suffix.lower())
    if read is None:
        raise UserError(f"{path}: give a training file that ends in {', '.join(readers)}")
    try:
        with path.open("rb") as file:
            if file.read(3) != b"\xef\xbb\xbf":
                file.seek(0)
            for text in read(path, file):
                nothing = False
                yield text
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error.reason}): convert the file to UTF-8") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    if nothing:
        raise UserError(f"{path}: there is no record in it")


def _json_lines(path: Path, file: BinaryIO) -> Iterator[str]:
    for number, line in enumerate(_lines(path, file), start=1):
        if text := line.decode().strip():
            try:
                value = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise _not_json(f"{path}: line {number}", error) from error
            yield _flat(value)


def _lines(path: Path, file: BinaryIO) -> Iterator[bytes]:
    number = 1
    while line := file.readline(MAX_RECORD + 1):
        if len(line) > MAX_RECORD:
            raise UserError(f"{path}: line {number} is longer than {MAX_RECORD >> 20} MiB: one record a line")
        yield line
        number += 1


def _json_list(path: Path, file: BinaryIO) -> Iterator[str]:
    """The items of a JSON list, one after another: the list is never held as a whole."""
    ahead = _Ahead(file)
    if ahead.sign() != "[":
        raise UserError(f"{path}: not a JSON list of records: write one record a line, as .jsonl")
    number = 0
    while ahead.sign() in ("[", ","):
        ahead.at += 1
        if number == 0 and ahead.sign() == "]":
            return
        number += 1
        yield _flat(ahead.item(f"{path}: record {number}"))
    if ahead.sign() != "]":
        raise UserError(f"{path}: not valid JSON after record {number}: is the file complete?")


class _Ahead:
    """The part of a JSON file that was read and not yet decoded: `text` from `at` on."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = io.TextIOWrapper(file, encoding="utf-8")
        self._decoder = json.JSONDecoder()
        self.text, self.at = "", 0

    def sign(self) -> str:
        """The next character that is not blank, '' at the end of the file; `at` is moved to it."""
        while True:
            self.at = _BLANKS.match(self.text, self.at).end()  # type: ignore[union-attr]  # matches anything
            if self.at < len(self.text) or not self._more():
                return self.text[self.at : self.at + 1]

    def item(self, where: str) -> Any:  # noqa: ANN401 - JSON is of any type
        """The value that begins at `at`, after blanks; `at` is moved behind it."""
        self.sign()
        while True:
            try:
                value, end = self._decoder.raw_decode(self.text, self.at)
            except json.JSONDecodeError:
                end = len(self.text)
            except (ValueError, RecursionError) as error:
                raise _not_json(where, error) from error
            # A number at the end of what was read may go on.
            if end < len(self.text):
                self.at = end
                return value
            if len(self.text) - self.at > MAX_RECORD or not self._more():
                raise UserError(f"{where}: not valid JSON, cut off, or longer than {MAX_RECORD >> 20} MiB")

    def _more(self) -> bool:
        # As much again as is waiting: a long item is not decoded from its beginning too often.
        rest = self.text[self.at :]
        more = self._file.read(max(WINDOW, len(rest)))
        self.text, self.at = rest + more, 0
        return bool(more)


def _not_json(where: str, error: Exception) -> UserError:
    """Also for integers of thousands of digits, and nesting without end."""
    return UserError(f"{where}: not valid JSON ({type(error).__name__}): is the file complete?")


def _flat(value: Any) -> str:  # noqa: ANN401 - JSON is of any type
    """The strings and numbers in a JSON value, in order, a line each."""
    found: list[str] = []
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(reversed(item.values()))
        elif isinstance(item, list):
            waiting.extend(reversed(item))
        elif isinstance(item, str):
            found.append(item)
        elif isinstance(item, int | float) and not isinstance(item, bool):
            found.append(repr(item))
    return "\n".join(found)


def _csv_rows(path: Path, file: BinaryIO) -> Iterator[str]:
    pending = 0

    def lines() -> Iterator[str]:
        nonlocal pending
        for line in _lines(path, file):
            pending += len(line)
            if pending > MAX_RECORD:
                raise UserError(
                    f"{path}: a row is longer than {MAX_RECORD >> 20} MiB: is a quote not closed?"
                )
            yield line.decode()

    before = csv.field_size_limit(MAX_RECORD)
    try:
        for row in csv.reader(lines(), strict=True):
            pending = 0
            yield "\n".join(row)
    except csv.Error as error:
        raise UserError(f"{path}: not valid CSV ({error}): is the file complete?") from error
    finally:
        csv.field_size_limit(before)


def _windows(_: Path, file: BinaryIO) -> Iterator[str]:
    text = io.TextIOWrapper(file, encoding="utf-8")
    tail = ""
    while window := text.read(WINDOW):
        yield tail + window
        tail = window[-REPEATED:]
