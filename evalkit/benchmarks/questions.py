"""Questions of one's own: a table with a column for the question and one for the answer, and no code.

CSV, TSV, JSON, JSON lines, Parquet and Excel files, or a split of a data set on the hub. Columns are known
by their names, in English or Chinese, or named in the settings. What kind of answer a question has (a
number, one of its options, yes or no, one of a set of labels, or free text) is told by a column or by the
settings, or inferred from its answer. A whole table is read before anything is asked, so that every error is
one line with the row's number before an engine starts.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator

from evalkit.benchmarks import Unit
from evalkit.benchmarks.prompts import render
from evalkit.benchmarks.sources import Record, Stream, content_id, load_rows, open_table
from evalkit.config.checks import ByFileName
from evalkit.config.settings import BenchmarkSettings, HubSettings
from evalkit.files import BENCHMARKS
from evalkit.schema import (
    ChoiceGold,
    Example,
    Gold,
    GoldKind,
    LabelGold,
    Message,
    NumberGold,
    TextGold,
    UserError,
    YesNoGold,
    nearest,
)
from evalkit.scoring.numbers import quantities
from evalkit.scoring.text import fold

IDS: Literal["upstream", "content"] = "content"

MOST_ROWS = 200_000
LETTERS = "ABCDEFGH"
MOST_LABELS = 20
_INFERRED_LABELS = 6
_ROWS_A_LABEL = 3  # so many rows a label on average, or short answers are free text
_LABEL_CHARS = 40
SAMPLE = "questions.csv"
"""Of benchmarks/questions/sample/: what is asked where no file is given."""

Field_ = Literal["question", "answer", "context", "options", "id", "group", "kind"]
# What people call these columns, the likeliest first; compared in lower case, "_" for blanks and hyphens.
_NAMES: dict[Field_, tuple[str, ...]] = {
    "question": ("question", "query", "prompt", "instruction", "input", "q", "问题", "题目", "提问"),
    "answer": (
        *("answer", "gold", "target", "label", "reference", "ground_truth", "expected", "correct_answer"),
        *("response", "output", "a", "答案", "标准答案", "参考答案", "标签"),
    ),
    "context": ("context", "passage", "document", "background", "page", "text", "材料", "上下文", "背景"),
    "options": ("options", "choices", "选项"),
    "id": ("id", "question_id", "qid", "uid", "编号", "序号"),
    "group": ("group", "document_id", "doc_id", "page_id", "filename", "source", "分组", "文件"),
    "kind": ("kind", "answer_kind", "type", "类型", "题型"),
}
_YES_NO = {
    **dict.fromkeys(("yes", "true", "是", "对", "正确"), True),
    **dict.fromkeys(("no", "false", "否", "错", "错误"), False),
}
_KINDS: dict[str, GoldKind] = {
    **{kind: kind for kind in ("number", "choice", "yes_no", "label", "text")},
    **{"yes/no": "yes_no", "yesno": "yes_no", "boolean": "yes_no", "free_text": "text", "options": "choice"},
    **{
        "数字": "number",
        "选择": "choice",
        "单选": "choice",
        "判断": "yes_no",
        "标签": "label",
        "文本": "text",
    },
}


class Settings(BenchmarkSettings):
    """configs/benchmark/questions.yaml

    `file` is a path, or hf:OWNER/DATASET[:SPLIT]; null: the bundled sample. `columns` maps fields to the
    file's columns where their names do not tell. `answers` is the kind of every answer; null: by row.
    `labels` is the closed set for answers of kind label; none given: those that occur.
    """

    file: ByFileName[str | None] = None
    columns: dict[Field_, str | None] = Field(default_factory=dict)
    answers: GoldKind | None = None
    labels: Annotated[list[str], Field(max_length=MOST_LABELS)] = Field(default_factory=list)
    language: Literal["en", "zh"] | None = None

    @field_validator("file")
    @classmethod
    def _wherever_it_is_read_from(cls, file: str | None) -> str | None:
        """The run's folder keeps it: `score` in another directory must find it."""
        return file if file is None or file.startswith("hf:") else str(Path(file).expanduser().absolute())


