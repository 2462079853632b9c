"""The scripted server itself: what other tests build on."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from http.client import HTTPException, IncompleteRead
from typing import Any

import pytest

from tests.backends.scripted_server import Reply, Request, ScriptedServer


def ask(url: str, key: str = "k", text: str = "hello") -> dict[str, Any]:
    body = {"model": "scripted", "messages": [{"role": "user", "content": text}]}
    call = urllib.request.Request(
        f"{url}/chat/completions", json.dumps(body).encode(), {"Authorization": f"Bearer {key}"}
    )
    with urllib.request.urlopen(call, timeout=10) as answer:
        found: dict[str, Any] = json.load(answer)
    return found


def echo(request: Request) -> Reply:
    return Reply(f"{request.number}: {request.text}", usage=(7, 3), cached=2, reasoning="hm")


def test_an_answer_is_what_the_script_says() -> None:
    with ScriptedServer(echo) as server:
        answer = ask(server.url)
    assert answer["choices"][0]["message"]["content"] == "0: hello"
    assert answer["choices"][0]["message"]["reasoning_content"] == "hm"
    assert answer["usage"]["total_tokens"] == 10
    assert server.requests[0].headers["authorization"] == "Bearer k"
    assert server.requests_in_flight_peak == 1


def test_models_are_listed_and_the_key_is_checked() -> None:
    with ScriptedServer(echo, models=["a", "b"], key="right") as server:
        call = urllib.request.Request(f"{server.url}/models", headers={"Authorization": "Bearer right"})
        with urllib.request.urlopen(call, timeout=10) as answer:
            assert [row["id"] for row in json.load(answer)["data"]] == ["a", "b"]
        with pytest.raises(urllib.error.HTTPError, match="401"):
            ask(server.url, key="wrong")
    assert server.requests == []


@pytest.mark.parametrize(
    ("reply", "error"),
    [
        (Reply("busy", status=429), urllib.error.HTTPError),
        (Reply("text", cut=20), IncompleteRead),
        (Reply(reset=True), OSError),
        (Reply(body=b"{nonsense"), ValueError),
    ],
)
def test_faults(reply: Reply, error: type[Exception]) -> None:
    with ScriptedServer(lambda _: reply) as server, pytest.raises(error):
        ask(server.url)


def test_a_dead_server_answers_nothing() -> None:
    with ScriptedServer(echo) as server:
        server.die()
        with pytest.raises((OSError, HTTPException)):
            ask(server.url)


def test_an_exception_in_the_script_reaches_the_test() -> None:
    def broken(request: Request) -> Reply:
        raise KeyError("script")

    with pytest.raises(KeyError), ScriptedServer(broken) as server, pytest.raises(urllib.error.HTTPError):
        ask(server.url)
