"""The site of one's own runs, as they are now: built into a folder that no repository keeps."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evalkit.board.board import board_of
from evalkit.board.build import MANIFEST, manifest_of, stale_files, update
from evalkit.board.site import site
from evalkit.metrics import missing_answers
from evalkit.run.info import Run
from evalkit.run.runner import run_as_it_is
from evalkit.schema import UserError
from evalkit.sweep.record import FILE, Sweep, read_checked

VIEW = "view"
"""The folder below results/."""


@dataclass(frozen=True, slots=True)
class View:
    """What was built. ``page`` is to be opened; ``unfinished`` runs have (answers there, answers wanted)."""

    page: Path
    shown: tuple[str, ...]
    unfinished: dict[str, tuple[int, int]]
    problems: tuple[str, ...]


def build_view(paths: Sequence[Path], results: Path, data_dir: str | None = None) -> View:
    """Build the site of these runs, with the sweeps whose members are among them, under <results>/view.

    Raises:
        UserError: none of the runs can be read, or the folder cannot be written.
    """
    runs, problems = _read(paths, data_dir)
    if not runs:
        raise UserError(
            problems[0] if problems else f"no runs in {results / 'runs'} yet: run something first"
        )
    files = _files(runs, results, live=False)
    folder = results / VIEW
    written = {f"site/{name}": content for name, content in files.items()}
    written[MANIFEST] = manifest_of(written)
    folder.mkdir(parents=True, exist_ok=True)
    update(folder, written, stale_files(folder, written))
    unfinished = {}
    for name, run in runs.items():
        there, missing = sum(len(item.samples) for item in run.items), missing_answers(run)
        if missing and run.info.engine.engine != "replay":
            unfinished[name] = there, there + missing
    return View(folder / "site" / "index.html", tuple(runs), unfinished, tuple(problems))


def live_files(paths: Sequence[Path], results: Path, data_dir: str | None = None) -> dict[str, bytes]:
    """The site of the runs that can be read, none perhaps, for pages that ask how far they are."""
    return _files(_read(paths, data_dir)[0], results, live=True)


def _files(runs: Mapping[str, Run], results: Path, *, live: bool) -> dict[str, bytes]:
    return site(board_of(runs, []), runs, _sweeps(results, runs), live=live)


def _read(paths: Sequence[Path], data_dir: str | None) -> tuple[dict[str, Run], list[str]]:
    runs: dict[str, Run] = {}
    problems = []
    for path in paths:
        try:
            runs[path.as_posix()] = run_as_it_is(path, data_dir)
        except UserError as error:
            problems.append(str(error))
    return runs, problems


def _sweeps(results: Path, runs: Mapping[str, Run]) -> list[Sweep]:
    """The sweeps of this machine all of whose finished members are shown."""
    names = {(run.info.model.name, run.info.run_id) for run in runs.values()}
    found = []
    for path in sorted((results / "sweeps").glob(f"*/*/{FILE}")):
        try:
            sweep = read_checked(path)
        except UserError:  # of another version, or damaged: the runs can be looked at all the same
            continue
        members = [(each.name, Path(each.run_dir).name) for each in sweep.members if each.run_dir]
        if members and all(member in names for member in members):
            found.append(sweep)
    return found
