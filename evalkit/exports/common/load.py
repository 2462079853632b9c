"""Records from run folders and record files, checked for what every format relies on."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from evalkit.errors import UserError
from evalkit.leaderboard.facts import check_rows, facts_of
from evalkit.records.file import FILE, read_record
from evalkit.records.record import Record


def load(paths: Iterable[Path]) -> list[Record]:
    """The records of run folders and record files, in the order given.

    Raises:
        UserError: one has no record, is damaged or foreign, or is given twice.
    """
    records: list[Record] = []
    seen: dict[tuple[str, str], Path] = {}
    for path in paths:
        record = _read(path)
        run = (record.name, record.head.run_id)
        if run in seen:
            raise UserError(f"export: {path} is the run of {seen[run]} again: give each run once")
        seen[run] = path
        records.append(record)
    return records


def _read(path: Path) -> Record:
    file = path / FILE if path.is_dir() else path
    if not file.exists() and path.is_dir():
        raise UserError(
            f"export: {path} has no {FILE}: if it is a run's folder, `evalkit score {path}` makes it"
        )
    record = read_record(file)
    try:
        facts_of(record)
        check_rows(record)
    except UserError as error:
        raise UserError(f"{file} {error}") from error
    return record
