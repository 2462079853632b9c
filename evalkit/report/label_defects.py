"""Gold labels that somebody read and found wrong or ambiguous: the lists, and the report's section on them.

A list changes no score. It is CSV with the header `benchmark,id,turn,kind,reason,source`: `turn` is empty
outside dialogues, `kind` is `wrong` (the gold contradicts the page) or `ambiguous` (question or gold allow
several readings), `source` says who found it. The shipped ones are
benchmarks/<name>/label_defects.csv; a file of the user's own adds to them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from evalkit.benchmarks import names
from evalkit.files import BENCHMARKS
from evalkit.metrics import accuracy, scored_benchmarks
from evalkit.report.sections import Section, accuracy_cell, accuracy_json
from evalkit.run.info import Run
from evalkit.schema import UserError, nearest
from evalkit.text import code, table

DefectKind = Literal["wrong", "ambiguous"]


@dataclass(frozen=True, slots=True)
class Defect:
    """One gold label that is known to be wrong or ambiguous, why, and who says so."""

    benchmark: str
    id: str
    turn: int | None
    kind: DefectKind
    reason: str
    source: str

    @property
    def key(self) -> tuple[str, str, int | None]:
        """The example that it is the label of."""
        return self.benchmark, self.id, self.turn


LISTED = 50

_NOTE = (
    "Listed are labels that somebody read and found wanting, whatever the model answered. The other labels "
    "are mostly unread, not known to be right: the clean part is cleaner, not clean."
)


def label_defects_section(run: Run, defects: Sequence[Defect]) -> Section | None:
    """The benchmarks that have a listed label among their scored examples; None if there are none."""
    rows, details, data = [], [], {}
    for name, (items, rule) in scored_benchmarks(run).items():
        title = run.info.benchmarks[name].title
        listed = defective(defects, name)
        hit = [
            (item, listed[item.key]) for item in items if item.key in listed and item.value(rule) is not None
        ]
        if not hit:
            continue
        parts = {
            "all": accuracy(items, rule),
            "clean": accuracy([item for item in items if item.key not in listed], rule),
            "listed": accuracy([item for item, _ in hit], rule),
        }
        kinds = [entry.kind for _, entry in hit]
        wrong, ambiguous = kinds.count("wrong"), kinds.count("ambiguous")
        counts = {"wrong": wrong, "ambiguous": ambiguous}
        data[name] = {part: accuracy_json(found) for part, found in parts.items()} | counts
        shown = f"{wrong} wrong, {ambiguous} ambiguous"
        rows.append([title, *(accuracy_cell(found) for found in parts.values()), shown])
        details += [_detail(title, item.value(rule), entry) for item, entry in hit]
    if not rows:
        return None
    header = ["Benchmark", "all, %", "clean part, %", "listed labels only, %", "listed"]
    return Section(
        name="label_defects",
        title="Label defects",
        body="\n\n".join([table(header, rows), _NOTE, _list(details)]),
        data=data,
    )


def _detail(title: str, value: float | None, entry: Defect) -> list[str]:
    turn = "-" if entry.turn is None else str(entry.turn)
    verdict = "right" if value == 1 else "wrong" if value == 0 else f"{value:.2f}"
    reason, source = code(entry.reason, 120), code(entry.source)
    return [title, code(entry.id), turn, entry.kind, reason, source, verdict]


def _list(details: Sequence[Sequence[str]]) -> str:
    header = ["Benchmark", "id", "turn", "label is", "reason", "source", "scored"]
    shown = table(header, details[:LISTED], text_columns=len(header))
    rest = len(details) - LISTED
    return shown + (f"\n\nand {rest} more" if rest > 0 else "")


DEFECT_COLUMNS = ("benchmark", "id", "turn", "kind", "reason", "source")
DEFECTS_FILE = "label_defects.csv"
MAX_DEFECTS_BYTES = 32 * 2**20


def known_defects(extra: Path | None = None) -> list[Defect]:
    """The shipped defects and those of `extra`, whose entries replace shipped ones of the same item.

    Raises:
        UserError: as `read_defects`.
    """
    shipped = [
        defect for path in sorted(BENCHMARKS.glob(f"*/{DEFECTS_FILE}")) for defect in read_defects(path)
    ]
    added = read_defects(extra) if extra is not None else []
    return list({defect.key: defect for defect in [*shipped, *added]}.values())


def read_defects(path: Path) -> list[Defect]:
    """The entries of one overlay file, in its order.

    Raises:
        UserError: it cannot be read, is larger than 32 MiB, lacks a column, or has an entry that is
            incomplete, repeated, or of an unknown benchmark or kind; the message names the line.
    """
    try:
        if path.stat().st_size > MAX_DEFECTS_BYTES:
            raise UserError(
                f"{path}: larger than {MAX_DEFECTS_BYTES >> 20} MiB, so it is not a list of label defects"
            )
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"label defects: cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8; save it as UTF-8 CSV") from error
    found: dict[tuple[str, str, int | None], Defect] = {}
    for where, row in _defect_rows(path, text):
        defect = _defect(row, where)
        if defect.key in found:
            raise UserError(f"{where}: {defect.id} is listed twice; keep one of the two")
        found[defect.key] = defect
    return list(found.values())


def _defect_rows(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        absent = [name for name in DEFECT_COLUMNS if name not in header]
        if absent:
            raise UserError(
                f"{path}: no column {', '.join(absent)}; the header is {','.join(DEFECT_COLUMNS)}"
            )
        for cells in reader:
            where = f"{path}: line {reader.line_num}"
            if len(cells) not in (0, len(header)):
                raise UserError(f"{where}: {len(cells)} cells under {len(header)} columns; quote commas")
            if any(cells):
                yield where, dict(zip(header, (cell.strip() for cell in cells), strict=True))
    except csv.Error as error:
        raise UserError(f"{path}: line {reader.line_num}: not CSV ({error})") from error


def _defect(row: Mapping[str, str], where: str) -> Defect:
    empty = [name for name in DEFECT_COLUMNS if name != "turn" and not row[name]]
    if empty:
        raise UserError(f"{where}: {', '.join(empty)} is empty; only turn may be")
    benchmark, kind, turn = row["benchmark"], row["kind"], row["turn"]
    if benchmark not in names():
        hint = nearest(benchmark, names())
        raise UserError(f"{where}: no benchmark '{benchmark}'; choose from {', '.join(names())}.{hint}")
    if kind not in ("wrong", "ambiguous"):
        raise UserError(f"{where}: kind '{kind}'; write wrong or ambiguous")
    if turn and not (turn.isascii() and turn.isdecimal() and len(turn) < 6):
        raise UserError(f"{where}: turn '{turn}'; write its number, counted from 0, or nothing")
    return Defect(
        benchmark,
        row["id"],
        int(turn) if turn else None,
        cast(DefectKind, kind),
        row["reason"],
        row["source"],
    )


def defective(defects: Iterable[Defect], benchmark: str) -> dict[tuple[str, int | None], Defect]:
    """The defects of one benchmark by (id, turn)."""
    return {(defect.id, defect.turn): defect for defect in defects if defect.benchmark == benchmark}
