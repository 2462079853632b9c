"""A real vLLM on the real small model: EVALKIT_VLLM names the executable (.ci/vllm_environment makes one).

Starting vLLM takes most of the time here, so one run is asked for everything.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from tests.vllm.checkpoint_of_gguf import disturbed_checkpoint
from tests.vllm.conftest import real_vllm

BENCHMARKS = {"finqa", "convfinqa", "ant_finance", "tfns", "finance_instruct"}


def command(small_checkpoint: Path, run_dir: Path) -> list[str]:
    return [
        *(sys.executable, "-m", "evalkit", "run", "+model=fin-r1"),
        f"model.path={small_checkpoint}",
        "model.name=smollm2-135m",
        "data=sample",
        f"benchmark={','.join(sorted(BENCHMARKS))}",
        "limit=2",
        "protocol.max_tokens=12",
        f"backend.executable={real_vllm()}",
        "backend.enforce_eager=true",
        "probe=true",
        f"run_dir={run_dir}",
    ]


def lines(run_dir: Path) -> list[str]:
    """The finished records."""
    file = run_dir / "generations.jsonl"
    return file.read_text(encoding="utf-8").splitlines() if file.exists() else []


def listening(family: list[psutil.Process]) -> set[str]:
    """The addresses on which these processes accept connections."""
    found = [c for process in family for c in process.net_connections("inet")]
    return {connection.laddr.ip for connection in found if connection.status == psutil.CONN_LISTEN}


def environments(family: list[psutil.Process]) -> list[dict[str, str]]:
    return [process.environ() for process in family]


@pytest.mark.skipif(not os.environ.get("EVALKIT_VLLM"), reason="EVALKIT_VLLM names no vllm executable")
def test_killed_and_gone_on_with_through_all_five_benchmarks(small_checkpoint: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    words = command(small_checkpoint, run_dir)
    with subprocess.Popen(words, stdin=subprocess.DEVNULL, cwd=tmp_path, stderr=subprocess.PIPE) as first:
        while not lines(run_dir):
            assert first.poll() is None, first.stderr and first.stderr.read().decode()
            time.sleep(0.2)
        family = psutil.Process(first.pid).children(recursive=True)
        assert len(family) >= 4, "the watchdog, the server, its engine and worker"
        assert listening(family) == {"127.0.0.1"}
        keys = {found["VLLM_API_KEY"] for found in environments(family) if "VLLM_API_KEY" in found}
        assert len(keys) == 1
        key = keys.pop()
        assert all(key not in word for process in family for word in process.cmdline())
        first.send_signal(signal.SIGKILL)
        first.wait()
        _, alive = psutil.wait_procs(family, timeout=60)
        assert not alive, "something outlived its killed parent"
    kept = lines(run_dir)

    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = lines(run_dir)
    assert found[: len(kept) - 1] == kept[:-1], "what was finished is not done again"
    records = [json.loads(line) for line in found]
    assert len({record["key"] for record in records}) == len(records)
    assert {record["benchmark"] for record in records} == BENCHMARKS
    assert all(record["text"] and record["error"] is None for record in records)
    assert any(record["cached_tokens"] for record in records), "no prefix was found in the cache"
    check_facts(json.loads((run_dir / "run.json").read_text(encoding="utf-8")))
    check_fidelity(run_dir, small_checkpoint, tmp_path)
    for file in run_dir.iterdir():
        assert key.encode() not in file.read_bytes(), file.name
    assert not [p for p in psutil.Process().children(recursive=True) if p.status() != psutil.STATUS_ZOMBIE]


def check_fidelity(run_dir: Path, small_checkpoint: Path, tmp_path: Path) -> None:
    """The answers are the checkpoint's own; one whose weights were disturbed would go on otherwise."""
    disturbed = disturbed_checkpoint(small_checkpoint, tmp_path / "disturbed")
    words = ["fidelity", str(run_dir), str(disturbed), "benchmark=tfns,finqa", "top=20", "json=true"]
    done = subprocess.run(
        [sys.executable, "-m", "evalkit", *words, f"out={tmp_path / 'fidelity'}"],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert "vllm" in found["library"]
    assert found["greedy"] > 0.9, "what the reference finds likeliest is what it generated"
    assert 0.5 < found["kept_mass"] < 1
    [file] = found["files"]
    assert file["average"]["kl"]["value"] > 0.01
    assert file["average"]["agreement"]["value"] < 1


def check_facts(run: dict[str, dict[str, object]]) -> None:
    engine, measured = run["engine"], run["measured"]
    assert engine["engine"] == "vllm"
    assert isinstance(engine["checkpoint"], dict)
    assert "model.safetensors" in engine["checkpoint"]["files"]
    for fact in (engine["kv_cache_tokens"], engine["context_per_slot"], measured["peak_memory_bytes"]):
        assert isinstance(fact, int)
        assert fact > 1000
    assert measured["prompt_tokens_distinct"]
    assert isinstance(measured["probe"], dict)
    assert measured["probe"]["decode_tokens_per_second"] > 1
