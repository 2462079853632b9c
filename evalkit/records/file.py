"""record.jsonl.gz: a record on disk, its head on the first line, then its rows; same record, same bytes."""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

from evalkit.errors import UserError
from evalkit.records.record import SCHEMA, Head, Record, Row

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pydantic import ValidationError

FILE = "record.jsonl.gz"
MAX_LINE_BYTES = 64 << 20  # an answer of a hundred thousand tokens has half a megabyte
MAX_ROWS = 2_000_000  # a run of all benchmarks has some 8,500 examples
MAX_BYTES = 4 << 30  # unpacked; that run has some 80 MB


def to_bytes(record: Record) -> bytes:
    """The file's content."""
    from pydantic import TypeAdapter

    head, row = TypeAdapter(Head), TypeAdapter(Row)
    packed = io.BytesIO()
    # No file name and no time: they would differ from run to run.
    with gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=0, compresslevel=9) as file:
        file.write(head.dump_json(record.head) + b"\n")
        for each in record.rows:
            file.write(row.dump_json(each) + b"\n")
    return packed.getvalue()


def read_record(path: Path) -> Record:
    """A record read back.

    Raises:
        UserError: it cannot be read, is cut off, is no record, or is one of another version.
    """
    from pydantic import TypeAdapter, ValidationError

    head, row = TypeAdapter(Head), TypeAdapter(Row)
    number = 1
    try:
        with gzip.open(path, "rb") as file:
            lines = _lines(file, path)
            found = head.validate_json(next(lines, b""))
            if found.schema != SCHEMA:
                raise UserError(
                    f"{path} is a record of schema {found.schema}; this version reads {SCHEMA}: "
                    "make it again with `evalkit score RUN_DIR`"
                )
            rows: list[Row] = []
            for line in lines:
                number = len(rows) + 2
                rows.append(row.validate_json(line))
    except ValidationError as error:
        raise UserError(f"{path} is not a run's record: line {number}: {_first(error)}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    return Record(found, rows)


def _lines(file: gzip.GzipFile, path: Path) -> Iterator[bytes]:
    left = MAX_BYTES
    for _ in range(MAX_ROWS):
        line = file.readline(MAX_LINE_BYTES)
        left -= len(line)
        if not line:
            return
        if left < 0:
            raise UserError(
                f"{path} unpacks to more than {MAX_BYTES >> 30} GiB: no run's record is that large"
            )
        if not line.endswith(b"\n"):
            raise UserError(f"{path} is cut off, or has a line of more than {MAX_LINE_BYTES >> 20} MiB")
        yield line
    raise UserError(f"{path} has more than {MAX_ROWS} rows")


def _first(error: ValidationError) -> str:
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]
