"""Names, times and bytes of exported files, and writing them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evalkit.errors import UserError
from evalkit.exports.common.values import text
from evalkit.records.record import Record

# What file systems (and Windows) do not take in a name; a superset of what lm_eval replaces.
_UNSAFE = re.compile(r'[\x00-\x1f\x7f"<>:/|\\?*\[\]]+')
_RESERVED = re.compile(r"(?i:con|prn|aux|nul|com\d|lpt\d|data)")
_MAX_NAME = 100

# Line breaks to Python's str.splitlines, with which some tools cut JSON lines apart.
_BREAKS = {ord(each): f"\\u{ord(each):04x}" for each in "\x85\u2028\u2029"}


def safe_name(name: str) -> str:
    """A name as one part of a path on any system: never empty, hidden, reserved, nor above its folder."""
    safe = _UNSAFE.sub("__", name.encode("utf-8", "replace").decode())[:_MAX_NAME].strip(". ")
    return f"_{safe}" if not safe or _RESERVED.fullmatch(safe.split(".")[0]) else safe


def stem(record: Record) -> str:
    """`<model>/<run id>`: where the files of a run go."""
    return f"{safe_name(record.name)}/{safe_name(record.head.run_id)}"


def run_name(record: Record) -> str:
    """A run in an error's one line."""
    return f"{text(record.name)} ({text(record.head.run_id)})"


def moment(record: Record) -> datetime:
    """When the run ended (or started, if it has not ended), in UTC. Exports hold no other time.

    Raises:
        UserError: the record does not say it.
    """
    told = record.head.ended or record.head.started
    try:
        time = datetime.fromisoformat(told or "")
        return time.astimezone(UTC) if time.tzinfo else time.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise UserError(
            f"export: the record of {run_name(record)} does not say when it was run, which this format needs"
        ) from error


def json_text(value: object) -> str:
    """A JSON file's text. Raises UserError for a number that JSON does not have."""
    return _json(value, indent=2) + "\n"


def json_lines(values: Iterable[Mapping[str, Any]]) -> str:
    """JSON lines that are lines to every reader. Raises UserError for a number that JSON does not have."""
    return "".join(f"{_json(value).translate(_BREAKS)}\n" for value in values)


def _json(value: object, indent: int | None = None) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    except ValueError as error:
        raise UserError("export: a record holds NaN or infinity, which JSON does not have") from error


def write(files: Iterable[tuple[str, str | bytes]], out: Path) -> list[Path]:
    """Write named contents below the folder `out`, over files of the same name.

    Raises:
        UserError: two contents have the same name, or the folder cannot be written.
    """
    written: dict[Path, None] = {}
    for name, content in files:
        path = out / name
        if path in written:
            raise UserError(
                f"export: two of these runs would both be {path}: export them to different folders"
            )
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content if isinstance(content, bytes) else content.encode())
        except OSError as error:
            raise UserError(f"export: cannot write {path}: {error.strerror or error}") from error
        written[path] = None
    return list(written)
