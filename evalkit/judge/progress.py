"""How far judging is: a line now and then, to standard error."""

from __future__ import annotations

import time

from rich.console import Console

_LINE_SECONDS = 15.0


class Progress:
    """Counts verdicts as they come; says so at most every quarter of a minute."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._last = time.monotonic()

    def verdict(self, done: int, of: int) -> None:
        now = time.monotonic()
        if now - self._last >= _LINE_SECONDS:
            self._last = now
            self._console.print(f"judged {done}/{of}", highlight=False)
