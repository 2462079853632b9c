"""Texts in CSV files, which people open in spreadsheets."""

from __future__ import annotations


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
