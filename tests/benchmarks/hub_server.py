"""A local server for what the loaders download: raw repository files, and the hub's data sets.

Of the Hugging Face hub's protocol it speaks what `datasets` asks for: the repository's facts, its tree, the
facts of paths, and the files with their ETag and commit.
"""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

COMMIT = "583a98fb0ec14d904e9423b671d9d0fea88891b6"

Repositories = dict[str, dict[str, bytes]]


class Hub(ThreadingHTTPServer):
    """Raw files by URL path, data sets by "owner/name"."""

    daemon_threads = True

    def __init__(self, raw: dict[str, bytes], datasets: Repositories) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.raw = raw
        self.datasets = datasets
        self.requests: list[str] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"


@contextmanager
def serve(*, raw: dict[str, bytes] | None = None, datasets: Repositories | None = None) -> Iterator[Hub]:
    hub = Hub(raw or {}, datasets or {})
    thread = threading.Thread(target=hub.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield hub
    finally:
        hub.shutdown()
        hub.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, format: str, *args: object) -> None:
        self.server.requests.append(f"{self.command} {unquote(self.path)}")

    def do_HEAD(self) -> None:
        self._answer(send_body=False)

    def do_GET(self) -> None:
        self._answer(send_body=True)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self._answer(send_body=True)

    def _answer(self, *, send_body: bool) -> None:
        path = unquote(urlsplit(self.path).path)
        content = self.server.raw.get(path)
        headers: dict[str, str] = {}
        for repo, files in self.server.datasets.items():
            if path.startswith(f"/api/datasets/{repo}"):
                content = json.dumps(_facts(repo, files, path)).encode()
                headers["Content-Type"] = "application/json"
            elif path.startswith(f"/datasets/{repo}/resolve/"):
                name = path.removeprefix(f"/datasets/{repo}/resolve/").partition("/")[2]
                content = files.get(name)
                headers = {"X-Repo-Commit": COMMIT, "ETag": f'"{hashlib.sha256(content or b"").hexdigest()}"'}
        if content is None:
            headers = {"X-Error-Code": "EntryNotFound"}
        self.send_response(404 if content is None else 200)
        for key, value in {**headers, "Content-Length": str(len(content or b""))}.items():
            self.send_header(key, value)
        self.end_headers()
        if send_body and content:
            self.wfile.write(content)


def _facts(repo: str, files: dict[str, bytes], path: str) -> object:
    entries = [
        {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
        for name, content in files.items()
    ]
    if "/tree/" in path or "/paths-info/" in path:
        return entries
    siblings = [{"rfilename": name} for name in files]
    return {"id": repo, "sha": COMMIT, "private": False, "gated": False, "tags": [], "siblings": siblings}
