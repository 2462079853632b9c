"""`evalkit view`: the answers of one's own runs in the browser."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

HELP = """
usage: evalkit view [RUN...] [open=false] [follow=true|false] [results_dir=results] [data.dir=PATH]

Build the site of these runs (default: all that are here) into results/view, and open it in the browser:
every answer with its question, its gold answer, what was read and why it counts as right or wrong; the runs
beside each other; where they fail. It opens from disk and needs no network. Nothing that a repository keeps
is written.

A run that is still at work is shown with the answers so far. Where a browser is opened, its pages then follow
it: how far it is, and each answer as it comes, from a server on this machine alone (loopback, a free port, a
random token in the address, read-only) that Ctrl-C ends. The runs are not disturbed.

RUN is a folder, a record, a model's name or `last` (see `evalkit runs --help`).

  open=false               print where the site is, and open nothing; so it is, too, where there is no display
  follow=true              follow the runs in any case, and print the address; false: never (default: where a
                           browser is opened, and a run was at work within the last 15 minutes)
  data.dir=PATH            where the runs' local data is now, if it has moved

exit code: 0 done, 1 a run could not be read and is left out, 2 wrong request
"""

_DEFAULTS = {"open": "true", "follow": "", "results_dir": "results", "data.dir": ""}


def main(arguments: Sequence[str]) -> int:
    from evalkit.board.live import at_work
    from evalkit.board.view import build_view
    from evalkit.config.options import read_arguments
    from evalkit.run.find import find_run, newest, run_state
    from evalkit.text import output_console, printable, show_lines

    given = read_arguments("view", arguments, _DEFAULTS)
    results, opened = Path(given.text("results_dir")), given.truth("open") and _has_display()
    data_dir = given.text("data.dir") or None

    def paths() -> list[Path]:
        return [find_run(place, results) for place in given.places] or newest(results)

    found = list(dict.fromkeys(paths()))
    follow = given.truth("follow") if given.text("follow") else None
    if follow is None:
        follow = opened and any(at_work(run_state(path)) for path in found if path.is_dir())
    if follow:
        return _follow(paths, results, data_dir, opened)
    view = build_view(found, results, data_dir)
    for problem in view.problems:
        print(f"evalkit: left out: {printable(problem, 400)}", file=sys.stderr)
    console = output_console()
    show_lines(
        console, (f"{n}: {there:,} of {of:,} answers so far" for n, (there, of) in view.unfinished.items())
    )
    count = len(view.shown)
    address = view.page.resolve().as_uri()
    console.print(f"{count} {'run' if count == 1 else 'runs'}: {address}", highlight=False, soft_wrap=True)
    if opened:
        import webbrowser

        webbrowser.open(address)
    return int(bool(view.problems))


def _follow(paths: Callable[[], list[Path]], results: Path, data_dir: str | None, opened: bool) -> int:
    """Serve the runs' site until Ctrl-C."""
    import threading

    from evalkit.board.live import LiveServer, LiveSite

    server = LiveServer(LiveSite(paths, results, data_dir))
    try:
        print(f"{server.address} (Ctrl-C ends it)", flush=True)
        if opened:
            import webbrowser

            webbrowser.open(server.address)
        threading.Event().wait()
    except KeyboardInterrupt:
        print("ended; evalkit view shows the runs from disk")
    finally:
        server.close()
    return 0


def _has_display() -> bool:
    """Whether a browser can open a window: on Linux, without one, a text browser would take the terminal."""
    if sys.platform in ("darwin", "win32"):
        return True
    return any(os.environ.get(name) for name in ("DISPLAY", "WAYLAND_DISPLAY"))
