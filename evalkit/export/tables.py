"""A leaderboard of the exported runs as one table, for the formats that show it. Cells are plain text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evalkit.board.board import Board, BoardEntry, board_of
from evalkit.metrics import Result
from evalkit.run.info import Run
from evalkit.text import percent, visible_text

NONE = "-"


@dataclass(frozen=True, slots=True)
class Grid:
    """Header and rows of equal length (the first column names the model), and what belongs below."""

    header: list[str]
    rows: list[list[str]]
    notes: list[str]


def comparison(runs: Sequence[Run]) -> Grid:
    """One row a run, best average first; one column a benchmark that any of them asked.

    Where the runs differ in protocol, data, limit, seed or history there is a column that says so.
    """
    board = board_of({str(number): run for number, run in enumerate(runs)}, [])
    entries = board.measured
    settings = [_settings(runs[int(entry.file)]) for entry in entries]
    columns = {"Model": _titles(entries)}
    for name in board.benchmarks:
        title, cells = _column([entry.cells.get(name) for entry in entries])
        columns[f"{board.benchmarks[name] or NONE}{title}"] = cells
    columns["Average"] = [_average(entry, len(board.benchmarks)) for entry in entries]
    columns |= dict(_costs(entries))
    if len(set(settings)) > 1:
        columns["Settings"] = settings
    rows = zip(*columns.values(), strict=True)
    return Grid(list(columns), [list(row) for row in rows], list(_notes(board, settings)))


def _titles(entries: Sequence[BoardEntry]) -> list[str]:
    """Titles; with the run's id where two rows have the same."""
    titles = [entry.title or NONE for entry in entries]
    return [
        f"{title}, {entry.run}" if titles.count(title) > 1 else title
        for title, entry in zip(titles, entries, strict=True)
    ]


def _column(cells: Sequence[Result | None]) -> tuple[str, list[str]]:
    """What the header says of n, and the cells: they say n themselves where it differs."""
    sizes = {cell.n for cell in cells if cell is not None and cell.estimate is not None}
    if len(sizes) == 1:
        return f" (n={sizes.pop()})", [_cell(cell, with_n=False) for cell in cells]
    return "", [_cell(cell, with_n=True) for cell in cells]


def _cell(cell: Result | None, *, with_n: bool) -> str:
    if cell is None:
        return NONE
    if cell.estimate is None:
        return "unscored" if cell.unscored else "failed"
    return f"{percent(cell.estimate)} n={cell.n}" if with_n else percent(cell.estimate)


def _average(entry: BoardEntry, of: int) -> str:
    if entry.average is None:
        return NONE
    scored = sum(cell.estimate is not None for cell in entry.cells.values())
    return percent(entry.average) if scored == of else f"{percent(entry.average)} ({scored} of {of})"


def _costs(entries: Sequence[BoardEntry]) -> Iterator[tuple[str, list[str]]]:
    """The columns that any run knows a value for."""
    for title, name, unit in (
        ("File, GB", "size_bytes", 1e9),
        ("Peak memory, GB", "peak_memory_bytes", 1e9),
        ("Decode, tokens/s", "decode_tokens_per_second", 1.0),
    ):
        values = [getattr(entry, name) for entry in entries]
        if any(value is not None for value in values):
            yield title, [NONE if value is None else f"{value / unit:.2f}" for value in values]


def _settings(run: Run) -> str:
    info = run.info
    return ", ".join(
        [
            f"protocol {info.protocol.name}",
            f"data {'/'.join(sorted({data.source or '?' for data in info.data.values()}))}",
            f"limit {'none' if info.selection.limit is None else info.selection.limit}",
            f"seed {'?' if info.selection.seed is None else info.selection.seed}",
            *(f"history {each.history}" for each in info.benchmarks.values() if each.history),
            *(f"shots {each.shots} of {name}" for name, each in info.benchmarks.items() if each.shots),
        ]
    )


def _notes(board: Board, settings: Sequence[str]) -> Iterator[str]:
    entries, rules = board.measured, ", ".join(board.rules)
    yield f"Accuracy in per cent with its 95 % interval, clustered by page, dialogue or file; rule {rules}."
    if len(set(settings)) == 1:
        yield f"All rows: {settings[0]}."
    cells = [cell for entry in entries for cell in entry.cells.values()]
    covered = sum(cell.covered for cell in cells)
    for what, total in (
        ("could not be answered", sum(cell.failed for cell in cells)),
        ("were cut off at the token limit", sum(cell.truncated for cell in cells)),
        ("have no rule that scores them", sum(cell.unscored for cell in cells)),
    ):
        if total:
            yield f"{total} of {covered} items {what}."
    warned: dict[str, list[str]] = defaultdict(list)
    for title, entry in zip(_titles(entries), entries, strict=True):
        for warning in entry.warnings:
            warned[warning].append(title)
    for warning, titles in warned.items():
        yield f"{'All rows' if len(titles) == len(entries) else '; '.join(titles)}: {visible_text(warning)}."
