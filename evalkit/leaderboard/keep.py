"""Copying what the repository keeps of runs and sweeps: their records."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evalkit.backends.engine import ENGINE_ERROR
from evalkit.errors import UserError
from evalkit.leaderboard.collect import RECORDS, SUFFIX, SWEEPS
from evalkit.leaderboard.facts import check_rows, facts_of, missing_answers
from evalkit.leaderboard.sound import read_checked
from evalkit.records.file import FILE, read_record
from evalkit.report.document import write_bytes
from evalkit.sweep.record import FILE as SWEEP_FILE


@dataclass(frozen=True, slots=True)
class Copy:
    """A file to copy, and to where."""

    source: Path
    target: Path


def copy_of(folder: Path, results: Path, *, partial: bool) -> Copy:
    """What is kept of a run's or a sweep's folder. Nothing is written.

    Args:
        partial: whether a run that lacks answers, or a sweep with members that failed or do, may be kept.

    Raises:
        UserError: there is no record, it is not one, or it is partial and must not be.
    """
    if (folder / SWEEP_FILE).is_file():
        return _sweep(folder, results, partial)
    if (folder / FILE).is_file():
        return _run(folder, results, partial)
    if (folder / "config.yaml").is_file():
        raise UserError(f"{folder} has no record yet: `evalkit score {folder}` makes it")
    raise UserError(f"{folder} is neither a run's folder nor a sweep's: it has no {FILE} and no {SWEEP_FILE}")


def _run(folder: Path, results: Path, partial: bool) -> Copy:
    path = folder / FILE
    record = read_record(path)
    try:
        facts = facts_of(record)
        check_rows(record)
    except UserError as error:
        raise UserError(f"{path} {error}") from error
    lacking = missing_answers(record) + sum((row.error or "").startswith(ENGINE_ERROR) for row in record.rows)
    if lacking and not partial:
        raise UserError(
            f"{folder} is partial, {lacking:,} answers are not there: run it to its end, or add partial=true"
        )
    name = f"{facts.model.name}/{facts.run_id}{SUFFIX}"
    return Copy(path, _inside(results / RECORDS, name, folder))


def _sweep(folder: Path, results: Path, partial: bool) -> Copy:
    path = folder / SWEEP_FILE
    sweep = read_checked(path)
    unfinished = [member for member in sweep.members if member.status != "done"]
    if unfinished and not partial:
        raise UserError(
            f"{folder} is partial, {len(unfinished)} of {len(sweep.members)} members are not done "
            f"({unfinished[0].name!a:.80}): run it to its end, or add partial=true"
        )
    return Copy(path, _inside(results / SWEEPS, f"{sweep.name}.json", folder))


def _inside(parent: Path, name: str, folder: Path) -> Path:
    """The path of `name` below `parent`: a record says its own name, and it may be anybody's."""
    if (
        not name.isprintable()
        or "\\" in name
        or any(part.startswith(".") or not part for part in name.split("/"))
    ):
        raise UserError(
            f"{folder}: its record cannot be kept under the name that it gives itself: {name!a:.100}"
        )
    return parent / name


def write(copy: Copy) -> str:
    """Copy; returns what was done: `kept`, `replaced` or `already kept`.

    Raises:
        UserError: it cannot be read or written.
    """
    try:
        content = copy.source.read_bytes()
        there = copy.target.read_bytes() if copy.target.exists() else None
        if there == content:
            return "already kept"
        copy.target.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(copy.target, content)
    except OSError as error:
        raise UserError(f"{copy.target} cannot be written: {error.strerror or error}") from error
    return "kept" if there is None else "replaced"
