"""The ceiling over the sessions of one run, and dialogues whose earlier turn failed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.backends.scripted_server import Reply, Request, ScriptedServer
from tests.backends.test_remote_run import ITEMS, answer, records, run

# The prompt is free; an answer takes 30 tokens of at most 100, at a cent each.
MONEY = ("backend.prices.input=0", "backend.prices.output=10000")


def session_costs(run_dir: Path) -> list[float]:
    found: dict[str, Any] = json.loads((run_dir / "run.json").read_text())
    return [session["cost"]["spent"] for session in found["sessions"]]


def test_the_ceiling_counts_all_sessions_and_a_higher_one_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run_dir = tmp_path / "run"
    with ScriptedServer(answer) as server:
        settings = (f"backend.base_url={server.url}", *MONEY)
        assert run(run_dir, *settings, "backend.max_cost=4") == 1
        line = capsys.readouterr().err.strip().splitlines()[-1]
        assert line.startswith("evalkit: 3.3000 USD spent of backend.max_cost=4, and the next request could")
        assert "give a higher backend.max_cost" in line
        assert len(server.requests) == len(records(run_dir)) == 11

        assert run(run_dir, *settings, "backend.max_cost=4") == 1
        assert len(server.requests) == 11

        assert run(run_dir, *settings, "backend.max_cost=100") == 0
    assert len(server.requests) == len(records(run_dir)) == ITEMS
    assert session_costs(run_dir) == pytest.approx([3.3, 0, (ITEMS - 11) * 0.3])


def test_a_session_that_was_killed_before_it_could_say_what_it_cost_counts(tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    with ScriptedServer(answer) as server:
        settings = (f"backend.base_url={server.url}", *MONEY)
        assert run(run_dir, *settings, "backend.max_cost=4") == 1
        said = json.loads((run_dir / "run.json").read_text())
        said["sessions"][0]["cost"] = None
        (run_dir / "run.json").write_text(json.dumps(said))
        assert run(run_dir, *settings, "backend.max_cost=4") == 1
    assert len(server.requests) == 11


def test_turns_after_a_failed_one_wait_for_it(tmp_path: Path) -> None:
    """With the model's own answers as history, a turn must not be asked without the one before."""

    def second_turns_fail(request: Request) -> Reply:
        turns = sum(message["role"] == "user" for message in request.body["messages"])
        return Reply("overloaded", status=503) if turns == 2 else answer(request)

    with ScriptedServer(second_turns_fail) as server:
        settings = (f"backend.base_url={server.url}", "backend.attempts=2")
        assert run(tmp_path / "run", *settings) == 1
        assert all(len(request.body["messages"]) <= 3 for request in server.requests)
        server.handler = answer
        assert run(tmp_path / "run", *settings) == 0
    with ScriptedServer(answer) as server:
        assert run(tmp_path / "undisturbed", f"backend.base_url={server.url}", "backend.attempts=2") == 0
    assert records(tmp_path / "run") == records(tmp_path / "undisturbed")
