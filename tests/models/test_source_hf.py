from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

# The hub's settings are read when its package is imported, so each case of settings is a process.
CODE = """
import json, sys
from evalkit.schema import UserError
from evalkit.weights.fetch import resolve_weights as resolve
from tests.settings import model_settings
for source in json.loads(sys.argv[1]):
    try:
        found = resolve(model_settings(source=source))
        print(json.dumps([found.path.read_bytes().hex()[:8], found.sha256, found.size_bytes, found.origin]))
    except UserError as error:
        print(json.dumps(str(error)))
"""
GOOD = {"hf": "someone/model", "file": "model.gguf", "revision": "main"}


def run(home: Path, endpoint: str, *sources: dict[str, str], offline: bool = False) -> list[object]:
    settings = {"HF_ENDPOINT": endpoint, "HF_HOME": str(home / "hf"), "EVALKIT_CACHE": str(home / "cache")}
    settings |= {"HF_HUB_OFFLINE": "1" if offline else "0", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    command = [sys.executable, "-c", CODE, json.dumps(sources)]
    done = subprocess.run(
        command, env=os.environ | settings, capture_output=True, text=True, timeout=120, check=True
    )
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_downloads_then_works_offline(
    web: str, tmp_path: Path, content: bytes, sha256: str, commit: str
) -> None:
    (first,) = run(tmp_path, web, GOOD)
    assert first == [
        content.hex()[:8],
        sha256,
        len(content),
        f"hf:someone/model@{commit}/model.gguf",
    ]
    assert run(tmp_path, web, GOOD, offline=True) == [first]
    missing = {**GOOD, "file": "other.gguf"}
    (message,) = run(tmp_path, web, missing, offline=True)
    assert "HF_HUB_OFFLINE" in str(message)


def test_all_parts_of_a_split_model_are_fetched(web: str, tmp_path: Path) -> None:
    (found,) = run(
        tmp_path, web, {"hf": "someone/split", "file": "q/m-00001-of-00002.gguf", "revision": "main"}
    )
    assert isinstance(found, list)
    fetched = sorted(path.name for path in tmp_path.glob("hf/hub/*/snapshots/*/q/*"))
    assert fetched == ["m-00001-of-00002.gguf", "m-00002-of-00002.gguf"]


def test_refusals_name_the_remedy(web: str, tmp_path: Path) -> None:
    messages = run(
        tmp_path,
        web,
        {**GOOD, "hf": "nobody/model"},
        {**GOOD, "hf": "gated/model"},
        {**GOOD, "file": "other.gguf"},
        {**GOOD, "revision": "gone"},
        {**GOOD, "hf": "someone/huge"},
        {**GOOD, "hf": "not a name"},
    )
    parts = ("no repository", "is gated", "no file other.gguf", "no revision 'gone'", "HF_HOME", "not a name")
    for message, part in zip(messages, parts, strict=True):
        assert part in str(message)
        assert "\n" not in str(message)


def test_another_kind_of_server(web: str, tmp_path: Path) -> None:
    (message,) = run(tmp_path, f"{web}/files", GOOD)
    assert "HF_ENDPOINT" in str(message)
