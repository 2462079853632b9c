"""Which records and sweeps a path means, read and checked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from evalkit.errors import UserError
from evalkit.leaderboard.collect import SUFFIX
from evalkit.leaderboard.facts import Facts, check_rows, facts_of
from evalkit.records.file import FILE, read_record
from evalkit.records.record import Record
from evalkit.sweep.record import FILE as SWEEP_FILE
from evalkit.sweep.record import Sweep, read_sweep

DEFAULT = Path("results/records")


@dataclass(frozen=True, slots=True)
class Found:
    """A run's record, where it was found, and the checked part of its head."""

    path: Path
    record: Record
    facts: Facts

    @property
    def run(self) -> str:
        """<model>/<run id>"""
        return f"{self.facts.model.name}/{self.facts.run_id}"


@dataclass(slots=True)
class Collection:
    """Runs by name, and sweeps by file, in the order in which they were found."""

    runs: dict[str, Found] = field(default_factory=dict)
    sweeps: dict[Path, Sweep] = field(default_factory=dict)

    def add_run(self, path: Path, *, named: bool) -> None:
        """Read a record; one that a folder holds twice counts once.

        Raises:
            UserError: it cannot be read, or was named though its run is there already.
        """
        record = read_record(path)
        try:
            found = Found(path, record, facts_of(record))
            check_rows(record)
        except UserError as error:
            raise UserError(f"{path} {error}") from error
        there = self.runs.setdefault(found.run, found)
        if named and there is not found:
            raise UserError(f"{path} is the run of {there.path} again: give each run once")

    def add_sweep(self, path: Path) -> None:
        """Read a sweep; the same one kept elsewhere counts once."""
        sweep = read_sweep(path)
        if sweep not in self.sweeps.values():
            self.sweeps[path] = sweep


def find(paths: Sequence[Path]) -> Collection:
    """What is at `paths`: record files, folders of runs or sweeps, or folders of such folders (results/).

    Where a folder has several copies of one run, that in records/ counts before those in runs/ and sweeps/.

    Raises:
        UserError: nothing is there, something cannot be read, or a run is named twice.
    """
    found = Collection()
    for path in paths:
        if path.is_file():
            _add_file(found, path)
        elif (path / FILE).is_file():
            found.add_run(path / FILE, named=True)
        elif (path / SWEEP_FILE).is_file():
            found.add_sweep(path / SWEEP_FILE)
        elif path.is_dir():
            _add_folder(found, path)
        else:
            raise UserError(f"{path} does not exist: give folders of runs, record files, or a results folder")
    return found


def _add_file(found: Collection, path: Path) -> None:
    if path.suffix == ".json":
        found.add_sweep(path)
    else:
        found.add_run(path, named=True)


def _add_folder(found: Collection, folder: Path) -> None:
    # In the order of their paths: records/ comes before runs/ and sweeps/.
    files = [path for path in sorted(folder.rglob("*")) if not path.name.startswith(".") and path.is_file()]
    runs = [path for path in files if path.name.endswith(SUFFIX)]
    sweeps = [path for path in files if path.name == SWEEP_FILE or _is_kept_sweep(path)]
    if not runs and not sweeps:
        raise UserError(f"{folder} holds no records: `evalkit run` makes them, `evalkit keep` keeps them")
    for path in runs:
        found.add_run(path, named=False)
    for path in sweeps:
        found.add_sweep(path)


def _is_kept_sweep(path: Path) -> bool:
    return path.suffix == ".json" and path.parent.name == "sweeps"
