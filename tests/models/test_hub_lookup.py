"""What the hub says of a file is asked before any download: against a server that speaks the hub's protocol.

Weights are in LFS: the hub redirects to another host and states size and sha256 in headers of its own.
"""

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
from typing import Any, ClassVar

import pytest

from evalkit.config.settings import ModelSettings
from evalkit.weights.fetch import size_finding

CONTENT = b"GGUF" + bytes(range(256)) * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()
COMMIT = "89abcdef0123456789abcdef0123456789abcdef"
FILE = f"/qwen/model/resolve/{COMMIT}/model.gguf"
OTHER = "0" * 64

# The hub's settings are read when its package is imported, so each case of settings is a process.
CODE = """
import json, sys
from evalkit.config.settings import ModelSettings, SourceSettings
from evalkit.schema import UserError
from evalkit.weights.fetch import resolve_weights
given = json.loads(sys.argv[1])
source = SourceSettings(**given.pop("source"))
try:
    found = resolve_weights(ModelSettings(name="m", title="M", source=source, **given))
    print(json.dumps([found.sha256, found.size_bytes, found.origin]))
except UserError as error:
    print(json.dumps(str(error)))
"""


class Hub(BaseHTTPRequestHandler):
    """One file in LFS under its commit and under `main`, a renamed repository, a gated one."""

    bodies: ClassVar[list[str]] = []  # the paths whose bytes were asked for

    def do_HEAD(self) -> None:
        self._answer(b"")

    def do_GET(self) -> None:
        self._answer(CONTENT)

    def _answer(self, body: bytes) -> None:
        if self.path == "/cdn/model.gguf":
            self.bodies.extend([self.path] if body else [])
            return self._send(200, {"Content-Length": str(len(CONTENT)), "ETag": '"of-the-cdn"'}, body)
        if self.path in (FILE, FILE.replace(COMMIT, "main")):
            linked = {"X-Linked-Size": str(len(CONTENT)), "X-Linked-ETag": f'"{SHA256}"'}
            # Another host, as the hub's is: only its own redirects are followed.
            to = f"http://localhost:{self.headers['Host'].rpartition(':')[2]}/cdn/model.gguf"
            return self._send(302, {**linked, "X-Repo-Commit": COMMIT, "Location": to}, b"")
        if self.path.startswith("/old/name/"):
            return self._send(307, {"Location": self.path.replace("/old/name/", "/qwen/model/")}, b"")
        if self.path.startswith("/gated/"):
            return self._send(403, {"X-Error-Code": "GatedRepo"}, b"")
        return self._send(404, {"X-Error-Code": "EntryNotFound"}, b"")

    def _send(self, status: int, headers: dict[str, str], body: bytes) -> None:
        self.send_response(status)
        for key, value in {"Content-Length": "0", **headers}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    running = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=running.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{running.server_address[1]}"
    running.shutdown()
    running.server_close()


