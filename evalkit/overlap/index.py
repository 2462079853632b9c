"""An index of the n-grams of evaluated examples, and a training file as the texts to look them up in.

What of an evaluated example is its own is its question and its page, without the prompt template's words:
these are in every prompt and in no training file. A record does not hold the page apart (and an older one not
the question), so there the template's literal text is taken out of the prompt.

Punctuation, case and white space do not count (Brown et al. 2020, arXiv 2005.14165, appendix C). Chinese has
no blanks between words, so every CJK character is a word. Single letters are left out: options are labelled
in some files and not in others.

A training file (.jsonl, .json, .csv, .txt) is one text a record, whatever its columns are called. It is read
as a stream, and no record of more than 16 MiB: memory does not grow with the file.
"""

from __future__ import annotations

import csv
import io
import json
import re
import unicodedata
from array import array
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from evalkit.config.extensions import benchmark_folder
from evalkit.config.overrides import names
from evalkit.run.info import Run
from evalkit.schema import ChoiceGold, Example, Gold, Item, UserError

_SHORTEST_LITERAL = 9  # characters: "Question:"; shorter ones are words that a page may have as well


@dataclass(frozen=True, slots=True)
class EvaluatedExample:
    """One example: `question` is what it asks, with the options to choose from.

    `page` is what it asks that of, "" if there is nothing. `item` has its answers and scores; None if it was
    not run.
    """

    benchmark: str
    id: str
    turn: int | None
    group: str
    question: str
    page: str
    item: Item | None = None


def from_examples(examples: Iterable[Example]) -> list[EvaluatedExample]:
    """The examples of a benchmark, not run."""
    return [
        EvaluatedExample(
            example.benchmark,
            example.id,
            example.turn,
            example.group,
            _with_options(example.question, _options(example.gold)),
            example.context,
        )
        for example in examples
    ]


def from_run(run: Run) -> list[EvaluatedExample]:
    """The examples of a run."""
    return [_from_item(item) for item in run.items]


def _from_item(item: Item) -> EvaluatedExample:
    prompt = item.samples[0].messages
    question, page = _own(item.benchmark, [content for role, content in prompt if role == "user"])
    if item.question:
        question = _with_options(item.question, item.choices.values())
    return EvaluatedExample(item.benchmark, item.id, item.turn, item.group, question, page, item)


def _options(gold: Gold) -> Iterable[str]:
    return gold.options.values() if isinstance(gold, ChoiceGold) else ()


def _with_options(question: str, options: Iterable[str]) -> str:
    return "\n".join([question, *(option for option in options if option)])


def _own(benchmark: str, messages: Sequence[str]) -> tuple[str, str]:
    """Question and page: the last own text of the last message, and what is before it in the first one."""
    if not messages:
        return "", ""
    question = _pieces(benchmark, messages[-1])[-1:]
    page = _pieces(benchmark, messages[0])[:-1]
    return "\n".join(question), "\n".join(page)


def _pieces(benchmark: str, text: str) -> list[str]:
    """The stretches of a prompt that are not the template's."""
    literal, label = _template(benchmark)
    pieces = [label.sub("", piece).strip() for piece in literal.split(text)]
    return [piece for piece in pieces if piece]


