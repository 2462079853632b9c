"""`evalkit load` with the real server and the small model, and the server's own command line."""

from __future__ import annotations

import json
from pathlib import Path

from tests.e2e.conftest import evalkit

WORDS = ("data=sample", "benchmark=tfns", "protocol.max_tokens=8", "backend.slots=2")


def test_two_levels_of_users(tmp_path: Path) -> None:
    shape = ("backend.context=512", "backend.cache_type_k=q8_0", "backend.threads=1")
    words = ("users=2,1", "requests=2", "json=true")
    done = evalkit("load", "smollm2-135m", *WORDS, *shape, *words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert [(each["users"], each["done"]) for each in found["levels"]] == [(1, 2), (2, 4)]
    for each in found["levels"]:
        assert each["first_token"]["n"] == each["done"]
        assert 0 < each["first_token"]["p50"] <= each["answer"]["p99"] <= each["seconds"]
        assert each["prompt_tokens"] > 0
        assert 0 < each["answer_tokens"] <= 8 * each["done"]
        assert each["peak_memory_bytes"] > 2**26
    line = " ".join(found["command"])
    for words_of_it in ("--parallel 2 --ctx-size 1024", "--threads 1", "--cache-type-k q8_0", found["file"]):
        assert words_of_it in line
    assert json.loads(next(tmp_path.glob("results/load/*/*/load.json")).read_text()) == found