def fetch(hub: str, home: Path, offline: bool = False, **model: Any) -> tuple[Any, str, int]:
    """What became of it, what was said meanwhile, and how many files' bytes the server was asked for."""
    model.setdefault("source", {"hf": "qwen/model", "file": "model.gguf", "revision": COMMIT})
    settings = {"HF_ENDPOINT": hub, "HF_HOME": str(home / "hf"), "EVALKIT_CACHE": str(home / "cache")}
    settings |= {"HF_HUB_OFFLINE": str(int(offline)), "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    before = len(Hub.bodies)
    done = subprocess.run(
        [sys.executable, "-c", CODE, json.dumps(model)],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    return json.loads(done.stdout), done.stderr, len(Hub.bodies) - before


def left(home: Path) -> list[str]:
    """The files of some size that are there."""
    return [file.name for file in home.rglob("*") if file.is_file() and file.stat().st_size > 1000]


def test_the_file_that_is_meant_is_shown_and_fetched(hub: str, tmp_path: Path) -> None:
    pinned: dict[str, Any] = {
        "sha256": SHA256,
        "size_bytes": len(CONTENT),
        "size_source": "measured",
    }
    found, said, bodies = fetch(hub, tmp_path, **pinned)
    assert found == [SHA256, len(CONTENT), f"hf:qwen/model@{COMMIT}/model.gguf"]
    assert bodies == 1
    assert (
        f"The hub's qwen/model@{COMMIT[:12]}/model.gguf: 256,004 bytes (expected the same); "
        f"sha256 {SHA256} (expected the same)"
    ) in said.splitlines()
    again, said, bodies = fetch(hub, tmp_path, **pinned)
    assert (again, bodies) == (found, 0)
    assert "The hub's" not in said  # nothing is fetched, so nothing is asked


@pytest.mark.parametrize(
    ("pinned", "says"),
    [
        ({"sha256": OTHER}, f"sha256 {SHA256}, expected {OTHER}"),
        ({"size_bytes": 256_003, "size_source": "measured"}, "256,004 bytes, expected 256,003 bytes"),
        (
            {"sha256": OTHER, "size_bytes": 5_080_000_000, "size_source": "measured"},
            "256,004 bytes, expected 5,080,000,000 bytes",
        ),
    ],
)
def test_another_file_is_refused_before_its_download(
    hub: str, tmp_path: Path, pinned: dict[str, Any], says: str
) -> None:
    refused, said, bodies = fetch(hub, tmp_path, **pinned)
    assert says in refused
    assert "nothing was downloaded" in refused
    assert "\n" not in refused
    assert "(expected " in said
    assert bodies == 0
    assert left(tmp_path) == []


@pytest.mark.parametrize("source", ["card", "computed"])
def test_a_size_that_is_only_implied_refuses_nothing(hub: str, tmp_path: Path, source: str) -> None:
    found, said, bodies = fetch(hub, tmp_path, size_bytes=300_000, size_source=source)
    assert (found[1], bodies) == (256_004, 1)
    assert "256,004 bytes (expected 300,000 bytes)" in said
    assert "sha256 " + SHA256 + " (none expected)" in said


def test_the_difference_is_a_finding_of_the_report() -> None:
    def finding(expected: int | None, source: str | None, size: int) -> str | None:
        model = ModelSettings.model_validate(
            {"name": "m", "title": "M", "size_bytes": expected, "size_source": source}
        )
        return size_finding(model, size)

    line = "the file has 4,683,073,600 bytes; the config expects 5,080,000,000, as the card's words imply"
    assert finding(5_080_000_000, "card", 4_683_073_600) == line
    assert finding(4_680_000_000, "card", 4_683_073_600) is None  # rounded
    assert finding(4_683_073_760, "measured", 4_683_073_600) is not None
    assert finding(4_683_073_600, "measured", 4_683_073_600) is None
    assert finding(None, None, 4_683_073_600) is None


def test_a_renamed_repository_is_followed(hub: str, tmp_path: Path) -> None:
    source = {"hf": "old/name", "file": "model.gguf", "revision": "main"}
    refused, _, bodies = fetch(hub, tmp_path, source=source, sha256=OTHER)
    assert SHA256 in refused
    assert bodies == 0
    found, _, bodies = fetch(hub, tmp_path, source=source, sha256=SHA256)
    assert (found[0], bodies) == (SHA256, 1)


def test_gated_missing_and_offline_are_one_line(hub: str, tmp_path: Path) -> None:
    for source, offline, says in (
        ({"hf": "gated/model", "file": "model.gguf"}, False, "is gated"),
        ({"hf": "qwen/model", "file": "other.gguf"}, False, "has no file other.gguf"),
        ({"hf": "qwen/model", "file": "model.gguf"}, True, "HF_HUB_OFFLINE is set"),
    ):
        refused, _, bodies = fetch(hub, tmp_path, offline, source=source, sha256=SHA256)
        assert says in refused
        assert "\n" not in refused
        assert bodies == 0
    unreachable, _, _ = fetch("http://127.0.0.1:9", tmp_path)
    assert "Cannot reach http://127.0.0.1:9" in unreachable
    assert left(tmp_path) == []


def test_a_fetched_file_serves_offline(hub: str, tmp_path: Path) -> None:
    found, _, _ = fetch(hub, tmp_path, sha256=SHA256)
    assert fetch(hub, tmp_path, offline=True, sha256=SHA256)[0] == found
    refused = fetch(hub, tmp_path, offline=True, sha256=OTHER)[0]
    assert OTHER in refused