@dataclass(frozen=True, slots=True)
class Table:
    """A whole file of questions: its records, which column is what, and its closed set of labels, if any."""

    records: tuple[Record, ...]
    columns: Mapping[Field_, str]
    letters: Mapping[str, str]  # option letter -> column
    labels: tuple[str, ...]
    provenance: Mapping[str, object]


def open_source(settings: BenchmarkSettings) -> Stream:
    """The records of the file, and where they are from; each checked.

    Raises:
        UserError: the file or a row of it is not what questions look like.
    """
    assert isinstance(settings, Settings)
    table = read_table(settings)
    read = [
        Record(record.file, record.place, record.number, {"question": _question(record, settings, table)})
        for record in table.records
    ]
    return Stream(iter(read), dict(table.provenance))


def read_table(settings: Settings) -> Table:
    """The whole file of `settings`.

    Raises:
        UserError: it cannot be read, has no rows, or no column for the question or the answer.
    """
    where = settings.file or str(BENCHMARKS / "questions" / "sample" / SAMPLE)
    stream = _hub(where) if where.startswith("hf:") else open_table(Path(where).expanduser())
    records: list[Record] = []
    for record in stream.records:
        if len(records) == MOST_ROWS:
            raise UserError(f"{where}: more than {MOST_ROWS:,} rows: split the file")
        if any(_cell(value) for value in record.data.values()):
            records.append(record)
    if not records:
        raise UserError(f"{where}: it has no rows: give one question a row, with columns question and answer")
    names = list(dict.fromkeys(name for record in records for name in record.data))
    given = {wanted: column for wanted, column in settings.columns.items() if column is not None}
    columns = _columns(where, names, given)
    letters = {} if "options" in columns else _letters(names, set(columns.values()))
    table = Table(tuple(records), columns, letters, (), stream.provenance)
    _check_ids(table)
    return replace(table, labels=_labels(settings, table))


def _hub(where: str) -> Stream:
    repo, _, split = where.removeprefix("hf:").partition(":")
    if not re.fullmatch(r"[\w.-]{1,96}(?:/[\w.-]{1,96})?", repo):
        raise UserError(f"{where}: write hf:OWNER/DATASET or hf:OWNER/DATASET:SPLIT")
    hub = HubSettings(kind="datasets", repo=repo, revision=None)
    return Stream(*load_rows(hub, split or "test"))


def _columns(where: str, names: Sequence[str], given: Mapping[Field_, str]) -> dict[Field_, str]:
    for wanted, column in given.items():
        if column not in names:
            raise UserError(
                f"{where}: columns.{wanted}={column}: it has no such column.{nearest(column, names)} "
                f"It has {', '.join(map(repr, names[:20]))}"
            )
    known = {re.sub(r"[\s-]+", "_", name.strip().lower()): name for name in reversed(names)}
    found = dict(given)
    for wanted, words in _NAMES.items():
        taken = set(found.values())
        free = (known[word] for word in words if word in known and known[word] not in taken)
        # "A" is an option wherever there is a "B".
        likely = [name for name in free if not (name.strip() in ("A", "a") and "b" in known)]
        if wanted not in found and likely:
            found[wanted] = likely[0]
    for needed in ("question", "answer"):
        if needed not in found:
            raise UserError(
                f"{where}: none of its columns is the {needed} by its name: name it with "
                f"benchmark.NAME.columns.{needed}=COLUMN. It has {', '.join(map(repr, names[:20]))}"
            )
    return found


def _letters(names: Sequence[str], taken: set[str]) -> dict[str, str]:
    """Columns A, B, … or option_a, option_b, … or 选项A, 选项B, …, as far as they go without a gap."""
    by_letter: dict[str, str] = {}
    for name in names:
        match = re.fullmatch(r"(?:option|choice|选项)?[\s_-]?([a-h])", name.strip(), re.IGNORECASE)
        if match and name not in taken:
            by_letter.setdefault(match[1].upper(), name)
    letters = {}
    for letter in LETTERS:
        if letter not in by_letter:
            break
        letters[letter] = by_letter[letter]
    return letters if len(letters) > 1 else {}


