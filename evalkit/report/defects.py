"""Known wrong or ambiguous gold labels: an overlay that changes no score, only tells what is beneath it.

A file is CSV with the header `benchmark,id,turn,kind,reason,source`: `turn` is empty outside dialogues,
`kind` is `wrong` (the gold contradicts the page) or `ambiguous` (question or gold allow several readings),
`source` says who found it. The shipped ones are benchmarks/<name>/label_defects.csv; a file of the user's own
adds to them.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, cast

from evalkit.benchmarks import names
from evalkit.errors import UserError, nearest
from evalkit.paths import BENCHMARKS

Kind = Literal["wrong", "ambiguous"]

COLUMNS = ("benchmark", "id", "turn", "kind", "reason", "source")
FILE = "label_defects.csv"
MAX_BYTES = 32 * 2**20


@dataclass(frozen=True, slots=True)
class Defect:
    """One gold label that is known to be wrong or ambiguous, why, and who says so."""

    benchmark: str
    id: str
    turn: int | None
    kind: Kind
    reason: str
    source: str

    @property
    def key(self) -> tuple[str, str, int | None]:
        return self.benchmark, self.id, self.turn


def known_defects(extra: Path | None = None) -> list[Defect]:
    """The shipped defects and those of `extra`, whose entries replace shipped ones of the same item.

    Raises:
        UserError: as `read_defects`.
    """
    shipped = [defect for path in sorted(BENCHMARKS.glob(f"*/{FILE}")) for defect in read_defects(path)]
    added = read_defects(extra) if extra is not None else []
    return list({defect.key: defect for defect in [*shipped, *added]}.values())


def read_defects(path: Path) -> list[Defect]:
    """The entries of one overlay file, in its order.

    Raises:
        UserError: it cannot be read, is larger than 32 MiB, lacks a column, or has an entry that is
            incomplete, repeated, or of an unknown benchmark or kind; the message names the line.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise UserError(
                f"{path}: larger than {MAX_BYTES >> 20} MiB, so it is not a list of label defects"
            )
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UserError(f"label defects: cannot read {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8; save it as UTF-8 CSV") from error
    found: dict[tuple[str, str, int | None], Defect] = {}
    for where, row in _rows(path, text):
        defect = _defect(row, where)
        if defect.key in found:
            raise UserError(f"{where}: {defect.id} is listed twice; keep one of the two")
        found[defect.key] = defect
    return list(found.values())


def _rows(path: Path, text: str) -> Iterator[tuple[str, Mapping[str, str]]]:
    reader = csv.reader(text.splitlines(keepends=True), strict=True)
    try:
        header = [name.strip() for name in next(reader, [])]
        absent = [name for name in COLUMNS if name not in header]
        if absent:
            raise UserError(f"{path}: no column {', '.join(absent)}; the header is {','.join(COLUMNS)}")
        for cells in reader:
            where = f"{path}: line {reader.line_num}"
            if len(cells) not in (0, len(header)):
                raise UserError(f"{where}: {len(cells)} cells under {len(header)} columns; quote commas")
            if any(cells):
                yield where, dict(zip(header, (cell.strip() for cell in cells), strict=True))
    except csv.Error as error:
        raise UserError(f"{path}: line {reader.line_num}: not CSV ({error})") from error


def _defect(row: Mapping[str, str], where: str) -> Defect:
    empty = [name for name in COLUMNS if name != "turn" and not row[name]]
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
        benchmark, row["id"], int(turn) if turn else None, cast(Kind, kind), row["reason"], row["source"]
    )


def defective(defects: Iterable[Defect], benchmark: str) -> dict[tuple[str, int | None], Defect]:
    """The defects of one benchmark by (id, turn)."""
    return {(defect.id, defect.turn): defect for defect in defects if defect.benchmark == benchmark}
