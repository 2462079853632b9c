"""Single keys from a terminal, without Enter."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from evalkit.errors import UserError

_END = "\x04"  # Ctrl-D
# What an arrow key or the like sends, such as ESC [1;5C: its digits are no verdicts.
_SEQUENCE = re.compile(r"\x1b(?:\[[0-?]*[ -/]*[@-~]?|O?.?)")


@contextmanager
def keys() -> Iterator[Iterator[str]]:
    """The characters typed on standard input; the terminal is as it was afterwards.

    Ctrl-C interrupts as ever. Ctrl-D and a closed terminal end the iterator.

    Raises:
        UserError: standard input is not a terminal.
    """
    try:
        import termios
        import tty
    except ImportError as error:
        raise UserError("label: no Unix terminal here: use out=FILE.csv and in=FILE.csv") from error
    if not sys.stdin.isatty():
        raise UserError("label: standard input is not a terminal: use out=FILE.csv and in=FILE.csv")
    file = sys.stdin.fileno()
    before = termios.tcgetattr(file)
    try:
        tty.setcbreak(file)
        yield _typed(file)
    finally:
        termios.tcsetattr(file, termios.TCSADRAIN, before)


def _typed(file: int) -> Iterator[str]:
    while True:
        try:
            chunk = os.read(file, 64)
        except OSError:  # the terminal is gone
            return
        for character in _SEQUENCE.sub("", chunk.decode("utf-8", "replace")):
            if character == _END:
                return
            yield character
        if not chunk:
            return
