"""Text for readers: Markdown, CSV cells, terminal lines, and numbers as people write them.

Model output, data, file names and the heads of records are somebody else's text. In Markdown they appear only
as code spans, in CSV as cells that no spreadsheet runs, on a terminal as one line that moves no cursor.
"""

from __future__ import annotations

import json
import math
import re
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, TextIO
from urllib.parse import urlsplit

from evalkit.schema import Estimate, Key, UserError

if TYPE_CHECKING:
    from pydantic import ValidationError
    from rich.console import Console
    from rich.table import Table

CAP = 60


def code(text: str, cap: int = CAP) -> str:
    """`text` as a code span that is safe in a table cell; at most `cap` characters and an ellipsis.

    Control, bidirectional and other invisible characters become `�`, blanks become one space. A pipe becomes
    `¦`: GitHub splits table cells before it sees the code span.
    """
    # Cutting first bounds the work; runs of blanks can only make the result shorter than the cap.
    shown = " ".join(text[: 4 * cap].split())
    cut = len(shown) > cap or len(text) > 4 * cap
    shown = "".join(_visible(character) for character in shown[:cap]) + ("…" if cut else "")
    if not shown:
        return "-"
    fence = "`" * (_longest_run(shown, "`") + 1)
    pad = " " if shown[0] == "`" or shown[-1] == "`" else ""
    return f"{fence}{pad}{shown}{pad}{fence}"


# Letters, digits and marks that mean nothing to Markdown or HTML; an underscore only inside a word.
_PLAIN = re.compile(r"[^\W_](?:[\w .,;()%/+→=-]|: )*")


def plain(text: str, cap: int = CAP) -> str:
    """`text` as it is where nothing in it could be read as Markdown or HTML, else as a code span."""
    harmless = _PLAIN.fullmatch(text) and len(text) <= cap and text == " ".join(text.split())
    link = "www." in text.lower() or "//" in text
    underscores = re.search(r"_(?![^\W_])|(?<![^\W_])_", text)
    return text if harmless and not link and not underscores else code(text, cap)


def _visible(character: str) -> str:
    if character == "|":
        return "¦"
    return "�" if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn") else character


def _longest_run(text: str, character: str) -> int:
    longest = run = 0
    for each in text:
        run = run + 1 if each == character else 0
        longest = max(longest, run)
    return longest


def table(header: Sequence[str], rows: Iterable[Sequence[str]], text_columns: int = 1) -> str:
    """A GitHub table from cells that are Markdown already; columns after the first ones align right."""
    marks = [" --- " if index < text_columns else " ---: " for index in range(len(header))]
    lines = ["| " + " | ".join(row) + " |" for row in [header, *rows]]
    return "\n".join([lines[0], "|" + "|".join(marks) + "|", *lines[1:]])


def percent(estimate: Estimate | None) -> str:
    """`45.0 [38.9, 51.2]`: per cent with the 95 % interval, `45.0` where that is unknown, `-` for nothing."""
    if estimate is None:
        return "-"
    value = tenths(estimate.value)
    if estimate.error is None:
        return value
    return f"{value} [{tenths(estimate.low)}, {tenths(estimate.high)}]"


def change(estimate: Estimate | None) -> str:
    """`-3.1 [-5.0, -1.2]`: points with the 95 % interval, `-3.1` where that is unknown, `-` for nothing."""
    if estimate is None:
        return "-"
    value = tenths(estimate.value, "+")
    if estimate.error is None:
        return value
    return f"{value} [{tenths(estimate.low, '+')}, {tenths(estimate.high, '+')}]"


def tenths(fraction: float, sign: str = "") -> str:
    """A fraction of 1 in per cent or points: `45.0`; with `sign="+"`, `-3.1`."""
    # Adding zero turns -0.0, which would print as -0.0, into 0.0.
    shown = round(100 * fraction, 1) + 0.0
    return f"{shown:{sign if shown else ''}.1f}"


def rate(value: float | None, interval: tuple[float, float], n: int) -> str:
    """`12 % [5, 25] of 40`; `-` where nothing was counted."""
    if value is None or not n:
        return "-"
    low, high = interval
    return f"{100 * value:.0f} % [{100 * low:.0f}, {100 * high:.0f}] of {n}"


def share(count: int, of: int) -> str:
    """`12 (4.0 %)`"""
    return f"{count} ({100 * count / of:.1f} %)" if of else str(count)


