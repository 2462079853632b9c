"""Markdown from trusted and from hostile text.

Model output, data and file names are somebody else's text: they appear only as code spans, in which no
Markdown or HTML is read, on one line and capped.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence

from evalkit.report.items import Mean
from evalkit.stats.error import wilson

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


def percent(mean: Mean, signed: bool = False) -> str:
    """`45.0 ± 3.1` in per cent with one standard error, `45.0` where that is unknown, `-` without a value.

    All wrong or all right has a standard error of 0, which would pass for certainty: there, and only there,
    stands the bound of Wilson's 95 % interval.
    """
    if mean.value is None:
        return "-"
    if not signed and mean.error == 0 and mean.value in (0, 1):
        low, high = wilson(round(mean.value) * mean.n, mean.n)
        return f"100.0 (95 %: ≥ {100 * low:.1f})" if mean.value else f"0.0 (95 %: ≤ {100 * high:.1f})"
    # Adding zero turns -0.0, which would print as -0.0, into 0.0.
    shown = round(100 * mean.value, 1) + 0.0
    value = f"{shown:+.1f}" if signed and shown else f"{shown:.1f}"
    return value if mean.error is None else f"{value} ± {100 * mean.error:.1f}"


def share(count: int, of: int) -> str:
    """`12 (4.0 %)`"""
    return f"{count} ({100 * count / of:.1f} %)" if of else str(count)
