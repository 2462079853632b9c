"""A local web server that plays a plain file server and the Hugging Face hub, and an empty cache."""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

CONTENT = bytes(range(256)) * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "0123456789abcdef0123456789abcdef01234567"
HUB = "/someone/model/resolve/{}/model.gguf"
SPLIT = [f"/someone/split/resolve/main/q/m-0000{number}-of-00002.gguf" for number in (1, 2)]
ERRORS = {
    "/nobody/model/resolve/main/model.gguf": (404, "RepoNotFound"),
    "/gated/model/resolve/main/model.gguf": (403, "GatedRepo"),
    "/someone/model/resolve/main/other.gguf": (404, "EntryNotFound"),
    "/someone/model/resolve/gone/model.gguf": (404, "RevisionNotFound"),
}


class Handler(BaseHTTPRequestHandler):
    gets: ClassVar[list[str]] = []

    def do_HEAD(self) -> None:
        self._answer(with_body=False)

    def do_GET(self) -> None:
        self.gets.append(self.path.partition("?")[0])
        self._answer(with_body=True)

    def _answer(self, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        hub = path in (
            HUB.format("main"),
            HUB.format(COMMIT),
            "/someone/huge/resolve/main/model.gguf",
            *SPLIT,
        )
        if path in ERRORS or not (hub or path.startswith("/files/")):
            status, code = ERRORS.get(path, (404, ""))
            self.send_response(status)
            self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        length = 10**16 if "huge" in path else len(CONTENT) * (2 if "cut" in path else 1)
        self.send_response(200)
        self.send_header("Content-Length", str(length))
        if hub:
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{SHA256}"')
        self.end_headers()
        if with_body:
            self.wfile.write(CONTENT)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="session")
def web() -> Iterator[str]:
    """The address of the local server."""
    running = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_address[1]}"
    running.shutdown()
    running.server_close()


@pytest.fixture
def gets() -> list[str]:
    """The paths fetched from the server so far, without queries."""
    return Handler.gets


@pytest.fixture
def content() -> bytes:
    """The bytes of every file on the server."""
    return CONTENT


@pytest.fixture
def sha256() -> str:
    """The hash of every file on the server."""
    return SHA256


@pytest.fixture
def commit() -> str:
    """What the hub's `main` stands for."""
    return COMMIT


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for this test."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("EVALKIT_CACHE", str(folder))
    return folder
