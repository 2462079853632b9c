"""`evalkit gguf` and `python -m bench memory|synthetic`, on real files and with the real engine."""

from __future__ import annotations

import json
from pathlib import Path

import gguf
import numpy as np
import pytest

from tests.e2e.conftest import evalkit

# Weights, cache and buffers weigh more than the process, so that they are what is compared.
SHAPE = ["layers=4", "hidden=1024", "feed_forward=8192", "heads=8", "kv_heads=4", "vocabulary=8000"]


def hostile(path: Path) -> Path:
    """A file whose every string tries to reach the terminal."""
    attack = "\x1b]0;owned\x07\x1b[2J[red]bold[/red]\r\nforged line\u202e\x9b31m"
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name(attack)
    writer.add_quantized_by(attack)
    writer.add_string(f"quantize.imatrix.{attack}", attack)
    writer.add_chat_template(attack)
    writer.add_tensor(f"blk.0.attn_q{attack}.weight", np.zeros((2, 32), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def test_the_small_model_is_told_in_full(model_file: Path, tmp_path: Path) -> None:
    done = evalkit("gguf", str(model_file), "context=4096", "slots=4", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    for told in ("98,362,432 bytes", "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"):
        assert told in done.stdout
    lines = [line.split() for line in done.stdout.splitlines()]
    assert ["Q4_1", "210", "106,168,320", "66,355,200", "5.0000"] in lines
    assert ["kv", "360", "MiB"] in lines  # as llama.cpp logs it: "KV buffer size = 360.00 MiB"
    assert ["found", "Q4_1"] in lines
    assert ["contradiction", "none"] in lines


def test_json_says_the_same(model_file: Path, tmp_path: Path) -> None:
    done = evalkit("gguf", str(model_file), "claimed=q4_k", "json=true", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["recipe"]["contradictions"] == [
        "claimed Q4_K: 210 of 210 tensors are Q4_1; found: pure Q4_1"
    ]
    assert (
        sum(found["memory"][part] for part in ("weights", "kv", "compute", "process"))
        == found["memory"]["total"]
    )
    assert sum(group["bytes"] for group in found["recipe"]["groups"]) == found["tensor_bytes"]


def test_hostile_strings_reach_no_terminal(tmp_path: Path) -> None:
    path = hostile(tmp_path / "x.gguf")
    shown = evalkit("gguf", str(path), cwd=tmp_path)
    as_json = evalkit("gguf", str(path), "json=true", cwd=tmp_path)
    strict = evalkit("gguf", str(path), "claimed=q8_0", "strict=true", cwd=tmp_path)
    assert (shown.returncode, as_json.returncode, strict.returncode) == (0, 0, 2)
    assert "[red]bold[/red]" in shown.stdout  # told as it is, not as colour
    assert "its memory cannot be predicted" in shown.stdout
    assert not any(line.startswith("forged") for line in shown.stdout.splitlines())
    for text in (shown.stdout, as_json.stdout, strict.stderr):
        assert not set(text) & {"\x1b", "\x07", "\r", "\x9b", "\u202e"}


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["gguf"], "give a file"),
        (["gguf", "no.gguf"], "is not a file"),
        (["gguf", "text.gguf"], "does not begin with GGUF"),
        (["gguf", "MODEL", "claimed=q4_k", "strict=true"], "210 of 210 tensors are Q4_1"),
        (["gguf", "MODEL", "claimed=q99"], "no such recipe"),
        (["gguf", "MODEL", "context=0"], "whole number"),
        (["gguf", "MODEL", "slot=4"], "Did you mean slots"),
        (["gguf", "MODEL", "strict=maybe"], "true or false"),
        (["gguf", "MODEL", "json"], "give a file"),
        (["bench", "synthetic"], "give the file to write"),
        (["bench", "synthetic", "text.gguf"], "exists already"),
        (["bench", "synthetic", "x.gguf", "recipe=q4"], "no recipe 'q4'"),
        (["bench", "synthetic", "x.gguf", "vocabulary=10"], "at least 259"),
        (["bench", "memory", "recipe=q4_1"], "no recipe 'q4_1'"),
        (["bench", "memory", "context=512"], "at least 1024"),
        (["bench", "memory", "context=65536"], "the model has 32768"),
        (["bench", "memory", "dir=nowhere"], "no such folder"),
        (["bench", "memory", "layers=20000"], "GB free"),
    ],
)
def test_wrong_requests_are_one_line(
    model_file: Path, tmp_path: Path, arguments: list[str], says: str
) -> None:
    (tmp_path / "text.gguf").write_text("not a model, whatever its name says")
    module = "bench" if arguments[0] == "bench" else "evalkit"
    words = [str(model_file) if word == "MODEL" else word for word in arguments if word != "bench"]
    done = evalkit(*words, cwd=tmp_path, module=module)
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "x.gguf").exists()


def test_predicted_memory_is_what_the_engine_takes(tmp_path: Path) -> None:
    """Rearranged and other weights, one slot and several, served in the real child with full contexts."""
    arguments = ["recipe=q4_0,q6_k", "context=2048", "slots=1,3", f"dir={tmp_path}", *SHAPE]
    done = evalkit("memory", *arguments, cwd=tmp_path, module="bench")
    assert done.returncode == 0, done.stderr
    rows = [line.split() for line in done.stdout.splitlines() if " x 2048" in line]
    assert [(row[0], row[1]) for row in rows] == [("q4_0", "1"), ("q4_0", "3"), ("q6_k", "1"), ("q6_k", "3")]
    assert all(float(row[-1]) == pytest.approx(1, abs=0.05) for row in rows), done.stdout
    assert list(tmp_path.iterdir()) == []  # files and states are gone


def test_a_synthetic_file_is_what_it_says(tmp_path: Path) -> None:
    path = tmp_path / "tiny-q4_k_s.gguf"
    arguments = ["recipe=q4_k_s", "layers=8", "hidden=256", "feed_forward=512", "heads=2", "kv_heads=1"]
    made = evalkit("synthetic", str(path), *arguments, "vocabulary=600", cwd=tmp_path, module="bench")
    assert made.returncode == 0, made.stderr
    done = evalkit("gguf", str(path), "strict=true", "json=true", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["recipe"]["found"] == "Q4_K_S mix"
