"""Whole runs against services that fail: the same records as without faults, each once."""

from __future__ import annotations

import hashlib
import json
import threading
from collections import Counter, defaultdict
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from evalkit.__main__ import main
from tests.backends.scripted_server import Reply, Request, ScriptedServer

KEY = "sk-only-in-the-environment"
ITEMS = 34  # in the samples of FinQA and ConvFinQA


@pytest.fixture(autouse=True)
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def run(run_dir: Path, *overrides: str) -> int:
    return main(
        [
            "run",
            "+model=endpoint",
            "data=sample",
            "benchmark=[finqa,convfinqa]",
            "benchmark.convfinqa.history=own",
            "protocol.max_tokens=100",
            "backend.slots=4",
            "backend.backoff=0.005",
            "backend.attempts=12",
            f"run_dir={run_dir}",
            *overrides,
        ]
    )


def answer(request: Request) -> Reply:
    """An answer that depends on every letter of the prompt."""
    digest = hashlib.sha256(request.text.encode()).hexdigest()
    text = f"\\boxed{{{int(digest[:4], 16)}}}"
    return Reply(text, reasoning=f"thinking of {digest[:8]}", usage=(len(request.text) // 4, 30))


class Faulty:
    """Of all requests 10 % each: 429, 500, reset, stall, half a body. The same on every run."""

    FAULTS = (
        Reply("slow down", status=429, headers={"retry-after-ms": "10"}),
        Reply("oops", status=500),
        Reply(reset=True),
        Reply(delay=4.0),
        Reply("this will be cut off", cut=40),
    )

    def __init__(self) -> None:
        self._tries: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.faults: Counter[int] = Counter()

    def __call__(self, request: Request) -> Reply:
        with self._lock:
            self._tries[request.text] += 1
            seed = f"{self._tries[request.text]} {request.text}"
            die = hashlib.sha256(seed.encode()).digest()[0] % 10
            self.faults[die] += 1
        return self.FAULTS[die] if die < len(self.FAULTS) else answer(request)


def records(run_dir: Path) -> dict[str, tuple[Any, ...]]:
    """What must depend neither on faults nor on the servers, by name; fails if a name or key occurs twice."""
    lines = [json.loads(line) for line in (run_dir / "generations.jsonl").read_text().splitlines()]
    found = {
        f"{r['benchmark']} {r['id']} {r['turn']}": (
            r["text"],
            r["finish_reason"],
            r["prompt_tokens"],
            r["error"],
        )
        for r in lines
    }
    assert len(found) == len({r["key"] for r in lines}) == len(lines)
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run_dir = tmp_path_factory.mktemp("remote") / "run"
    with pytest.MonkeyPatch.context() as patch, ScriptedServer(answer, key=KEY) as server:
        patch.setenv("OPENAI_API_KEY", KEY)
        assert run(run_dir, f"backend.base_url={server.url}") == 0
        assert len(server.requests) == ITEMS
    return run_dir


def engine_facts(run_dir: Path) -> dict[str, Any]:
    facts: dict[str, Any] = json.loads((run_dir / "run.json").read_text())["engine"]
    return facts


def test_half_of_all_requests_fail_and_the_records_are_the_same(undisturbed: Path, tmp_path: Path) -> None:
    faulty = Faulty()
    with ScriptedServer(faulty, key=KEY) as server:
        assert run(tmp_path / "run", f"backend.base_url={server.url}", "backend.timeout=2") == 0
    assert records(tmp_path / "run") == records(undisturbed)
    assert len(records(undisturbed)) == ITEMS
    assert all(faulty.faults[kind] for kind in range(len(Faulty.FAULTS)))
    facts = engine_facts(tmp_path / "run")
    assert facts["requests"] == len(server.requests) == ITEMS + facts["retries"]
    assert facts["given_up"] == 0


def test_no_key_is_anywhere_in_a_run_folder(undisturbed: Path) -> None:
    files = [path for path in undisturbed.rglob("*") if path.is_file()]
    assert len(files) > 5
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
    assert "OPENAI_API_KEY" in (undisturbed / "config.yaml").read_text()


def test_questions_of_one_page_stay_on_one_of_two_replicas(undisturbed: Path, tmp_path: Path) -> None:
    with ScriptedServer(answer) as one, ScriptedServer(answer) as two:
        assert run(tmp_path / "run", f"backend.urls=[{one.url},{two.url}]") == 0
        assert len(one.requests) + len(two.requests) == ITEMS
        assert one.requests
        assert two.requests
    where = defaultdict(set)
    for server in (one, two):
        for request in server.requests:
            where[request.text[:200]].add(server.url)
    assert 5 < len(where) < 20
    assert all(len(servers) == 1 for servers in where.values())
    assert records(tmp_path / "run") == records(undisturbed)


@pytest.mark.parametrize("last_word", ["reset", "stall", "500"])
def test_one_of_two_replicas_dies_in_mid_run(last_word: str, undisturbed: Path, tmp_path: Path) -> None:
    def mortal(request: Request) -> Reply:
        if request.number < 5:
            return answer(request)
        if last_word == "reset":
            dying.die()
        return Reply("broken", status=500) if last_word == "500" else Reply(delay=60)

    with ScriptedServer(mortal) as dying, ScriptedServer(answer) as healthy:
        urls = f"backend.urls=[{dying.url},{healthy.url}]"
        assert run(tmp_path / "run", urls, "backend.attempts=3", "backend.timeout=1") == 0
        dead, alive = engine_facts(tmp_path / "run")["replicas"]
        assert (dead["departures"] > 0, alive["departures"]) == (True, 0)
        assert (dead["answered"], alive["answered"]) == (5, ITEMS - 5)
    assert f"{dying.url} leaves the pool" in (tmp_path / "run" / "engine.log").read_text()
    assert records(tmp_path / "run") == records(undisturbed)


def test_a_replica_that_is_back_is_used_again(tmp_path: Path) -> None:
    def away_for_a_while(request: Request) -> Reply:
        return Reply("starting", status=503) if request.number < 3 else answer(request)

    def slow(request: Request) -> Reply:
        return Reply(answer(request).text, delay=0.05)

    with ScriptedServer(away_for_a_while) as restarted, ScriptedServer(slow) as healthy:
        urls = f"backend.urls=[{restarted.url},{healthy.url}]"
        assert run(tmp_path / "run", urls, "backend.attempts=3", "backend.slots=1") == 0
        facts = engine_facts(tmp_path / "run")["replicas"][0]
    assert facts["departures"] == 1
    assert facts["answered"] > 0
    assert "is back in the pool" in (tmp_path / "run" / "engine.log").read_text()


def test_a_replica_that_is_away_at_the_start_does_not_hinder_the_other(
    undisturbed: Path, tmp_path: Path
) -> None:
    with ExitStack() as servers:
        healthy, away = (servers.enter_context(ScriptedServer(answer)) for _ in range(2))
        away.die()
        assert run(tmp_path / "run", f"backend.urls=[{away.url},{healthy.url}]") == 0
        gone = engine_facts(tmp_path / "run")["replicas"][0]
    assert (gone["departures"], gone["out"], gone["reason"]) == (1, True, "connection refused")
    assert records(tmp_path / "run") == records(undisturbed)


def test_replicas_of_different_models_are_no_pool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedServer(answer, models=["a"]) as one, ScriptedServer(answer, models=["b"]) as two:
        assert run(tmp_path / "run", f"backend.urls=[{one.url},{two.url}]") == 2
    assert "a pool is several servers of one model" in capsys.readouterr().err


def test_failed_requests_are_recorded_counted_and_tried_again_by_the_same_command(tmp_path: Path) -> None:
    def overloaded(request: Request) -> Reply:
        lucky = hashlib.sha256(request.text.encode()).digest()[0] % 4
        return answer(request) if lucky else Reply("overloaded", status=503)

    run_dir = tmp_path / "run"
    with ScriptedServer(overloaded) as server:
        plain = (
            f"backend.base_url={server.url}",
            "backend.attempts=2",
            "benchmark.convfinqa.history=gold",
        )
        assert run(run_dir, *plain) == 1
        first = records(run_dir)
        failed = [record for record in first.values() if record[-1]]
        assert 0 < len(failed) < ITEMS
        assert {record[-1] for record in failed} == {"engine_error: HTTP 503: overloaded (2 attempts)"}
        sent = len(server.requests)
        server.handler = answer
        assert run(run_dir, *plain) == 0
        assert len(server.requests) - sent == len(failed)
    again = records(run_dir)
    assert again.keys() == first.keys()
    assert not [record for record in again.values() if record[-1]]


def test_a_service_that_goes_away_for_good_ends_the_run_with_one_line(
    undisturbed: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "run"
    with ScriptedServer(lambda r: answer(r) if r.number < 10 else Reply("gone", status=502)) as server:
        settings = (f"backend.base_url={server.url}", "backend.attempts=3")
        assert run(run_dir, *settings) == 1
        last = capsys.readouterr().err.strip().splitlines()[-1]
        assert f"evalkit: {server.url} answers nothing any more" in last
        assert "HTTP 502: gone (3 attempts)" in last
        assert "the same command goes on" in last
        assert len(server.requests) <= 10 + 3 * 2 * 4 * 2
        server.handler = answer
        assert run(run_dir, *settings) == 0
    assert records(run_dir) == records(undisturbed)
