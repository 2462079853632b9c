"""Labels that people gave to answers: files of them, and the answers of a run that they belong to."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from evalkit.errors import UserError
from evalkit.judge.subject import Subject
from evalkit.runner.folder import write_atomically
from evalkit.runner.request import Name

MAX_BYTES = 64 << 20

_RIGHT = (True, 1, "1", "true", "yes", "right")
_WRONG = (False, 0, "0", "false", "no", "wrong")
_MARKS = ("b", "borderline")
# The first of these that a row has is its label. `_exe`: against the executed value, which a judge is given.
_CORRECT = ("correct", "correct_lenient_exe", "correct_lenient", "label")


@dataclass(frozen=True, slots=True)
class Label:
    """What somebody said of one answer. ``correct`` is None where it is borderline.

    ``benchmark`` None: of whichever benchmark has the id. ``key`` None: of whatever the run answered.
    """

    benchmark: str | None
    id: str
    turn: int | None
    sample: int
    key: str | None
    correct: bool | None

    def line(self) -> str:
        fields = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps({**fields, "borderline": self.correct is None}, ensure_ascii=False) + "\n"


@dataclass(frozen=True, slots=True)
class Matched:
    """Verdicts by the answer they belong to, None where borderline.

    ``unmatched`` counts labels that belong to no answer of the run.
    """

    verdicts: dict[Name, bool | None]
    unmatched: int

    @property
    def decided(self) -> dict[Name, bool]:
        return {name: correct for name, correct in self.verdicts.items() if correct is not None}

    @property
    def borderline(self) -> set[Name]:
        return {name for name, correct in self.verdicts.items() if correct is None}


def read_labels(path: Path) -> list[Label]:
    """The labels of a JSON-lines file, or of a CSV file (by its ending) with the same fields as columns.

    Fields: `id` (or `record_id`), `turn` (or `turn_idx`), `sample` (default 0), `benchmark`, `key`;
    `correct` (or `correct_lenient_exe`, `correct_lenient`, `label`): true/false, 1/0; `borderline`. Rows of a
    CSV whose label is empty are not labelled yet, and left out.

    Raises:
        UserError: it cannot be read, a row lacks an id or a label, or nothing is labelled.
    """
    text = _text(path)
    is_sheet = path.suffix.lower() == ".csv"
    rows = _csv_rows(text, path) if is_sheet else _json_rows(text, path)
    if is_sheet:
        rows = ((where, row) for where, row in rows if any(name in row for name in (*_CORRECT, "borderline")))
    labels = [_label(row, where) for where, row in rows]
    if not labels:
        raise UserError(f"{path} has no labels: give rows with id and correct (true or false)")
    return labels


def write_labels(path: Path, labels: Iterable[Label]) -> None:
    """Replace the labels in `path`, all or nothing.

    Raises:
        UserError: it cannot be written.
    """
    try:
        write_atomically(path, "".join(label.line() for label in labels))
    except OSError as error:
        raise UserError(f"cannot write the labels {path}: {error.strerror or error}") from error


def match(labels: Iterable[Label], subjects: Sequence[Subject], *, any_output: bool = True) -> Matched:
    """Find the answers that labels belong to, by name and, where the label has one, by its generation's key.

    Args:
        any_output: whether a label without a key may be taken for one of these answers: only if there is one
            run that it can be about.

    Raises:
        UserError: two labels of one answer differ, or an id without a benchmark is in several.
    """
    by_name = {subject.name: subject for subject in subjects}
    names = list(dict.fromkeys(subject.benchmark for subject in subjects))
    found: dict[Name, bool | None] = {}
    unmatched = 0
    for label in labels:
        of = [label.benchmark] if label.benchmark else names
        hits = [by_name[name] for each in of for name in _names(label, each) if name in by_name]
        if len(hits) > 1:
            where = ", ".join(hit.benchmark for hit in hits)
            raise UserError(f"label {_shown(label)}: its id is in several benchmarks ({where}): name one")
        if not hits or (label.key != hits[0].key if label.key else not any_output):
            unmatched += 1
            continue
        name = hits[0].name
        if name in found and found[name] != label.correct:
            raise UserError(f"label {_shown(label)}: it was labelled twice, and not the same")
        found[name] = label.correct
    return Matched(found, unmatched)


def _names(label: Label, benchmark: str) -> Iterator[Name]:
    """The label's possible names: one without a turn serves an item without one, and turn 0 of a dialogue."""
    turns = {0: (0, None), None: (None, 0)}.get(label.turn, (label.turn,))
    yield from ((benchmark, label.id, turn, label.sample) for turn in turns)


