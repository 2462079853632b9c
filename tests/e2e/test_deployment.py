"""What deployments vary, with the real server and the small model: it takes effect, and memory follows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import gguf
import numpy as np
import pytest

from tests.e2e.conftest import MODEL, evalkit, records

WORDS = ("data=sample", "benchmark=tfns", "limit=2", "protocol.max_tokens=12", "backend.slots=1")


def run(folder: Path, *more: str) -> tuple[list[str], dict[str, Any]]:
    """The texts of a run with these settings, and what its run.json says of the engine."""
    done = evalkit("run", MODEL, *WORDS, *more, "run_dir=run", cwd=folder)
    assert done.returncode == 0, done.stderr
    texts = {record["id"]: record["text"] for record in records(folder / "run")}
    return [texts[name] for name in sorted(texts)], json.loads((folder / "run/run.json").read_text())[
        "engine"
    ]


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], dict[str, Any]]:
    return run(tmp_path_factory.mktemp("plain"), "backend.context=512")


def test_types_of_the_cache_and_rope(plain: tuple[list[str], dict[str, Any]], tmp_path: Path) -> None:
    types = ("backend.cache_type_k=q8_0", "backend.cache_type_v=q4_0", "backend.flash_attention=on")
    rope = ("backend.rope.scaling=linear", "backend.rope.factor=8")
    texts, engine = run(tmp_path, "backend.context=512", *types, *rope)
    assert (engine["cache_type_k"], engine["cache_type_v"]) == ("q8_0", "q4_0")
    assert engine["rope"] == {"scaling": "linear", "factor": 8.0}
    # 34 and 18 bytes for 32 values of two bytes each.
    assert engine["predicted_memory"]["kv"] == plain[1]["predicted_memory"]["kv"] * (34 + 18) // 128
    assert texts != plain[0]


def test_an_adapter(plain: tuple[list[str], dict[str, Any]], tmp_path: Path) -> None:
    """A random one changes what is said, and with a scale of 0 it changes nothing."""
    path = tmp_path / "adapter.gguf"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", 4.0)
    draw = np.random.default_rng(0)
    for layer in range(30):
        for half in ("a", "b"):
            shape = (4, 576) if half == "a" else (576, 4)
            name = f"blk.{layer}.attn_q.weight.lora_{half}"
            writer.add_tensor(name, draw.normal(0, 1, shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    found = {}
    for scale in ("1", "0"):
        folder = tmp_path / scale
        folder.mkdir()
        found[scale] = run(
            folder, "backend.context=512", f"backend.lora={path}", f"backend.lora_scale={scale}"
        )
    assert found["1"][0] != plain[0]
    assert found["0"][0] == plain[0]
    assert found["1"][1]["lora_sha256"] == found["0"][1]["lora_sha256"]


def test_a_draft(plain: tuple[list[str], dict[str, Any]], model_file: Path, tmp_path: Path) -> None:
    """The model as its own draft: its proposals are taken, and memory holds two."""
    _, engine = run(tmp_path, "backend.context=512", f"backend.draft={model_file}", "backend.draft_tokens=4")
    assert engine["draft_sha256"] == engine["weights_sha256"]
    assert engine["draft_tokens"] == 4
    both, alone = engine["predicted_memory"], plain[1]["predicted_memory"]
    assert (both["weights"], both["kv"]) == (2 * alone["weights"], 2 * alone["kv"])
    measured = json.loads((tmp_path / "run/run.json").read_text())["measured"]["peak_memory_bytes"]
    assert measured > 1.5 * alone["weights"]
    asked = ("users=1", "requests=2", f"backend.draft={model_file}", "json=true")
    done = evalkit("load", MODEL, *WORDS, *asked, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    level = found["levels"][0]
    assert level["draft_tokens"] >= level["draft_accepted"] > 0
    assert ["--model-draft", str(model_file)] == found["command"][-4:-2]


def test_a_draft_beside_a_binary(llama_server: Path, model_file: Path, tmp_path: Path) -> None:
    texts, engine = run(
        tmp_path, "backend.context=512", f"backend.binary={llama_server}", f"backend.draft={model_file}"
    )
    assert len(texts) == 2
    assert "draft_sha256" in engine
