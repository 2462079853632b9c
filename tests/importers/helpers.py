"""Log files of the tests: the real ones, and zip files that lie."""

from __future__ import annotations

import json
import struct
import zlib
from pathlib import Path
from typing import Any

import pyarrow  # type: ignore[import-untyped]

from evalkit.importers import Settings, Summary, convert
from evalkit.schema import UserError

LOGS = Path(__file__).parent / "logs"
LM_EVAL = "lm_eval_0.4.13_{}.jsonl"
INSPECT = "inspect_ai_0.3.285_{}"

Line = dict[str, Any]


def imported(
    format_: str, log: Path, out: Path, settings: Settings | None = None
) -> tuple[list[Line], Summary]:
    """The lines that an import writes, and its summary."""
    summary = convert(format_, [log], out, settings or Settings())
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()], summary


def refusal(format_: str, log: Path, out: Path) -> str | None:
    """The one line that an import refuses a log with, or None. A refused import leaves nothing behind."""
    try:
        imported(format_, log, out)
    except UserError as error:
        line = str(error)
    else:
        return None
    assert not out.exists()
    assert line.isprintable()
    assert len(line) < 400
    return line


def zstd(content: bytes) -> bytes:
    return bytes(pyarrow.compress(content, codec="zstd", asbytes=True))


def zip_of(names: list[str], content: bytes, *, method: int = 93, size: int | None = None) -> bytes:
    """A zip file whose members all share one local header and its data, as overlapping zip bombs do.

    ``size`` is what the directory states as the uncompressed size, if not the truth.
    """
    data = zstd(content) if method == 93 else content
    stated = len(content) if size is None else size
    common = struct.pack("<HHHHIII", 0, method, 0, 0, zlib.crc32(content), len(data), stated)
    local = b"PK\3\4" + struct.pack("<H", 20) + common + struct.pack("<HH", 1, 0) + b"x" + data
    directory = b"".join(
        b"PK\1\2"
        + struct.pack("<HH", 20, 20)
        + common
        + struct.pack("<HHHHHII", len(name), 0, 0, 0, 0, 0, 0)
        + name.encode()
        for name in names
    )
    count = len(names)
    end = b"PK\5\6" + struct.pack("<HHHHIIH", 0, 0, count, count, len(directory), len(local), 0)
    return local + directory + end
