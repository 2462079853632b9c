"""The leaderboard of some runs as one table, for the formats that show it. Cells are plain text."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from evalkit.compare.comparison import Estimate
from evalkit.exports.common.values import block, text
from evalkit.leaderboard.board import Measured
from evalkit.leaderboard.make import board_of
from evalkit.records.accuracy import Cell
from evalkit.records.record import Record
from evalkit.scorers import DEFAULT

NONE = "-"


@dataclass(frozen=True, slots=True)
class Grid:
    """Header and rows of equal length (the first column names the model), and what belongs below."""

    header: list[str]
    rows: list[list[str]]
    notes: list[str]


def comparison(records: Sequence[Record]) -> Grid:
    """One row a run, best average first; one column a benchmark that any of them asked.

    Where the runs differ in protocol, data, limit, seed or history there is a column that says so.
    """
    board = board_of({str(number): record for number, record in enumerate(records)}, [])
    entries = board.measured
    settings = [_settings(records[int(entry.file)]) for entry in entries]
    columns = {"Model": _titles(entries)}
    for name in board.benchmarks:
        title, cells = _column([entry.cells.get(name) for entry in entries])
        columns[f"{text(board.benchmarks[name]) or NONE}{title}"] = cells
    columns["Average"] = [_average(entry, len(board.benchmarks)) for entry in entries]
    columns |= dict(_costs(entries))
    if len(set(settings)) > 1:
        columns["Settings"] = settings
    rows = zip(*columns.values(), strict=True)
    return Grid(list(columns), [list(row) for row in rows], list(_notes(entries, settings)))


def _titles(entries: Sequence[Measured]) -> list[str]:
    """Titles; with the run's id where two rows have the same."""
    titles = [text(entry.title) or NONE for entry in entries]
    return [
        f"{title}, {text(entry.run)}" if titles.count(title) > 1 else title
        for title, entry in zip(titles, entries, strict=True)
    ]


def _column(cells: Sequence[Cell | None]) -> tuple[str, list[str]]:
    """What the header says of n, and the cells: they say n themselves where it differs."""
    sizes = {cell.estimate.n for cell in cells if cell is not None and cell.estimate is not None}
    if len(sizes) == 1:
        return f" (n={sizes.pop()})", [_cell(cell, with_n=False) for cell in cells]
    return "", [_cell(cell, with_n=True) for cell in cells]


def _cell(cell: Cell | None, *, with_n: bool) -> str:
    if cell is None:
        return NONE
    if cell.estimate is None:
        return "unscored" if cell.unscored else "failed"
    return f"{_percent(cell.estimate)} n={cell.estimate.n}" if with_n else _percent(cell.estimate)


def _average(entry: Measured, of: int) -> str:
    if entry.average is None:
        return NONE
    scored = sum(cell.estimate is not None for cell in entry.cells.values())
    return _percent(entry.average) if scored == of else f"{_percent(entry.average)} ({scored} of {of})"


def _percent(estimate: Estimate) -> str:
    # Adding zero turns -0.0 into 0.0.
    value, low, high = (round(100 * each, 1) + 0.0 for each in (estimate.value, estimate.low, estimate.high))
    return f"{value:.1f} [{low:.1f}, {high:.1f}]"


def _costs(entries: Sequence[Measured]) -> Iterator[tuple[str, list[str]]]:
    """The columns that any run knows a value for."""
    for title, name, unit in (
        ("File, GB", "size_bytes", 1e9),
        ("Peak memory, GB", "peak_memory_bytes", 1e9),
        ("Decode, tokens/s", "decode_tokens_per_second", 1.0),
    ):
        values = [getattr(entry, name) for entry in entries]
        if any(value is not None for value in values):
            yield title, [NONE if value is None else f"{value / unit:.2f}" for value in values]


def _settings(record: Record) -> str:
    head = record.head
    sources = {text(block(facts).get("source")) or "?" for facts in head.data.values()}
    histories = (text(benchmark.get("history")) for benchmark in head.benchmarks.values())
    return ", ".join(
        [
            f"protocol {text(head.protocol.get('name'))}",
            f"data {'/'.join(sorted(sources))}",
            f"limit {text(head.settings.get('limit')) or 'none'}",
            f"seed {text(head.settings.get('seed')) or '?'}",
            *(f"history {history}" for history in histories if history),
        ]
    )


def _notes(entries: Sequence[Measured], settings: Sequence[str]) -> Iterator[str]:
    yield f"Accuracy in per cent with its 95 % interval, clustered by page, dialogue or file; rule {DEFAULT}."
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
        yield f"{'All rows' if len(titles) == len(entries) else '; '.join(titles)}: {text(warning)}."
