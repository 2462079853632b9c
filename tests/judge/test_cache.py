"""The judge's memory: what is in it after a kill, between processes, and when it is damaged."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from evalkit.judge.judge import CachedReply, VerdictCache
from evalkit.schema import UserError
from tests.backends.scripted_server import Reply, Request, ScriptedServer

from .judges import QUICK, lines, perfect, replayed, summary
from .judges import examples as examples_

KEPT = CachedReply('{"verdict": 1}', 2, 100, 10, 0.5)


def test_what_was_put_is_there_for_others_and_later(tmp_path: Path) -> None:
    path = tmp_path / "a" / "replies.sqlite"
    with VerdictCache(path) as cache, VerdictCache(path) as other:
        cache.put("k", KEPT)
        assert other.get("k") == KEPT
        other.put("k", CachedReply("later", 1, 1, 1, 0.0))
        assert cache.get("k") == KEPT
    with VerdictCache(path) as cache:
        assert cache.get("k") == KEPT
        assert cache.get("other") is None


def test_many_writers_at_once_lose_nothing(tmp_path: Path) -> None:
    path = tmp_path / "replies.sqlite"

    def write(number: int) -> None:
        with VerdictCache(path) as cache:
            for each in range(20):
                cache.put(f"{number}-{each}", KEPT)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    with VerdictCache(path) as cache:
        assert all(cache.get(f"{number}-{each}") == KEPT for number in range(4) for each in range(20))


def test_a_damaged_file_is_said_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "replies.sqlite"
    path.write_bytes(b"this is no database at all" * 100)
    with pytest.raises(UserError) as caught:
        VerdictCache(path)
    assert "remove it" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_nothing_is_judged_twice_after_a_kill(tmp_path: Path) -> None:
    run = replayed(tmp_path)
    know = perfect(examples_())
    victims: list[subprocess.Popen[bytes]] = []
    killed_at = 25

    def handler(request: Request) -> Reply:
        if request.number == killed_at and victims:
            os.kill(victims[0].pid, signal.SIGKILL)
        return know(request)

    with ScriptedServer(handler) as server:
        given = [
            "run",
            str(run),
            "judge=endpoint",
            f"judge.base_url={server.url}",
            QUICK,
            "judge.canaries=10",
        ]
        code = "import sys; from evalkit.commands.judge import main; sys.exit(main(sys.argv[1:]))"
        command = [sys.executable, "-c", code, *given]
        env = {**os.environ, "EVALKIT_CACHE": str(tmp_path / "cache")}
        victims.append(subprocess.Popen(command, env=env))
        assert victims[0].wait(timeout=120) == -signal.SIGKILL
        assert not (run / "judge.json").exists()
        answered = server.requests[: killed_at - 4]  # others were in flight when it died
        before = len(server.requests)
        assert subprocess.run(command, env=env, timeout=120, check=False).returncode == 0
        after = [request.text for request in server.requests[before:]]
        assert not {request.text for request in answered} & set(after)
        assert len(after) == len(set(after))
        sent = len(server.requests)
        assert subprocess.run(command, env=env, timeout=120, check=False).returncode == 0
        assert len(server.requests) == sent
    assert len(lines(run, "judgements.jsonl")) == summary(run)["spent"]["verdicts"] + _asked_once(run)


def _asked_once(run: Path) -> int:
    """Entries whose question had been asked for another one."""
    keys = [line["key"] for line in lines(run, "judgements.jsonl")]
    return len(keys) - len(set(keys))
