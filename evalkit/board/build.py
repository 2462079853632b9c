"""Everything derived under results/: made as bytes, compared with the disk, and written where it is stale."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import Literal

from evalkit.audit import audit_table
from evalkit.board.board import Problem, board_of, collect
from evalkit.board.published import against
from evalkit.board.site import site
from evalkit.board.tables import board_csv, board_json, board_markdown, notes, published_notes
from evalkit.files import write_bytes
from evalkit.published import DEFAULT, read_table, table_names
from evalkit.report.curves import curves
from evalkit.report.sweep import report, sweep_csv
from evalkit.schema import UserError
from evalkit.sweep.record import Sweep


def build(results: Path, *, local: bool) -> tuple[dict[str, bytes], list[Problem]]:
    """Every derived file by its path relative to `results`; the same records give the same bytes.

    Args:
        local: whether runs and sweeps count that are only on this machine.

    Returns:
        The files, and what is not shown and why.
    """
    found = collect(results, local=local)
    published = [read_table(name) for name in table_names()]
    audits = [audit_table(each) for each in published]
    board = board_of(found.runs, published, found.problems)
    compared = {each.name: against(board, each) for each in published}
    lines = [*notes(board), *published_notes(board, published)]
    files = {
        "leaderboard.md": board_markdown(board, published, found.sweeps, audits, compared).encode(),
        "leaderboard.csv": board_csv(board).encode(),
        "leaderboard.json": board_json(board, lines).encode(),
    }
    for name, sweep in found.sweeps.items():
        files |= {f"curves/{name}/{file}": content for file, content in _sweep(sweep).items()}
    pages = site(
        board,
        found.runs,
        list(found.sweeps.values()),
        next(each for each in audits if each.name == DEFAULT),
        compared[DEFAULT],
    )
    files |= {f"site/{file}": content for file, content in pages.items()}
    return {**files, MANIFEST: manifest_of(files)}, list(board.problems)


def _sweep(sweep: Sweep) -> dict[str, bytes]:
    # Without the PNGs: a compressor's bytes depend on the processor that it runs on.
    figures = {name: content for name, content in curves(sweep).items() if name.endswith(".svg")}
    return {"report.md": report(sweep).encode(), "table.csv": sweep_csv(sweep).encode(), **figures}


def manifest_of(files: Mapping[str, bytes]) -> bytes:
    """The manifest of these files, in the format of sha256sum: what a later run may remove."""
    ours = sorted(name for name in files if name.startswith(tuple(f"{folder}/" for folder in FOLDERS)))
    return "".join(f"{sha256(files[name]).hexdigest()}  {name}\n" for name in ours).encode()


FOLDERS = ("curves", "site")
"""Where files may also be removed: all that is in them and in the manifest is derived."""

MANIFEST = "site/manifest.sha256"
MAX_MANIFEST_BYTES = 16 << 20

_LINE = re.compile(r"([0-9a-f]{64})  ([^\0\\]+)")


@dataclass(frozen=True, slots=True)
class Stale:
    """A file that is not as it would be made now. `file` is relative to the results folder."""

    file: str
    why: Literal["missing", "changed", "no longer made"]


def stale_files(results: Path, files: Mapping[str, bytes]) -> list[Stale]:
    """What updating would write or remove, in the order of `files`, then by name.

    A file that is no longer made counts only if it is as the manifest says that it was made.

    Raises:
        UserError: a file cannot be read.
    """
    found = []
    for name, content in files.items():
        there = _content(results / name)
        if there != content:
            found.append(Stale(name, "missing" if there is None else "changed"))
    return found + [Stale(name, "no longer made") for name in _removable(results, files)]


def update(results: Path, files: Mapping[str, bytes], stale: Sequence[Stale]) -> None:
    """Write and remove what is stale.

    Raises:
        UserError: a file cannot be written or removed.
    """
    # Removing first: if this is interrupted, the old manifest still says what else was ours.
    for each in sorted(stale, key=lambda each: (each.why != "no longer made", each.file == MANIFEST)):
        path = results / each.file
        try:
            if each.why == "no longer made":
                path.unlink()
                _remove_empty(path.parent, results)
            else:
                path.parent.mkdir(parents=True, exist_ok=True)
                write_bytes(path, files[each.file])
        except OSError as error:
            raise UserError(f"{path} cannot be brought up to date: {error.strerror or error}") from error


def _content(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error


def _removable(results: Path, files: Mapping[str, bytes]) -> Iterator[str]:
    for digest, name in _manifest(results / MANIFEST):
        path = results / name
        if name in files or not _is_inside(name, results) or path.is_symlink() or not path.is_file():
            continue
        if sha256(path.read_bytes()).hexdigest() == digest:
            yield name


def _manifest(path: Path) -> list[tuple[str, str]]:
    """The lines of the manifest of an earlier run that make sense; it may have been edited."""
    try:
        if path.stat().st_size > MAX_MANIFEST_BYTES:
            return []
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        return []
    matches = (_LINE.fullmatch(line) for line in sorted(set(text.split("\n"))))
    return [(match[1], match[2]) for match in matches if match]


def _is_inside(name: str, results: Path) -> bool:
    """Whether it is a plain path into one of our folders, by name and with links followed."""
    parts = PurePosixPath(name).parts
    if len(parts) < 2 or parts[0] not in FOLDERS or any(part in ("..", "/") for part in parts):
        return False
    folder = (results / name).parent.resolve()
    return folder.is_relative_to(results.resolve() / parts[0])


def _remove_empty(folder: Path, results: Path) -> None:
    while folder not in (results, *(results / each for each in FOLDERS)):
        with contextlib.suppress(OSError):
            folder.rmdir()
        folder = folder.parent
