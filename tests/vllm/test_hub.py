"""A whole checkpoint from a hub: downloaded once, then found without one. The hub is a local server."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FILES = {
    "config.json": b"{}",
    "tokenizer.json": b"{}",
    "model.safetensors": b"weights" * 100,
    "pytorch_model.bin": b"a pickle",
    "original/model.safetensors": b"a second copy",
}

# The hub's settings are read when its package is imported.
CODE = """
import json
from evalkit.schema import UserError
from evalkit.weights.fetch import resolve_checkpoint
from tests.settings import model_settings
try:
    source = {"hf": "someone/model", "file": None, "revision": "main"}
    found = resolve_checkpoint(model_settings(source=source))
    print(json.dumps([dict(found.files), found.weights_bytes, found.origin]))
except UserError as error:
    print(json.dumps(str(error)))
"""


class Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, with_body: bool) -> None:
        path = self.path.partition("?")[0]
        name = path.partition(f"/resolve/{COMMIT}/")[2]
        if path.startswith("/api/models/someone/model/tree"):
            tree = [
                {"type": "file", "path": file, "size": len(data), "oid": hashlib.sha1(data).hexdigest()}
                for file, data in FILES.items()
            ]
            content = json.dumps(tree).encode()
            self.send_response(200)
        elif path.startswith("/api/models/someone/model"):
            siblings = [{"rfilename": file} for file in FILES]
            content = json.dumps({"id": "someone/model", "sha": COMMIT, "siblings": siblings}).encode()
            self.send_response(200)
        elif name in FILES:
            content = FILES[name]
            self.send_response(200)
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
        else:
            content = b""
            self.send_response(404)
            self.send_header("X-Error-Code", "RepoNotFound")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if with_body:
            self.wfile.write(content)


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def resolved(home: Path, endpoint: str, offline: bool = False) -> object:
    settings = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home / "hf"), "EVALKIT_CACHE": str(home / "cache")}
    settings |= {"HF_HUB_OFFLINE": "1" if offline else "0", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    done = subprocess.run(
        [sys.executable, "-c", CODE],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_downloaded_once_then_offline(hub: str, tmp_path: Path) -> None:
    first = resolved(tmp_path, hub)
    wanted = ("config.json", "model.safetensors", "tokenizer.json")
    digests = {name: hashlib.sha256(FILES[name]).hexdigest() for name in wanted}
    assert first == [digests, 700, f"hf:someone/model@{COMMIT}"]
    assert not list((tmp_path / "hf").rglob("pytorch_model.bin")), "no pickle is fetched"
    assert resolved(tmp_path, hub, offline=True) == first


def test_one_line_where_there_is_none(tmp_path: Path, hub: str) -> None:
    offline = resolved(tmp_path, hub, offline=True)
    assert isinstance(offline, str)
    assert "someone/model" in offline
    assert "HF_HUB_OFFLINE" in offline
    unreachable = resolved(tmp_path, "http://127.0.0.1:9")
    assert isinstance(unreachable, str)
    assert "\n" not in unreachable
