"""Real Ray clusters on this machine, and what runs below them."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psutil

from tests.e2e.conftest import MODEL

RAY_PROCESSES = ("raylet", "gcs_server", "ray::", "children.llama_cpp")


def tiny_run(run_dir: Path, *more: str) -> Sequence[str]:
    """Short questions and a dialogue with the model's own answers; a worker is one slot on one thread."""
    return [
        "run",
        MODEL,
        "data=sample",
        "benchmark=[tfns,convfinqa]",
        "benchmark.convfinqa.history=own",
        "benchmark.convfinqa.limit=1",
        "limit=12",
        "protocol.max_tokens=8",
        "backend.slots=1",
        "backend.threads=1",
        f"run_dir={run_dir}",
        *more,
    ]


@contextlib.contextmanager
def two_nodes() -> Iterator[tuple[Any, Any]]:
    """A cluster of two machines with room for one worker each, and the one that is not its head."""
    from ray.cluster_utils import Cluster

    cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 1, "include_dashboard": False})
    try:
        yield cluster, cluster.add_node(num_cpus=1)
    finally:
        cluster.shutdown()


def until(met: Callable[[], Any], seconds: float = 120) -> Any:
    """The first true value of `met`."""
    end = time.monotonic() + seconds
    while not (value := met()):
        assert time.monotonic() < end, "it did not come to that"
        time.sleep(0.1)
    return value


def below(pid: int, *words: str) -> list[psutil.Process]:
    """The processes below `pid` with one of `words` in their command lines."""
    found = []
    with contextlib.suppress(psutil.Error):
        for child in psutil.Process(pid).children(recursive=True):
            with contextlib.suppress(psutil.Error):
                if any(word in " ".join(child.cmdline()) for word in words):
                    found.append(child)
    return found


def all_gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=60)
    return not alive


def engine_of(run_dir: Path) -> dict[str, Any]:
    """The `engine` block of run.json."""
    engine: dict[str, Any] = json.loads((run_dir / "run.json").read_text())["engine"]
    return engine


def count(run_dir: Path) -> int:
    """Records on disk."""
    file = run_dir / "generations.jsonl"
    return len(file.read_bytes().splitlines()) if file.exists() else 0
