"""Runs over real Ray clusters with the real small model, and what is left of them after any end."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from tests.e2e.conftest import answers, command, evalkit
from tests.executors.clusters import (
    RAY_PROCESSES,
    all_gone,
    below,
    count,
    engine_of,
    tiny_run,
    two_nodes,
    until,
)

pytest.importorskip("ray")

RAY = ("+executor=ray", "executor.workers=2")


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What one engine on this machine answers."""
    run_dir = tmp_path_factory.mktemp("alone") / "run"
    done = evalkit(*tiny_run(run_dir), cwd=run_dir.parent)
    assert done.returncode == 0, done.stderr
    return answers(run_dir)


@contextmanager
def started(run_dir: Path, *more: str) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen(
        command(*tiny_run(run_dir, *RAY, *more)),
        cwd=run_dir.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def test_a_cluster_of_its_own(alone: dict[str, str], tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with started(run_dir) as process:
        processes: list[psutil.Process] = until(
            lambda: count(run_dir) and below(process.pid, *RAY_PROCESSES), seconds=300
        )
        listening = {
            connection.laddr.ip
            for one in (psutil.Process(process.pid), *processes)
            for connection in one.net_connections()
            if connection.status == psutil.CONN_LISTEN
        }
        _, shown = process.communicate(timeout=300)
    assert process.returncode == 0, shown
    assert listening <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}
    assert all_gone(processes)
    assert answers(run_dir) == alone
    engine = engine_of(run_dir)
    assert [worker["starts"] for worker in engine["workers"]] == [1, 1]
    peaks = [worker["peak_memory_bytes"] for worker in engine["workers"]]
    assert engine["peak_memory_bytes_sum"] == sum(peaks) > max(peaks) > 50 * 2**20
    assert [hardware["cores"] for hardware in engine["nodes"].values()] == [psutil.cpu_count(logical=False)]


def test_a_node_killed_in_mid_run(alone: dict[str, str], tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with two_nodes() as (cluster, node):
        raylet = node.all_processes["raylet"][0].process
        with started(run_dir, f"executor.address={cluster.address}") as process:
            doomed = until(lambda: count(run_dir) and below(raylet.pid, "children.llama_cpp"), seconds=300)
            cluster.remove_node(node, allow_graceful=False)
            before = count(run_dir)
            _, shown = process.communicate(timeout=300)
        assert process.returncode == 0, shown
        assert all_gone(doomed)
    assert before < len(alone)
    assert answers(run_dir) == alone


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGKILL])
def test_nothing_is_left_after_any_end(end: signal.Signals, alone: dict[str, str], tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with started(run_dir) as process:
        until(lambda: count(run_dir) or process.poll() is not None, seconds=300)
        processes = below(process.pid, *RAY_PROCESSES)
        assert process.poll() is None, process.communicate()
        assert any("children.llama_cpp" in " ".join(one.cmdline()) for one in processes)
        process.send_signal(end)
        _, shown = process.communicate(timeout=300)
    assert all_gone(processes)
    if end == signal.SIGINT:
        assert process.returncode == 130
        assert "the same command goes on" in shown.splitlines()[-1]
        assert "Traceback" not in shown
    kept = answers(run_dir)
    assert 0 < len(kept) < len(alone)
    done = evalkit(*tiny_run(run_dir, *RAY), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert answers(run_dir) == alone
    assert kept.items() <= answers(run_dir).items()


def test_one_cluster_after_the_other(tmp_path: Path) -> None:
    sweep = ("-m", "seed=0,1", "benchmark=tfns", "limit=1", "+executor=ray", "executor.workers=1")
    options = [o for o in tiny_run(tmp_path) if "=" in o and "convfinqa" not in o and "run_dir" not in o]
    done = evalkit("run", *options, *sweep, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    runs = list((tmp_path / "results" / "runs" / "smollm2-135m").iterdir())
    assert [count(run) for run in runs] == [1, 1]


def test_wrong_requests_are_one_line(tmp_path: Path) -> None:
    def refused(*more: str) -> str:
        done = evalkit(*tiny_run(tmp_path / "run", "+executor=ray", *more), cwd=tmp_path)
        assert done.returncode == 2, done.stderr
        return done.stderr.splitlines()[-1]

    assert "no Ray cluster" in refused("executor.address=127.0.0.1:1")
    assert "no room for even one" in refused("executor.resources.num_gpus=99")
    assert "leave it out" in refused("backend.port=8080")
    assert "executor.workers=0: must be a whole number, 1 or more" in refused("executor.workers=0")