def cell(text: str) -> str:
    """`text` for a CSV that may be opened in a spreadsheet: no formula, no NUL, no line end.

    What a spreadsheet would run as a formula gets a leading apostrophe (OWASP, "CSV Injection"), numbers not.
    """
    flat = " ".join(text.replace("\0", "�").split())
    if flat[:1] in ("=", "@") or (flat[:1] in ("+", "-") and flat[1:] and not _is_number(flat)):
        return "'" + flat
    return flat


def safe(value: object) -> object:
    """A cell of any kind: texts as `cell` has them, None as nothing."""
    if value is None:
        return ""
    return cell(value) if isinstance(value, str) else value


def _is_number(text: str) -> bool:
    digits = text[1:].rstrip("%").replace(",", "").replace(".", "", 1)
    return digits.isascii() and digits.isdigit()


_WIDTH_OF_A_FILE = 200


def for_terminal(text: str, stream: TextIO) -> str:
    """`text` as it is; for a terminal that is narrower, its lines broken between words.

    What follows the first word or words of a line and two blanks is a column of its own, as in a help.
    """
    try:
        width = shutil.get_terminal_size().columns if stream.isatty() else 0
    except ValueError:  # a stream that is closed
        width = 0
    return "\n".join(_broken(lines, width) for lines in _paragraphs(text)) if width > 1 else text


_COLUMN = 10  # from here on an indented line goes on with the one above it


def _paragraphs(text: str) -> Iterator[list[str]]:
    """The lines of `text`, those together that are one sentence or one entry of a list."""
    lines: list[str] = []
    for line in text.split("\n"):
        indent = _indent(line)
        goes_on = lines and lines[-1].strip() and line.strip() and indent == _hanging(lines[0])
        if not (goes_on and (indent == 0 or indent >= _COLUMN)):
            if lines:
                yield lines
            lines = []
        lines.append(line)
    yield lines


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _hanging(line: str) -> int:
    """Where the second column of a line begins; its own indent if it has none."""
    column = re.match(r"(\s+\S.*?\s{2,})\S", line)
    return len(column[1]) if column else _indent(line)