def _text(path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_BYTES + 1)
        if len(content) > MAX_BYTES:
            raise UserError(f"{path}: labels are less than {MAX_BYTES >> 20} MiB: is this the right file?")
        return content.decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read the labels {path}: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 text: save the labels as UTF-8") from error


def _json_rows(text: str, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        where = f"{path}: line {number}"
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UserError(f"{where} is not JSON: one object a line is expected") from error
        if not isinstance(row, dict):
            raise UserError(f"{where} is not a JSON object")
        yield where, row


def _csv_rows(text: str, path: Path) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Rows of a CSV as spreadsheets write it, where an empty cell is an absent field."""
    header = text[: text.find("\n")]
    delimiter = ";" if header.count(";") > header.count(",") else ","
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter, restkey="")
    try:
        for row in reader:
            cells = {name: value.strip() for name, value in row.items() if name and isinstance(value, str)}
            filled = {name: value for name, value in cells.items() if value}
            if "id" in filled:
                filled["id"] = _unquoted(filled["id"])
            yield f"{path}: line {reader.line_num}", filled
    except csv.Error as error:
        raise UserError(f"{path}: line {reader.line_num} is not CSV: {error}") from error


def _label(row: Mapping[str, Any], where: str) -> Label:
    id_ = row.get("record_id", row.get("id"))
    if not isinstance(id_, str | int) or isinstance(id_, bool):
        raise UserError(f"{where}: a label needs the id of its item")
    said = next((row[name] for name in _CORRECT if row.get(name) is not None), None)
    borderline = _truth(row.get("borderline"), where) or (isinstance(said, str) and said.lower() in _MARKS)
    correct = None if borderline else _truth(said, where)
    if correct is None and not borderline:
        raise UserError(f"{where}: a label needs correct: true or false")
    return Label(
        benchmark=_optional_text(row.get("benchmark"), "benchmark", where),
        id=str(id_),
        turn=_whole(row.get("turn", row.get("turn_idx")), "turn", where),
        sample=_whole(row.get("sample"), "sample", where) or 0,
        key=_optional_text(row.get("key"), "key", where),
        correct=correct,
    )


def _unquoted(text: str) -> str:
    """Without the apostrophe that a sheet's ids get where a spreadsheet would take them for a formula."""
    return text[1:] if text[:1] == "'" and text[1:2] in tuple("=@+-") else text


def _truth(value: object, where: str) -> bool | None:
    said = value.strip().lower() if isinstance(value, str) else value
    if said is None or said == "":
        return None
    # `in` compares by value: 1.0 is 1 too, and NaN nothing.
    if isinstance(said, str | int | float):
        if said in _RIGHT:
            return True
        if said in _WRONG:
            return False
        if said in _MARKS:
            return None
    raise UserError(f"{where}: correct and borderline are true or false, not {json.dumps(value)[:40]}")


def _whole(value: object, name: str, where: str) -> int | None:
    if value is None:
        return None
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 10:
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    raise UserError(f"{where}: {name} is a whole number, not {json.dumps(value)[:40]}")


def _optional_text(value: object, name: str, where: str) -> str | None:
    if value is None or isinstance(value, str):
        return value or None
    raise UserError(f"{where}: {name} is text, not {json.dumps(value)[:40]}")


def _shown(label: Label) -> str:
    turn = "" if label.turn is None else f" turn {label.turn}"
    return json.dumps(label.id)[:80] + turn
