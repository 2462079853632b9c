"""Whatever is killed, and whenever: the same command ends with the record of an undisturbed run.

EVALKIT_KILLS says how many kills of each kind (default 2).
"""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import psutil

from tests.e2e.conftest import answers, command, evalkit, small_run

KILLS = int(os.environ.get("EVALKIT_KILLS", "2"))
LONGEST_WAIT = 6.0  # seconds; the small run takes about that long on two free cores


@contextlib.contextmanager
def started(run_dir: Path) -> Iterator[subprocess.Popen[bytes]]:
    process = subprocess.Popen(
        command(*small_run(run_dir)),
        cwd=run_dir.parent,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def _listening() -> None:
    """What a shell starts in the background inherits a deaf ear for Ctrl-C, twice: ignored, and blocked."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def servers_of(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    with contextlib.suppress(psutil.Error):
        return [
            child
            for child in psutil.Process(process.pid).children(recursive=True)
            if any("children.llama_cpp" in word for word in child.cmdline())
        ]
    return []


def all_gone(processes: list[psutil.Process]) -> bool:
    _, alive = psutil.wait_procs(processes, timeout=60)
    return not alive


def test_killing_the_parent(undisturbed: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    chance = random.Random(KILLS)
    for _ in range(KILLS):
        with started(run_dir) as process:
            time.sleep(chance.uniform(0.3, LONGEST_WAIT))
            servers = servers_of(process)
            process.send_signal(signal.SIGKILL)
            process.wait()
        assert all_gone(servers), "a server outlived its parent"
    done = evalkit(*small_run(run_dir), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert answers(run_dir) == answers(undisturbed)


def test_killing_the_server(undisturbed: Path, tmp_path: Path) -> None:
    chance = random.Random(KILLS)
    kills = 0
    for attempt in range(3 * KILLS):
        run_dir = tmp_path / f"run-{attempt}"
        with started(run_dir) as process:
            while process.poll() is None and kills < KILLS:
                time.sleep(chance.uniform(0.3, LONGEST_WAIT / 2))
                for server in servers_of(process):
                    with contextlib.suppress(psutil.Error):
                        server.kill()
                        kills += 1
            servers = servers_of(process)
            process.wait()
        assert all_gone(servers)
        done = evalkit(*small_run(run_dir), cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        assert answers(run_dir) == answers(undisturbed)
        if kills >= KILLS:
            return
    raise AssertionError(f"only {kills} of {KILLS} kills hit a server")


def test_interrupting(undisturbed: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    process = subprocess.Popen(
        command(*small_run(run_dir)),
        cwd=tmp_path,
        stdin=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=_listening,
    )
    generations = run_dir / "generations.jsonl"
    while not generations.exists() or not generations.read_text():
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    servers = servers_of(process)  # type: ignore[arg-type]
    process.send_signal(signal.SIGINT)
    _, shown = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "the same command goes on" in shown.splitlines()[-1]
    assert "Traceback" not in shown
    assert all_gone(servers)
    kept = answers(run_dir)
    assert kept
    done = evalkit(*small_run(run_dir), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert answers(run_dir) == answers(undisturbed)
    assert kept.items() <= answers(run_dir).items()
