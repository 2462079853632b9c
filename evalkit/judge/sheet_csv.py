"""Labelling in a spreadsheet: answers out as CSV, with an empty column to fill in."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence

from evalkit.judge.labels import Label
from evalkit.judge.sheet import answer_shown, printable, shortened
from evalkit.judge.subject import Subject
from evalkit.report.spreadsheet import cell
from evalkit.runner.request import Name

COLUMNS = ("label", "question", "gold", "extracted", "answer", "benchmark", "id", "turn", "sample", "key")
_CELL_CHARS = 3_000


def to_csv(subjects: Sequence[Subject], labels: Mapping[Name, Label]) -> str:
    """A row an answer: fill `label` in with 1 (right), 0 (wrong) or b (borderline), and leave the rest alone.

    Labels given earlier stand there already. Nothing in it is a formula to a spreadsheet.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for subject in subjects:
        benchmark, id_, turn, sample = subject.name
        shown = (
            shortened(subject.case.question, _CELL_CHARS),
            shortened(subject.case.reference, _CELL_CHARS),
            subject.extracted,
            answer_shown(subject),
        )
        place = (cell(benchmark), cell(id_), "" if turn is None else turn, sample, subject.key)
        row = (_mark(labels.get(subject.name)), *(cell(printable(text)) for text in shown), *place)
        writer.writerow(row)
    return text.getvalue()


def _mark(label: Label | None) -> str:
    if label is None:
        return ""
    return "b" if label.correct is None else str(int(label.correct))
