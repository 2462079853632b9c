"""Other people's text (ids, settings, answers, titles) on one line of a message or a terminal."""

from __future__ import annotations

import json

from evalkit.report.items import Key

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