def _broken(lines: Sequence[str], width: int) -> str:
    if all(len(line) <= width for line in lines):
        return "\n".join(lines)
    hanging = _hanging(lines[0])
    return textwrap.fill(
        " ".join([lines[0], *(line.strip() for line in lines[1:])]),
        width - 1,
        subsequent_indent=" " * (hanging if hanging <= width // 2 else 4),
        replace_whitespace=False,
        break_long_words=False,
        break_on_hyphens=False,
    )


def write_json(record: object) -> None:
    """Print a typed record as JSON, which is then all that a command prints on standard output.

    Keys are the record's own names. Numbers are not rounded: bytes, seconds, and fractions of 1 where a table
    says per cent. What is not finite is null, a path or a time is its text.
    """
    sys.stdout.write(json.dumps(_jsonable(record), indent=2, allow_nan=False) + "\n")


def _jsonable(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return {each.name: _jsonable(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): _jsonable(each) for key, each in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [_jsonable(each) for each in value]
    if isinstance(value, float | Decimal):
        return float(value) if math.isfinite(value) else None
    return value if value is None or isinstance(value, bool | int | str) else str(value)


def output_console() -> Console:
    """A console on standard output, wide enough for any table if that is a file or a pipe."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE)


_CAP = 80


def shown(value: object) -> str:
    """A setting or an id as it can stand in a one-line message: JSON in ASCII, at most 80 characters."""
    text = json.dumps(value, default=str)
    return text if len(text) <= _CAP else text[:_CAP] + "…"


def named(key: Key) -> str:
    """An example's id and turn in such a message."""
    id_, turn = key
    return shown(id_) if turn is None else f"{shown(id_)} turn {turn}"


def printable(text: str, cap: int = _CAP) -> str:
    """`text` for a terminal: one line, nothing that moves the cursor, at most `cap` characters."""
    # Cutting first bounds the work; runs of blanks can only make the result shorter than the cap.
    flat = " ".join(text[: 4 * cap].split())
    cut = len(flat) > cap or len(text) > 4 * cap
    return "".join(c if c.isprintable() else "�" for c in flat[:cap]) + ("…" if cut else "")


def visible_lines(text: str) -> str:
    """`text` for a terminal with its line ends and tabs: whatever else is no visible character is `�`."""
    lines = text.replace("\r\n", "\n").expandtabs(4).split("\n")
    return "\n".join("".join(c if c.isprintable() else "�" for c in line) for line in lines)


_LINE_CHARS = 400
_LONGEST_WORD = 24  # characters of a table's word that is never broken


def show_table(console: Console, title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table of text; columns after the first two are aligned right."""
    console.print(terminal_table(header, rows, console.width, title=title))


def terminal_table(
    header: Sequence[str],
    rows: Iterable[Sequence[str]],
    width: int,
    *,
    left: Container[int] = range(2),
    title: str = "",
    compact: bool = False,
) -> Table:
    """A table of text for rich that breaks lines between words where `width` characters cannot hold it.

    Args:
        left: the columns that are aligned left.
        compact: without a rule, for a table that has to fit eighty columns.
    """
    from rich.box import SIMPLE_HEAD
    from rich.table import Table
    from rich.text import Text

    cells = [[printable(cell) for cell in row] for row in rows]
    table = Table(title=title or None, title_justify="left", title_style="bold")
    table.box, table.pad_edge = (None, False) if compact else (SIMPLE_HEAD, True)
    between = 2 * len(header) - 2 if compact else 3 * len(header) + 1
    columns = [[name, *(row[index] for row in cells)] for index, name in enumerate(header)]
    widths = column_widths(columns, width - between)
    for index, least in enumerate(widths):
        justify: Literal["left", "right"] = "left" if index in left else "right"
        table.add_column(header[index], justify=justify, overflow="fold", width=least)
    for row in cells:
        table.add_row(*(Text(fitted(cell, widths[index])) for index, cell in enumerate(row)))
    return table


# Between words, and behind the hyphens of a name such as Qwen-2.5-7B-Instruct.
_BREAKS = re.compile(r"(?<=\s)(?=\S)|(?<=\w-)(?=\w)")


def fitted(text: str, width: int) -> str:
    """`text` with line ends where a cell of `width` characters can break it: rich breaks at blanks only."""
    from rich.cells import cell_len

    lines = []
    for line in text.splitlines():
        shown = ""
        for part in _BREAKS.split(line):
            if shown and cell_len((shown + part).rstrip()) > width:
                lines.append(shown.rstrip())
                shown = ""
            shown += part
        lines.append(shown.rstrip())
    return "\n".join(lines)


def column_widths(columns: Sequence[Sequence[str]], available: int) -> list[int]:
    """The width of each column of texts: as wide as its longest line, less where that is more than there is.

    The widest columns give way first, and none breaks a word of ordinary length while another has room.
    """
    from rich.cells import cell_len

    lines = [[line for text in column for line in text.splitlines()] for column in columns]
    widths = [max(map(cell_len, column), default=1) or 1 for column in lines]
    words = [
        max((cell_len(word.strip()) for line in column for word in _BREAKS.split(line)), default=1) or 1
        for column in lines
    ]
    for floors in ([min(word, _LONGEST_WORD) for word in words], [1] * len(words)):
        while sum(widths) > available:
            loose = [index for index, width in enumerate(widths) if width > floors[index]]
            if not loose:
                break
            widths[max(loose, key=lambda index: widths[index])] -= 1
    return widths


def show_names(console: Console, title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Print a table whose first column is what one must type, and is never cut.

    Where the terminal is too narrow, the last columns give way, and a line says which.
    """
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(header, *cells, strict=True)]
    most, needed = len(header), sum(widths) + 2 * len(header)
    if not console.is_terminal and needed > console.width:
        console = Console(width=needed)
    while (
        most > 2 and sum(widths[: most - 1]) + min(widths[most - 1], _LONGEST_WORD) + 2 * most > console.width
    ):
        most -= 1  # the last one that stays may need several lines
    if title:
        console.print(Text(title, style="bold"))
    table = Table(box=None)
    for index, name in enumerate(header[:most]):
        table.add_column(name, no_wrap=index == 0, min_width=widths[0] if index == 0 else None)
    for row in cells:
        table.add_row(*map(Text, row[:most]))
    console.print(table)
    if most < len(header):
        left_out = ", ".join(header[most:])
        show_lines(console, [f"In a wider terminal, or a file, there is also: {left_out}."], "dim")


def show_markdown(console: Console, text: str) -> None:
    """Print Markdown of our own making: as it is into a file or a pipe, set for reading on a terminal."""
    from rich.markdown import Markdown

    if console.is_terminal:
        console.print(Markdown(text, hyperlinks=False))
    else:
        sys.stdout.write(text)


def show_lines(console: Console, lines: Iterable[str], style: str = "") -> None:
    """Print lines as they are; a terminal breaks them between words."""
    for line in lines:
        text = printable(line, cap=_LINE_CHARS)
        console.print(text, style=style, highlight=False, markup=False, soft_wrap=not console.is_terminal)


def public_url(url: str) -> str:
    """An address without user name, password and query, which may be secrets."""
    try:
        place = urlsplit(url)
    except ValueError:
        return ""
    return f"{place.scheme}://{place.netloc.rpartition('@')[2]}{place.path}"


_BINARY = ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"))
_UNITS = {"": 1, "b": 1, "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40}
_UNITS |= {"kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12}
_FEWEST = 2**20  # a smaller number is of GiB whose unit was forgotten
_WRITTEN = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([a-z]{0,3})", re.IGNORECASE | re.ASCII)


def parse_size(text: str, what: str) -> int:
    """Bytes of `6GiB`, `6.5 GB`, `800MiB`, `6442450944`; `what` names the setting in the error.

    Raises:
        UserError: it is not a positive amount in a known unit.
    """
    match = _WRITTEN.fullmatch(text.strip())
    if match and not match[2] and 0 < float(match[1]) < _FEWEST:
        raise UserError(f"{what}={match[1]}: {match[1]} what? Write {what}={match[1]}GiB")
    factor = _UNITS.get(match[2].lower()) if match else None
    if match is None or factor is None or (count := int(float(match[1]) * factor)) <= 0:
        raise UserError(
            f"{what}={text[:40]!a} is not an amount of memory: write 6GiB, 6.5GB, 800MiB or bytes"
        )
    return count


def size_text(count: int, *, up: bool = False) -> str:
    """Bytes in GiB, MiB or KiB with two decimals; `up` rounds up, so that a need is never understated."""
    unit, name = next((each for each in _BINARY if count >= each[0]), (1, "bytes"))
    if unit == 1:
        return f"{count} bytes"
    hundredths = -(-count * 100 // unit) if up else round(count * 100 / unit)
    return f"{hundredths / 100:.2f} {name}"


_INVISIBLE = ("Cc", "Cf", "Cs", "Co", "Cn")
TEXT_CAP = 300


def visible_text(value: object, cap: int = TEXT_CAP) -> str | None:
    """A text or number as one line of visible characters, at most `cap` of them; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    shown = " ".join(str(value)[: 4 * cap].split())[:cap]
    return "".join("�" if unicodedata.category(each) in _INVISIBLE else each for each in shown) or None


def mapping(value: object) -> Mapping[str, Any]:
    """A mapping, empty for anything else."""
    return value if isinstance(value, Mapping) else {}


def visible_texts(values: Mapping[str, object]) -> dict[str, str]:
    """Those of `values` that are texts or numbers, as texts."""
    return {key: shown for key, value in values.items() if (shown := visible_text(value)) is not None}


def file_size(count: int) -> str:
    """A file's size as files are listed: `15.21 GB`, `98 MB`, `3 kB`."""
    if count >= 10**9:
        return f"{count / 1e9:.2f} GB"
    return f"{count / 1e6:.0f} MB" if count >= 10**6 else f"{count / 1e3:.0f} kB"


def duration(seconds: float) -> str:
    """A time as one says it: `45 s`, `33 min`, `9 h`, `4 d 20 h`."""
    if seconds < 99.5:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 100:
        return f"{minutes} min"
    hours = round(seconds / 3600)
    if hours < 10:
        return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"
    return f"{hours} h" if hours < 48 else f"{hours // 24} d" + (f" {hours % 24} h" if hours % 24 else "")


def parameters_text(count: int | None) -> str:
    """A model's size: `7.6B`, `135M`; `-` if it is not known."""
    if not count:
        return "-"
    return f"{count / 1e9:.1f}B" if count >= 1e9 else f"{count / 1e6:.0f}M"


def one_line(error: BaseException) -> str:
    """An error's text, short and on one line, for the inside of a UserError."""
    text = " ".join(str(error).split()) or type(error).__name__
    return text if len(text) <= 200 else text[:197] + "..."


JUDGED_MARK = "‡"


def first_fault(error: ValidationError) -> str:
    """The first of what pydantic found wrong: `members.0.name: Field required`."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else str(first["msg"])