def _check_ids(table: Table) -> None:
    column = table.columns.get("id")
    if column is None:
        return
    first: dict[str, Record] = {}
    for record in table.records:
        name = _text(record, column)
        other = first.setdefault(name, record)
        if other is not record and name:
            raise UserError(
                f"{record.where}: id {name!r} is that of {other.place} {other.number} too: ids must be unique"
            )


def _labels(settings: Settings, table: Table) -> tuple[str, ...]:
    """The closed set of labels: given, or those that occur where the answers are labels, or look like it."""
    if settings.labels:
        return tuple(settings.labels)
    if settings.answers not in (None, "label"):
        return ()
    told = table.columns.get("kind")
    among = [
        answer
        for record in table.records
        if (answer := _text(record, table.columns["answer"]))
        and (settings.answers or not told or _KINDS.get(_text(record, told).lower()) == "label")
        and not _options(record, table)
    ]
    counts = Counter(among)
    if settings.answers == "label" or told:
        if len(counts) > MOST_LABELS:
            raise UserError(
                f"{table.records[0].file}: {len(counts)} different answers are too many for labels "
                f"(at most {MOST_LABELS}): give labels=[A,B], or answers=text"
            )
        return tuple(sorted(counts))
    plain = all(number_in(each) is None and each.lower() not in _YES_NO for each in counts)
    short = all(len(each) <= _LABEL_CHARS for each in counts)
    often = len(among) >= _ROWS_A_LABEL * len(counts)
    few = 2 <= len(counts) <= _INFERRED_LABELS
    return tuple(sorted(counts)) if plain and short and often and few else ()


@dataclass(frozen=True, slots=True)
class Question:
    """One row as it is asked. `name` is its id, or a hash of its content; `answer` the cell of its gold."""

    name: str
    group: str
    text: str
    context: str
    options: dict[str, str]
    kind: GoldKind
    answer: str
    gold: Gold
    language: Literal["en", "zh"]


def unit(record: Record, settings: Settings) -> Unit | None:
    """The question of one row of `open_source`; None where it has no answer."""
    question: Question | None = record.data["question"]
    if question is None:
        return None
    return Unit(question.name, question.group, 1, lambda: [_example(question, settings)])


def questions(settings: Settings, table: Table) -> list[Question]:
    """Every question of a file that has an answer, in the file's order.

    Raises:
        UserError: as `open_source`.
    """
    found = (_question(record, settings, table) for record in table.records)
    return [question for question in found if question is not None]


def prompt_of(question: Question, settings: Settings) -> str:
    """What the model is asked."""
    labels = question.gold.labels if isinstance(question.gold, LabelGold) else ()
    return render(
        "questions",
        settings.prompt,
        question=question.text,
        context=question.context,
        options=question.options,
        kind=question.kind,
        labels=list(labels),
        language=question.language,
    )


def _example(question: Question, settings: Settings) -> Example:
    return Example(
        benchmark=settings.name,
        id=question.name,
        messages=(Message("user", prompt_of(question, settings)),),
        gold=question.gold,
        group=question.group,
        facets={"answer_kind": question.kind, "language": question.language},
        question=question.text,
        context=question.context,
    )


def _question(record: Record, settings: Settings, table: Table) -> Question | None:
    """The question of a row; None where it has no answer. Raises UserError for a malformed row."""
    columns = table.columns
    text, answer = _text(record, columns["question"]), _text(record, columns["answer"])
    if not answer:
        return None
    if not text:
        raise record.error(columns["question"], "a question")
    context = _text(record, columns["context"]) if "context" in columns else ""
    options = _options(record, table)
    kind = _kind(record, answer, options, settings, table)
    gold = _gold(record, kind, text, answer, options, table)
    own = _text(record, columns["id"]) if "id" in columns else ""
    name = own or content_id(context, text, *options.values(), answer)
    group = _text(record, columns["group"]) if "group" in columns else ""
    shared = content_id(context) if context else name
    language = settings.language or ("zh" if re.search("[\u4e00-\u9fff]", text) else "en")
    return Question(name, group or shared, text, context, options, kind, answer, gold, language)


