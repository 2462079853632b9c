"""Upstream files to records: JSON lists, JSON lines, CSV. Bounded memory for what is streamed."""

from __future__ import annotations

import csv
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from evalkit.benchmarks.records import Record, describe
from evalkit.errors import UserError

MAX_JSON_BYTES = 512 * 2**20  # read at once; the largest upstream JSON file is below 100 MB
MAX_LINE_BYTES = 16 * 2**20


def read(name: str, path: Path, member: str | None = None) -> Iterator[Record]:
    """The records of one file, by its suffix (.json, .jsonl, .csv) or of one JSON member of a .zip.

    ``name`` is what error messages call the file. Raises UserError for a file that cannot be read, is not
    UTF-8, is truncated or holds something else than records.
    """
    try:
        if member is not None:
            yield from _json(name, _unzip(name, path, member))
        elif path.suffix == ".csv":
            yield from _csv(name, path)
        elif path.suffix == ".jsonl":
            yield from _jsonl(name, path)
        else:
            yield from _json(name, _whole(name, path))
    except UnicodeDecodeError as error:
        raise UserError(f"{name}: not UTF-8 ({error.reason}); convert the file to UTF-8") from error
    except OSError as error:
        raise UserError(f"{name}: cannot read {path}: {error.strerror or error}") from error


def _whole(name: str, path: Path) -> bytes:
    if path.stat().st_size > MAX_JSON_BYTES:
        raise UserError(f"{name}: larger than {MAX_JSON_BYTES >> 20} MiB; this is not the upstream file")
    return path.read_bytes()


def _unzip(name: str, path: Path, member: str) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive, archive.open(member) as stream:
            content = stream.read(MAX_JSON_BYTES + 1)
    except (zipfile.BadZipFile, KeyError, NotImplementedError, RuntimeError) as error:
        raise UserError(f"{name}: cannot read member {member} of {path}: {error}") from error
    if len(content) > MAX_JSON_BYTES:
        raise UserError(f"{name}: member {member} is larger than {MAX_JSON_BYTES >> 20} MiB")
    return content


def _parse(where: str, text: str) -> Any:  # noqa: ANN401 - JSON is of any type
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno} column {error.colno}"
        raise UserError(f"{where}: not valid JSON at {place} ({error.msg}); is the file complete?") from error
    except (ValueError, RecursionError) as error:  # integers of thousands of digits, nesting without end
        raise UserError(f"{where}: not a JSON record: {type(error).__name__}") from error


def _json(name: str, content: bytes) -> Iterator[Record]:
    records = _parse(name, content.decode("utf-8-sig"))
    if not isinstance(records, list):
        raise UserError(f"{name}: expected a JSON list of records, got {describe(records)}")
    for number, data in enumerate(records, start=1):
        yield _record(name, "record", number, data)


def _jsonl(name: str, path: Path) -> Iterator[Record]:
    with path.open("rb") as stream:
        number = 0
        while line := stream.readline(MAX_LINE_BYTES + 1):
            number += 1
            if len(line) > MAX_LINE_BYTES:
                raise UserError(
                    f"{name}: line {number}: longer than {MAX_LINE_BYTES >> 20} MiB; one record a line"
                )
            if text := line.decode("utf-8-sig").strip():
                yield _record(name, "line", number, _parse(f"{name}: line {number}", text))


def _record(name: str, place: str, number: int, data: object) -> Record:
    if not isinstance(data, dict):
        raise UserError(f"{name}: {place} {number}: expected an object, got {describe(data)}")
    return Record(name, place, number, data)


def _csv(name: str, path: Path) -> Iterator[Record]:
    with path.open(encoding="utf-8-sig", newline="") as stream:
        rows = csv.reader(stream, strict=True)
        line = 1  # of the row's beginning: quoted cells span lines
        try:
            header = next(rows, [])
            if not header:
                raise UserError(f"{name}: line 1: expected a line of column names, got nothing")
            line = rows.line_num + 1
            if len(set(header)) < len(header):
                raise UserError(f"{name}: line 1: a column name is used twice: {', '.join(header)}")
            for cells in rows:
                if cells and len(cells) != len(header):
                    wanted = f"{len(header)} cells ({', '.join(header)})"
                    raise UserError(f"{name}: line {line}: expected {wanted}, got {len(cells)}")
                if cells:
                    yield Record(name, "line", line, dict(zip(header, cells, strict=True)))
                line = rows.line_num + 1
        except csv.Error as error:
            raise UserError(f"{name}: line {line}: not valid CSV ({error}); is the file complete?") from error