@cache
def _template(benchmark: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """What the benchmark's templates say: anywhere if it is long, else as the label of a line (题目：)."""
    from jinja2 import Environment

    found: set[str] = set()
    # A record names its benchmarks itself: only those that can be named here have templates.
    files = benchmark_folder(benchmark).glob("*.jinja") if benchmark in names("benchmark") else []
    for file in files:
        for _, kind, value in Environment().lex(file.read_text(encoding="utf-8")):
            if kind in ("data", "string"):
                found.add((value[1:-1] if kind == "string" else value).strip())
    long = {text for text in found if len(text) >= _SHORTEST_LITERAL}
    labels = {text.rstrip(":：") for text in found - long} - {""}
    return re.compile(_any_of(long)), re.compile(rf"(?m)^(?:{_any_of(labels)})[:：]")


def _any_of(texts: Iterable[str]) -> str:
    """A pattern for any of the texts, the longest first; one that never matches if there are none."""
    return "|".join(map(re.escape, sorted(texts, key=lambda text: (-len(text), text)))) or r"(?!)"


Ids = NDArray[np.intp]


Hashes = NDArray[np.uint64]


@dataclass(frozen=True, slots=True)
class _Grams:
    """All n-grams of one length, sorted, each with the text that has it."""

    hashes: Hashes
    owners: Ids


class Index:
    """Texts by their n-grams; a text of fewer than n words is one gram of all its words.

    Memory is 16 bytes a gram: it depends on the indexed texts alone.
    """

    def __init__(self, texts: Sequence[Words], n: int) -> None:
        self._totals = np.zeros(len(texts), dtype=np.intp)
        by_length: dict[int, list[tuple[Hashes, int]]] = {}
        for number, text in enumerate(texts):
            length = min(n, len(text))
            if length:
                own = grams(text, length)
                self._totals[number] = len(own)
                by_length.setdefault(length, []).append((own, number))
        self._grams = {length: _joined(members) for length, members in by_length.items()}

    def lengths(self) -> list[int]:
        """The lengths of the indexed grams, in words, ascending."""
        return sorted(self._grams)

    def shares(self, text: Words, lengths: Iterable[int]) -> dict[int, float]:
        """By number of an indexed text: the share of its n-grams that `text` has, where it has any.

        Args:
            lengths: only the texts whose grams have one of these lengths.
        """
        found: dict[int, float] = {}
        for length in lengths:
            owners = _owners(self._grams[length], grams(text, length))
            numbers, counts = np.unique(owners, return_counts=True)
            found.update(zip(numbers.tolist(), (counts / self._totals[numbers]).tolist(), strict=True))
        return found

    def lines(self, text: Words, lengths: Iterable[int]) -> list[int]:
        """The indexed texts of one of these lengths that are a whole line of `text`, by their numbers.

        Args:
            lengths: in words, below the index's n.
        """
        return [
            int(number)
            for length in lengths
            for number in _owners(self._grams[length], short_lines(text, length))
        ]


def _joined(members: Sequence[tuple[Hashes, int]]) -> _Grams:
    hashes = np.concatenate([own for own, _ in members])
    owners = np.repeat([number for _, number in members], [len(own) for own, _ in members])
    order = np.argsort(hashes, kind="stable")
    return _Grams(hashes[order], owners[order])


def _owners(indexed: _Grams, found: Hashes) -> Ids:
    """The owners of every indexed gram that is among the distinct `found`."""
    first = np.searchsorted(indexed.hashes, found, side="left")
    counts = np.searchsorted(indexed.hashes, found, side="right") - first
    first, counts = first[counts > 0], counts[counts > 0]
    # Of each run of equal grams: its places, one after another.
    begins = np.cumsum(counts) - counts
    places: Ids = np.repeat(first - begins, counts) + np.arange(counts.sum())
    return np.take(indexed.owners, places)


_CJK = r"\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
# Words are cut at 64 characters: NFKC makes some characters 18 times as long.
_WORD = re.compile(rf"\n|[{_CJK}]|[^\W_{_CJK}]{{1,64}}")
_FACTOR = np.uint64(0x9E3779B97F4A7C15)  # odd, so that no gram of a word's hashes loses bits


@dataclass(frozen=True, slots=True)
class Words:
    """The words of a text as 64-bit hashes, the same within one process, and where lines with words begin."""

    hashes: Hashes
    lines: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.hashes)


def words_of(text: str) -> Words:
    """The words of a text: NFKC, lower case, without single Latin letters."""
    lines = array("q")
    hashes = np.fromiter(_hashes(text, lines), dtype=np.int64).view(np.uint64)
    return Words(hashes, np.array(lines, dtype=np.int64))


def _hashes(text: str, lines: array[int]) -> Iterator[int]:
    count, begins = 0, True
    for match in _WORD.finditer(text):
        word = match.group()
        if word == "\n":
            begins = True
            continue
        if not word.isascii():
            word = unicodedata.normalize("NFKC", word)
        elif len(word) == 1 and not word.isdigit():
            continue
        if begins:
            lines.append(count)
            begins = False
        count += 1
        yield hash(word.lower())


def grams(words: Words, n: int) -> Hashes:
    """The distinct n-grams of a text as hashes, sorted; none if there are fewer than n words."""
    return _grams(words, np.arange(max(len(words) - n + 1, 0)), n)


def short_lines(words: Words, n: int) -> Hashes:
    """The distinct lines of exactly n words, hashed as `grams` does."""
    lengths = np.diff(words.lines, append=len(words))
    return _grams(words, words.lines[lengths == n], n)


def _grams(words: Words, places: NDArray[np.int64], n: int) -> Hashes:
    """The n-grams that begin at these places."""
    found = words.hashes[places]
    for offset in range(1, n):
        found *= _FACTOR
        found += words.hashes[places + offset]
    return np.unique(found)


MAX_RECORD = 16 << 20
"""Bytes of a record; in .json characters."""

WINDOW = 1 << 20
REPEATED = 1 << 16
"""Plain text has no records: it is read in windows of so many characters, each after the end of the last."""

_BLANKS = re.compile(r"[ \t\r\n]*")


def texts(path: Path) -> Iterator[str]:
    """The text of every record: all its strings and numbers, in the file's order, a line each.

    Raises:
        UserError: the file cannot be read, is empty, broken, not UTF-8, of another kind, or has a record
            that is too long.
    """
    nothing = True
    readers = {".jsonl": _json_lines, ".json": _json_list, ".csv": _csv_rows, ".txt": _windows}
    read = readers.get(path.suffix.lower())
    if read is None:
        raise UserError(f"{path}: give a training file that ends in {', '.join(readers)}")
    try:
        with path.open("rb") as file:
            if file.read(3) != b"\xef\xbb\xbf":
                file.seek(0)
            for text in read(path, file):
                nothing = False
                yield text
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 ({error.reason}): convert the file to UTF-8") from error
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror or error}") from error
    if nothing:
        raise UserError(f"{path}: there is no record in it")


