"""The records and sweeps of a results folder, and what is not one of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from evalkit.errors import UserError
from evalkit.leaderboard.board import Problem
from evalkit.leaderboard.choose import choose
from evalkit.leaderboard.facts import check_rows, facts_of
from evalkit.leaderboard.sound import read_checked
from evalkit.records.file import FILE, read_record
from evalkit.records.record import Record
from evalkit.sweep.record import FILE as SWEEP_FILE
from evalkit.sweep.record import Sweep

RECORDS = "records"
SWEEPS = "records/sweeps"
SUFFIX = ".jsonl.gz"


@dataclass(frozen=True, slots=True)
class Collected:
    """What there is to show. Keys of `records` are file names relative to the results folder, `/` between.

    Keys of `sweeps` are the names of their folders under curves/. `problems` is in the order of file names.
    """

    records: dict[str, Record]
    sweeps: dict[str, Sweep]
    problems: tuple[Problem, ...]


def collect(results: Path, *, local: bool) -> Collected:
    """Read everything under `results`.

    Args:
        local: whether runs and sweeps that are only on this machine (runs/, sweeps/) count.
    """
    problems: list[Problem] = []
    found: dict[str, Record] = {}
    runs = (results / "runs").rglob(FILE) if local else ()
    for path in [*_kept(results / RECORDS, SUFFIX), *sorted(runs, key=lambda path: path.as_posix())]:
        file = _name(path, results)
        try:
            record = _read(path)
        except UserError as error:
            # The path as given would differ from machine to machine.
            problems.append(Problem(file, str(error).removeprefix(f"{path} ")))
        else:
            _add(file, record, found, problems)
    records, superseded = choose(found)
    sweeps = _sweeps(results, local, problems)
    problems += [*superseded, *_foreign(results)]
    problems.sort(key=lambda problem: (problem.file, problem.reason))
    return Collected(records, sweeps, tuple(problems))


def _read(path: Path) -> Record:
    record = read_record(path)
    facts_of(record)
    check_rows(record)
    return record


def _add(file: str, record: Record, found: dict[str, Record], problems: list[Problem]) -> None:
    """Kept records come first, so that a local copy is the second of its run; equal ones need no word."""
    run = record.name, record.head.run_id
    same = next((each for each, other in found.items() if (other.name, other.head.run_id) == run), None)
    if same is None:
        found[file] = record
    elif found[same] != record or file.startswith(f"{RECORDS}/"):
        reason = f"the same run is in {same}, which counts (`evalkit keep` replaces it)"
        problems.append(Problem(file, reason, "superseded"))


def _sweeps(results: Path, local: bool, problems: list[Problem]) -> dict[str, Sweep]:
    kept = [path for path in _kept(results / SWEEPS, ".json") if path.parent == results / SWEEPS]
    names = {path: _name(path, results / SWEEPS).removesuffix(".json") for path in kept}
    if local:
        here = sorted((results / "sweeps").glob(f"*/*/{SWEEP_FILE}"), key=lambda path: path.as_posix())
        names |= {path: _name(path.parent, results / "sweeps") for path in here}
    found: dict[str, Sweep] = {}
    for path, name in names.items():
        try:
            sweep = read_checked(path)
        except UserError as error:
            problems.append(Problem(_name(path, results), str(error).removeprefix(f"{path} ")))
        else:
            if sweep not in found.values():
                found[name] = sweep
    return found


def _foreign(results: Path) -> Iterator[Problem]:
    for path in _kept(results / RECORDS, ""):
        is_sweep = path.suffix == ".json" and path.parent == results / SWEEPS
        if not (path.name.endswith(SUFFIX) or is_sweep or path.name == "README.md"):
            reason = f"is neither a run's record (*{SUFFIX}) nor a sweep's ({SWEEPS}/*.json)"
            yield Problem(_name(path, results), reason)


def _kept(folder: Path, suffix: str) -> list[Path]:
    files = (path for path in folder.rglob(f"*{suffix}") if not path.name.startswith("."))
    return sorted((path for path in files if path.is_file()), key=lambda path: path.as_posix())


def _name(path: Path, results: Path) -> str:
    """Relative, with `/`, and without what no encoding can write."""
    return path.relative_to(results).as_posix().encode(errors="replace").decode()
