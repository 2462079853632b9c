"""`evalkit view`: the answers of one's own runs in the browser."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

HELP = """
usage: evalkit view [RUN...] [open=false] [results_dir=results] [data.dir=PATH]

Build the site of these runs (default: all that are here) into results/view, and open it in the browser:
every answer with its question, its gold answer, what was read and why it counts as right or wrong; the runs
beside each other; where they fail. It opens from disk and needs no network. A run that is still at work is
shown with the answers so far; the same command brings it up to date. Nothing that a repository keeps is
written.

RUN is a folder, a record, a model's name or `last` (see `evalkit runs --help`).

  open=false               print where the site is, and open nothing; so it is, too, where there is no display
  data.dir=PATH            where the runs' local data is now, if it has moved

exit code: 0 done, 1 a run could not be read and is left out, 2 wrong request
"""

_DEFAULTS = {"open": "true", "results_dir": "results", "data.dir": ""}


def main(arguments: Sequence[str]) -> int:
    from evalkit.board.view import build_view
    from evalkit.config.options import read_arguments
    from evalkit.run.find import find_run, newest
    from evalkit.text import output_console, printable, show_lines

    given = read_arguments("view", arguments, _DEFAULTS)
    results, opened = Path(given.text("results_dir")), given.truth("open")
    paths = [find_run(place, results) for place in given.places] or newest(results)
    view = build_view(list(dict.fromkeys(paths)), results, given.text("data.dir") or None)
    for problem in view.problems:
        print(f"evalkit: left out: {printable(problem, 400)}", file=sys.stderr)
    console = output_console()
    show_lines(
        console, (f"{n}: {there:,} of {of:,} answers so far" for n, (there, of) in view.unfinished.items())
    )
    count = len(view.shown)
    address = view.page.resolve().as_uri()
    console.print(f"{count} {'run' if count == 1 else 'runs'}: {address}", highlight=False, soft_wrap=True)
    if opened and _has_display():
        import webbrowser

        webbrowser.open(address)
    return int(bool(view.problems))


def _has_display() -> bool:
    """Whether a browser can open a window: on Linux, without one, a text browser would take the terminal."""
    if sys.platform in ("darwin", "win32"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