def _json_lines(path: Path, file: BinaryIO) -> Iterator[str]:
    for number, line in enumerate(_lines(path, file), start=1):
        if text := line.decode().strip():
            try:
                value = json.loads(text)
            except (ValueError, RecursionError) as error:
                raise _not_json(f"{path}: line {number}", error) from error
            yield _flat(value)


def _lines(path: Path, file: BinaryIO) -> Iterator[bytes]:
    number = 1
    while line := file.readline(MAX_RECORD + 1):
        if len(line) > MAX_RECORD:
            raise UserError(f"{path}: line {number} is longer than {MAX_RECORD >> 20} MiB: one record a line")
        yield line
        number += 1


def _json_list(path: Path, file: BinaryIO) -> Iterator[str]:
    """The items of a JSON list, one after another: the list is never held as a whole."""
    ahead = _Ahead(file)
    if ahead.sign() != "[":
        raise UserError(f"{path}: not a JSON list of records: write one record a line, as .jsonl")
    number = 0
    while ahead.sign() in ("[", ","):
        ahead.at += 1
        if number == 0 and ahead.sign() == "]":
            return
        number += 1
        yield _flat(ahead.item(f"{path}: record {number}"))
    if ahead.sign() != "]":
        raise UserError(f"{path}: not valid JSON after record {number}: is the file complete?")


class _Ahead:
    """The part of a JSON file that was read and not yet decoded: `text` from `at` on."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = io.TextIOWrapper(file, encoding="utf-8")
        self._decoder = json.JSONDecoder()
        self.text, self.at = "", 0

    def sign(self) -> str:
        """The next character that is not blank, '' at the end of the file; `at` is moved to it."""
        while True:
            self.at = _BLANKS.match(self.text, self.at).end()  # type: ignore[union-attr]  # matches anything
            if self.at < len(self.text) or not self._more():
                return self.text[self.at : self.at + 1]

    def item(self, where: str) -> Any:  # noqa: ANN401 - JSON is of any type
        """The value that begins at `at`, after blanks; `at` is moved behind it."""
        self.sign()
        while True:
            try:
                value, end = self._decoder.raw_decode(self.text, self.at)
            except json.JSONDecodeError:
                end = len(self.text)
            except (ValueError, RecursionError) as error:
                raise _not_json(where, error) from error
            # A number at the end of what was read may go on.
            if end < len(self.text):
                self.at = end
                return value
            if len(self.text) - self.at > MAX_RECORD or not self._more():
                raise UserError(f"{where}: not valid JSON, cut off, or longer than {MAX_RECORD >> 20} MiB")

    def _more(self) -> bool:
        # As much again as is waiting: a long item is not decoded from its beginning too often.
        rest = self.text[self.at :]
        more = self._file.read(max(WINDOW, len(rest)))
        self.text, self.at = rest + more, 0
        return bool(more)


def _not_json(where: str, error: Exception) -> UserError:
    """Also for integers of thousands of digits, and nesting without end."""
    return UserError(f"{where}: not valid JSON ({type(error).__name__}): is the file complete?")


def _flat(value: Any) -> str:  # noqa: ANN401 - JSON is of any type
    """The strings and numbers in a JSON value, in order, a line each."""
    found: list[str] = []
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if isinstance(item, dict):
            waiting.extend(reversed(item.values()))
        elif isinstance(item, list):
            waiting.extend(reversed(item))
        elif isinstance(item, str):
            found.append(item)
        elif isinstance(item, int | float) and not isinstance(item, bool):
            found.append(repr(item))
    return "\n".join(found)


def _csv_rows(path: Path, file: BinaryIO) -> Iterator[str]:
    pending = 0

    def lines() -> Iterator[str]:
        nonlocal pending
        for line in _lines(path, file):
            pending += len(line)
            if pending > MAX_RECORD:
                raise UserError(
                    f"{path}: a row is longer than {MAX_RECORD >> 20} MiB: is a quote not closed?"
                )
            yield line.decode()

    before = csv.field_size_limit(MAX_RECORD)
    try:
        for row in csv.reader(lines(), strict=True):
            pending = 0
            yield "\n".join(row)
    except csv.Error as error:
        raise UserError(f"{path}: not valid CSV ({error}): is the file complete?") from error
    finally:
        csv.field_size_limit(before)


def _windows(_: Path, file: BinaryIO) -> Iterator[str]:
    text = io.TextIOWrapper(file, encoding="utf-8")
    tail = ""
    while window := text.read(WINDOW):
        yield tail + window
        tail = window[-REPEATED:]
