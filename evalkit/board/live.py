"""The site of runs that go on, from this machine to a browser on it: read-only, in memory, behind a token.

The server listens on the loopback address alone, on a port that the system chooses. Every address begins with
a random token, so that neither another user of the machine nor a web page can guess one; a `Host` that is not
this server's own is refused, so that no other name can be made to point here. It answers GET and HEAD with
what is in memory, and knows no files. Each state of the site has addresses of its own: a page goes on with
the data that it came with until it asks for the next.
"""

from __future__ import annotations

import contextlib
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from evalkit.board.view import live_files
from evalkit.run.find import RunState, run_state
from evalkit.run.generations import GENERATIONS
from evalkit.run.record import RECORD_FILE
from evalkit.schema import UserError

HOST = "127.0.0.1"
EVERY = 2.0  # seconds between looks at the runs' folders
SHARE = 9.0  # times as long as a build took nothing is built again: a tenth of one core at most
KEPT = 3  # states of the site in memory
RECENT = 900.0  # seconds since the last sign of life after which a run counts as ended or killed
_PATIENCE = 20.0  # seconds for a request to arrive in

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".json": "application/json",
}
_HEADERS = {
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True)
class Reply:
    """What a request is answered with. `location`: where else to look."""

    status: int
    kind: str = "text/plain; charset=utf-8"
    body: bytes = b""
    location: str | None = None


def at_work(state: RunState) -> bool:
    """Whether a run has more to answer and gave a sign of life within the last quarter of an hour."""
    whole = state.wanted is not None and state.there >= state.wanted
    return (
        not state.ended and not whole and not state.problem and time.time() - state.when.timestamp() < RECENT
    )


class LiveSite:
    """The site of these runs, in its last few states, brought up to date as answers come.

    Args:
        paths: gives the runs' folders; asked again at every look, so that a new run appears.
    """

    def __init__(
        self, paths: Callable[[], Sequence[Path]], results: Path, data_dir: str | None = None
    ) -> None:
        self._paths, self._results, self._data_dir = paths, results, data_dir
        self._states: dict[int, dict[str, bytes]] = {}
        self._looked: object = None
        self._built: object = None
        self._runs: list[RunState] = []
        self._due = 0.0
        self._ended = threading.Event()
        self.refresh()

    def refresh(self) -> bool:
        """Look at the folders, and build the site anew if something came; whether it was.

        How far the runs are is known at once, their answers when a build is due.
        """
        paths = list(self._paths())
        seen = [(path.as_posix(), _signs(path)) for path in paths]
        if seen != self._looked:
            self._runs, self._looked = [run_state(path) for path in paths if path.is_dir()], seen
        if seen == self._built or (self._states and time.monotonic() < self._due):
            return False
        started = time.monotonic()
        files = live_files(paths, self._results, self._data_dir)
        number = max(self._states, default=0) + 1
        # One assignment, so that a request sees a whole state of things.
        self._states = {**dict(list(self._states.items())[-(KEPT - 1) :]), number: files}
        self._built, ended = seen, time.monotonic()
        self._due = ended + SHARE * (ended - started)
        return True

    def follow(self) -> None:
        """Refresh until `end` is called; what cannot be read now may be readable at the next look."""
        while not self._ended.wait(EVERY):
            with contextlib.suppress(UserError, OSError):
                self.refresh()

    def end(self) -> None:
        """Let `follow` return."""
        self._ended.set()

    @property
    def version(self) -> int:
        """The newest state's number."""
        return max(self._states)

    def status(self) -> dict[str, object]:
        """How far the runs are, those that have more to answer."""
        runs = [
            {
                "label": f"{state.model} ({state.path.name})",
                "there": state.there,
                "wanted": state.wanted or 0,
                "working": at_work(state),
            }
            for state in self._runs
            if not state.problem
            and (state.wanted is None or state.there < state.wanted)
            and not _recorded(state)
        ]
        return {"version": self.version, "runs": runs}

    def reply(self, path: str) -> Reply:
        """The answer to a path below the token: `` or `VERSION/NAME`."""
        states = self._states
        first, _, name = path.partition("/")
        if not path or not first.isascii() or not first.isdecimal() or len(first) > 9:
            return Reply(302, location=f"{max(states)}/index.html") if not path else Reply(404)
        if name == "status.json":
            return Reply(200, _TYPES[".json"], json.dumps(self.status()).encode())
        files = states.get(int(first))
        suffix = PurePosixPath(name).suffix
        if files is None or name not in files:
            # A page of a state that is gone, or that it did not have yet.
            later = suffix == ".html" and name in states[max(states)]
            return Reply(302, location=f"../{max(states)}/{name}") if later else Reply(404)
        return Reply(200, _TYPES.get(suffix, "application/octet-stream"), files[name])


def _recorded(state: RunState) -> bool:
    """Whether the run is a file of outputs made elsewhere: nothing comes to it."""
    return state.ended and state.wanted is None


def _signs(path: Path) -> tuple[tuple[int, int], ...]:
    """Size and time of what changes when a run goes on."""
    found = []
    for name in (GENERATIONS, RECORD_FILE, "run.json", "config.yaml"):
        try:
            at = (path / name).stat() if path.is_dir() else path.stat()
            found.append((at.st_size, at.st_mtime_ns))
        except OSError:
            found.append((0, 0))
    return tuple(found)


class LiveServer:
    """The server of a `LiveSite`, open from its making until `close`; `address` has the token in it."""

    def __init__(self, site: LiveSite) -> None:
        self.token = secrets.token_urlsafe(24)
        self._site = site
        self._server = ThreadingHTTPServer((HOST, 0), _handler(site, self.token))
        self._server.daemon_threads = True
        self.port = int(self._server.server_address[1])
        self.address = f"http://{HOST}:{self.port}/{self.token}/"
        for work in (self._server.serve_forever, site.follow):
            threading.Thread(target=work, daemon=True).start()

    def close(self) -> None:
        """Answer no more."""
        self._site.end()
        self._server.shutdown()
        self._server.server_close()


def _handler(site: LiveSite, token: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        """Answers from memory."""

        timeout = _PATIENCE
        server_version, sys_version = "evalkit", ""

        def do_GET(self) -> None:
            self._send(self._reply(), body=True)

        def do_HEAD(self) -> None:
            self._send(self._reply(), body=False)

        def _reply(self) -> Reply:
            port = self.connection.getsockname()[1]
            own = (f"{HOST}:{port}", f"localhost:{port}")
            if self.headers.get("Host", "").lower() not in own:
                return Reply(403)
            given, _, rest = urlsplit(self.path).path.lstrip("/").partition("/")
            if not secrets.compare_digest(given.encode(), token.encode()):
                return Reply(404)
            return site.reply(rest)

        def _send(self, reply: Reply, *, body: bool) -> None:
            self.send_response(reply.status)
            headers: Mapping[str, str] = {
                **_HEADERS,
                "Content-Type": reply.kind,
                "Content-Length": str(len(reply.body)),
                **({"Location": reply.location} if reply.location else {}),
            }
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            if body:
                self.wfile.write(reply.body)

        def log_message(self, format: str, *arguments: object) -> None:
            """Say nothing: the terminal is the command's."""

    return Handler