def _cell(value: object) -> str:
    """A cell as text: spreadsheets and JSON hold numbers and booleans, too."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int) or (isinstance(value, float) and value == value):
        return f"{value:.15g}" if isinstance(value, float) else str(value)
    return ""


def _text(record: Record, column: str) -> str:
    value = record.data.get(column)
    if isinstance(value, list | dict):
        raise record.error(column, "a text or a number")
    text = _cell(value)
    if isinstance(value, str) and text:
        record.text(column)  # half a surrogate pair is no text
    return text


def _options(record: Record, table: Table) -> dict[str, str]:
    """Letter to text; {} where the row has none."""
    column = table.columns.get("options")
    if column is None:
        return {letter: text for letter, name in table.letters.items() if (text := _text(record, name))}
    value = record.data.get(column)
    if isinstance(value, str) and value.strip():
        try:
            value = json.loads(value)
        except (ValueError, RecursionError) as error:
            raise record.error(column, 'a JSON list: ["first", "second"]') from error
    if not value:
        return {}
    if isinstance(value, Mapping):
        value = list(value.values())
    if not (isinstance(value, list) and 2 <= len(value) <= len(LETTERS) and all(map(_cell, value))):
        raise record.error(column, f"2 to {len(LETTERS)} options")
    return dict(zip(LETTERS, map(_cell, value), strict=False))


def _kind(
    record: Record, answer: str, options: Mapping[str, str], settings: Settings, table: Table
) -> GoldKind:
    if settings.answers is not None:
        return settings.answers
    column = table.columns.get("kind")
    told = _text(record, column).lower() if column else ""
    if told in _KINDS:
        return _KINDS[told]
    if told and column is not None and settings.columns.get("kind"):
        raise record.error(column, "number, choice, yes_no, label or text")
    if options:
        return "choice"
    if answer in table.labels:
        return "label"
    if answer.lower() in _YES_NO:
        return "yes_no"
    return "number" if number_in(answer) is not None else "text"


def _gold(
    record: Record, kind: GoldKind, question: str, answer: str, options: dict[str, str], table: Table
) -> Gold:
    column = table.columns["answer"]
    if kind == "choice":
        letter = _letter(answer, options)
        if letter is None:
            raise record.error(column, f"one of the row's options ({', '.join(options) or 'it has none'})")
        return ChoiceGold(letter, options)
    if kind == "yes_no":
        if answer.lower() not in _YES_NO:
            raise record.error(column, "yes or no")
        return YesNoGold(_YES_NO[answer.lower()], question=question)
    if kind == "label":
        label = next((each for each in table.labels if each.lower() == answer.lower()), None)
        if label is None:
            raise record.error(column, f"one of the labels ({', '.join(table.labels)})")
        return LabelGold(label, table.labels)
    if kind == "number":
        value = number_in(answer)
        if value is None:
            raise record.error(column, "a number, perhaps with its unit")
        return NumberGold(value, question=question, answer=answer)
    return TextGold(answer)


def _letter(answer: str, options: Mapping[str, str]) -> str | None:
    """The option that an answer names: by its letter, `B`, `b)` or `(B)`, or by its whole text."""
    letter = answer.strip("().:：、。 ").upper()
    if letter in options:
        return letter
    same = [letter for letter, text in options.items() if text == answer]
    return same[0] if len(same) == 1 else None


_NUMBER_CHARS = 60


def number_in(answer: str) -> float | None:
    """The value of an answer that is one number with its unit and nothing else; a percentage as a decimal."""
    text = fold(answer)
    if len(text) > _NUMBER_CHARS:
        return None
    found = quantities(text)
    if len(found) != 1:
        return None
    around = text[: found[0].start] + text[found[0].end :]
    if re.sub(r"[\s$€£¥%()+-]|元|美元|港元|欧元|人民币|US|USD|RMB|CNY|EUR|HKD|GBP|dollars?|yuan", "", around):
        return None
    return found[0].value / 100 if found[0].percent else found[0].value
