"""An interrupted download goes on where it stopped, on servers of every kind, and ends in the right file."""

from __future__ import annotations

import hashlib
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from evalkit.schema import UserError
from evalkit.weights.fetch import resolve_weights
from tests.settings import model_settings

OLD = b"GGUF" + bytes(range(256)) * 4000
NEW = b"GGUF" + bytes(reversed(range(256))) * 4000
CUT = 5 << 16  # bytes of an answer that is cut


class Files(ThreadingHTTPServer):
    """A web server of one file, which does with ranges what a test says.

    `cuts`: how many answers still break off; `slow`: seconds between pieces.
    """

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.content, self.etag = OLD, '"old"'
        self.ranges, self.checks_etag, self.last_modified = True, True, False
        self.cuts, self.slow = 0, 0.0
        self.sent: list[tuple[int, int]] = []  # status and first byte of every answer

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/model.gguf"


class Handler(BaseHTTPRequestHandler):
    server: Files

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.content)))
        self.end_headers()

    def do_GET(self) -> None:
        web, first = self.server, 0
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and web.ranges and (not web.checks_etag or self.headers.get("If-Range") == web.etag):
            first = int(asked[1])
        web.sent.append((206 if first else 200, first))
        self.send_response(web.sent[-1][0])
        body = web.content[first:]
        if first:
            self.send_header("Content-Range", f"bytes {first}-{len(web.content) - 1}/{len(web.content)}")
        if web.etag:
            self.send_header("Last-Modified" if web.last_modified else "ETag", web.etag)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if web.cuts:
            web.cuts -= 1
            body = body[:CUT]
        for start in range(0, len(body), 1 << 16):
            self.wfile.write(body[start : start + (1 << 16)])
            time.sleep(web.slow)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture
def web(cache: Path) -> Iterator[Files]:
    server = Files()
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


def fetched(web: Files, content: bytes | None = None) -> bytes:
    """The file that a config with the hash of `content` (None: with none) gets."""
    digest = hashlib.sha256(content).hexdigest() if content else None
    return resolve_weights(model_settings(source={"url": web.url}, sha256=digest)).path.read_bytes()


def break_off(web: Files, content: bytes | None = OLD) -> None:
    web.cuts = 1
    with pytest.raises(UserError, match="Cannot download"):
        fetched(web, content)
    web.sent.clear()


def parts(cache: Path) -> list[str]:
    return sorted(path.name for path in (cache / "url").rglob("*.part*"))


@pytest.mark.parametrize("last_modified", [False, True])
@pytest.mark.parametrize("pinned", [OLD, None])
def test_it_goes_on(web: Files, cache: Path, pinned: bytes | None, last_modified: bool) -> None:
    web.last_modified = last_modified
    break_off(web, pinned)
    assert parts(cache) == ["model.gguf.part", "model.gguf.part.json"]
    break_off(web, pinned)
    assert fetched(web, pinned) == OLD
    assert web.sent == [(206, 2 * CUT)]
    assert parts(cache) == []


def test_a_server_without_ranges_starts_again(web: Files) -> None:
    web.ranges = False
    break_off(web)
    assert fetched(web, OLD) == OLD
    assert web.sent == [(200, 0)]


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_without_a_validator_nothing_is_kept(web: Files, cache: Path, etag: str) -> None:
    web.etag = etag
    break_off(web, None)
    assert parts(cache) == []
    assert fetched(web) == OLD
    assert web.sent == [(200, 0)]


def test_a_file_that_changed_in_between(web: Files) -> None:
    break_off(web, None)
    web.content, web.etag = NEW, '"new"'
    assert fetched(web) == NEW
    assert web.sent == [(200, 0)]


def test_the_hash_decides_where_a_server_mixes_two_files(web: Files, cache: Path) -> None:
    web.checks_etag = False
    break_off(web, NEW)
    web.content = NEW
    assert fetched(web, NEW) == NEW
    assert web.sent == [(206, CUT), (200, 0)]
    assert parts(cache) == []


def test_a_shorter_file_in_between(web: Files) -> None:
    web.checks_etag = False
    break_off(web, None)
    web.content = OLD[: CUT * 2]
    assert fetched(web) == OLD[: CUT * 2]
    assert web.sent == [(206, CUT), (200, 0)]


@pytest.mark.parametrize("note", [b"", b"{}", b"[1]", b'{"validator": 5, "size": "x"}', b"\xff"])
def test_a_note_that_is_none_starts_again(web: Files, cache: Path, note: bytes) -> None:
    break_off(web)
    next((cache / "url").rglob("*.part.json")).write_bytes(note)
    assert fetched(web, OLD) == OLD
    assert web.sent == [(200, 0)]


def test_processes_that_are_killed_while_others_wait(web: Files, cache: Path) -> None:
    web.slow = 0.1
    code = "import sys; from evalkit.weights.fetch import resolve_weights as resolve; "
    code += "from tests.settings import model_settings; "
    code += "print(resolve(model_settings(source={'url': sys.argv[1]})).sha256)"
    command = [sys.executable, "-c", code, web.url]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True)]
    while not web.sent:
        time.sleep(0.02)
    running += [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    size = 0
    while size < CUT:
        time.sleep(0.05)
        size = sum(path.stat().st_size for path in (cache / "url").rglob("*.part"))
    running[0].send_signal(signal.SIGKILL)
    web.slow = 0.0
    digests = {process.communicate(timeout=120)[0].strip() for process in running[1:]}
    running[0].communicate()
    assert digests == {hashlib.sha256(OLD).hexdigest()}
    assert [status for status, _ in web.sent] == [200, 206]
    assert web.sent[1][1] >= CUT
