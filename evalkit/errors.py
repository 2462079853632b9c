"""Errors that are the user's to fix."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class UserError(Exception):
    """A wrong request: printed as one line without a traceback, exit code 2.

    The message says what is wrong and what to do about it.
    """


def nearest(name: str, known: Iterable[str]) -> str:
    """A ' Did you mean X?' with the known name closest to `name`, or ''."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f" Did you mean {close[0]}?" if close else ""
