"""Labels that people gave to answers: files of them, the answers of a run that they belong to, and labelling.

Answers are labelled in a terminal (one at a time, a key for each verdict, every verdict on disk at once) or
in a spreadsheet (CSV with an empty column to fill in). The labeller is blind: neither the rule's verdict nor
the judge's is shown, nor whose answer it is.
"""

from __future__ import annotations

import csv
import io
import json
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from evalkit.files import write_atomically
from evalkit.judge.judge import Subject
from evalkit.schema import Name, UserError
from evalkit.scoring.text import answer_start
from evalkit.text import cell

if TYPE_CHECKING:
    from prompt_toolkit.input import Input

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
class LabelMatches:
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


def match(labels: Iterable[Label], subjects: Sequence[Subject], *, any_output: bool = True) -> LabelMatches:
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
    return LabelMatches(found, unmatched)


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


LEGEND = "1 right   0 wrong   b borderline   s skip   u undo   q quit"
_VERDICTS: Mapping[str, bool | None] = {"1": True, "0": False, "b": None}
_SHORT, _LONG = 900, 3_000  # characters of a field: of a question or a committed answer, of free text

Labels = dict[Name, Label]


def fill(
    subjects: Sequence[Subject],
    labels: Labels,
    keys: Iterable[str],
    show: Callable[[Subject, int], None],
    save: Callable[[Labels], None],
) -> int:
    """Ask for the verdicts that `labels` lacks, key by key, until all are there or the labeller quits.

    Args:
        labels: changed in place, and saved after every key that changes them.
        keys: single characters; their end is a quit.
        show: puts a subject before the labeller, with the number of those left.

    Returns:
        How many of the subjects have no label yet.
    """
    open_ = [subject for subject in subjects if subject.name not in labels]
    at = 0
    pressed = iter(keys)
    while at < len(open_):
        subject = open_[at]
        show(subject, len(open_) - at)
        key = next((key for each in pressed if (key := each.lower()) in "10bsuq"), "q")
        if key == "q":
            break
        if key == "u":
            at = max(at - 1, 0)
            if labels.pop(open_[at].name, None) is not None:
                save(labels)
            continue
        if key in _VERDICTS:
            labels[subject.name] = label_of(subject, _VERDICTS[key])
            save(labels)
        at += 1
    return sum(subject.name not in labels for subject in subjects)


def label_of(subject: Subject, correct: bool | None) -> Label:
    """A verdict on this very answer; None if it is borderline."""
    return Label(*subject.name, key=subject.key, correct=correct)


def card(subject: Subject, left: int) -> RenderableType:
    """A subject for the terminal; nothing in somebody else's text reaches it as a command."""
    free_text = subject.case.task == "free_text"
    parts = [
        ("Question", shortened(subject.case.question, _SHORT)),
        ("Reference" if free_text else "Gold answer", shortened(subject.case.reference, _LONG)),
    ]
    if not free_text:
        parts.append(("Found as its answer", shortened(subject.extracted, _SHORT) or "-"))
    parts.append(("Answer" if free_text else "End of the answer", answer_shown(subject)))
    panels = [Panel(Text(printable(text)), title=title, title_align="left") for title, text in parts]
    head = Text(f"{subject.benchmark}: {left} left", style="bold")
    return Group(head, *panels, Text(LEGEND, style="bold"))


def answer_shown(subject: Subject) -> str:
    """What a labeller reads of an output: the end of what follows the reasoning, of free text most of it."""
    text = subject.case.answer
    answer = text[answer_start(text) or 0 :].strip()
    if subject.case.task == "free_text":
        return shortened(answer, _LONG)
    return answer if len(answer) <= _SHORT else "[…]" + answer[-_SHORT:]


def shortened(text: str, cap: int) -> str:
    """At most `cap` characters: the first and the last ones of a longer text."""
    if len(text) <= cap:
        return text
    half = cap // 2
    return f"{text[:half]} […{len(text) - 2 * half} characters…] {text[-half:]}"


def printable(text: str) -> str:
    """`text` with its lines, and nothing else in it that a terminal would act upon or not show."""
    lines = text.replace("\t", "    ").split("\n")
    return "\n".join(
        "".join(c if c.isprintable() else "�" for c in line.removesuffix("\r")) for line in lines
    )


def shower(console: Console) -> Callable[[Subject, int], None]:
    """Shows subjects on a console, each on a clean screen."""

    def show(subject: Subject, left: int) -> None:
        console.clear()
        console.print(card(subject, left))

    return show


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


_POLL_SECONDS = 0.02


@contextmanager
def keys() -> Iterator[Iterator[str]]:
    """The characters typed on standard input, without Enter; the terminal is as it was afterwards.

    Ctrl-C interrupts as ever. Ctrl-D and a closed terminal end the iterator. Arrow keys and the like, such as
    ESC [1;5C, are no characters: their digits are no verdicts.

    Raises:
        UserError: standard input is not a terminal.
    """
    from prompt_toolkit.input import create_input

    if not sys.stdin.isatty():
        raise UserError("label: standard input is not a terminal: use out=FILE.csv and in=FILE.csv")
    terminal = create_input(sys.stdin)
    with terminal.raw_mode():
        yield _typed(terminal)


def _typed(terminal: Input) -> Iterator[str]:
    from prompt_toolkit.keys import Keys

    while not terminal.closed and sys.stdin.isatty():
        pressed = terminal.read_keys()
        for press in pressed:
            if press.key == Keys.ControlC:
                raise KeyboardInterrupt
            if press.key == Keys.ControlD:
                return
            if press.key == Keys.BracketedPaste:
                yield from press.data
            elif len(press.key) == 1:
                yield press.key
        if not pressed:
            time.sleep(_POLL_SECONDS)
