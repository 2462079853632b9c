"""Where results are printed: standard output, in whole lines where it is not a terminal."""

from __future__ import annotations

import sys

from rich.console import Console

_WIDTH_OF_A_FILE = 200


def output_console() -> Console:
    """A console on standard output, wide enough for any table if that is a file or a pipe."""
    return Console(width=None if sys.stdout.isatty() else _WIDTH_OF_A_FILE)
