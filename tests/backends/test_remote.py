"""The remote engine against a scripted service: what is sent, what comes back, and every kind of fault."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.engines.client import NoAccess
from evalkit.engines.remote import Remote
from evalkit.schema import EngineUnusable, UserError
from tests.backends.helpers import GREEDY, answers, ask, remote
from tests.backends.scripted_server import Reply, Request, ScriptedServer

Handler = Callable[[Request], Reply]


def first(*replies: Reply) -> Handler:
    """These replies in order of arrival, then good ones."""
    return lambda request: replies[request.number] if request.number < len(replies) else Reply("42")


def test_an_answer_with_its_reasoning_and_its_tokens(tmp_path: Path) -> None:
    def handler(request: Request) -> Reply:
        return Reply("42", reasoning="6 * 7", usage=(20, 8), cached=16, finish_reason="length")

    with ScriptedServer(handler) as server:
        (answer,) = answers(remote(tmp_path / "log", f"backend.base_url={server.url}"), "6 * 7?")
    assert answer.text == "<think>\n6 * 7\n</think>\n42"
    assert (answer.prompt_tokens, answer.cached_tokens, answer.completion_tokens) == (20, 16, 8)
    assert (answer.finish_reason, answer.error) == ("length", None)
    assert server.requests[0].body == {
        "model": "scripted",
        "messages": [{"role": "user", "content": "6 * 7?"}],
        "temperature": 0.0,
        "top_p": 1.0,
        "max_tokens": 100,
        "seed": 1,
    }


def test_a_schema_is_sent_as_response_format(tmp_path: Path) -> None:
    sampling = replace(GREEDY, json_schema='{"type": "object"}')
    with ScriptedServer(first()) as server:
        answers(remote(tmp_path / "log", f"backend.base_url={server.url}"), "x", sampling=sampling)
    sent = server.requests[0].body["response_format"]
    assert sent["type"] == "json_schema"
    assert sent["json_schema"]["schema"] == {"type": "object"}


def test_extra_parameters_are_added_and_a_null_leaves_one_out(tmp_path: Path) -> None:
    with ScriptedServer(first()) as server:
        url = f"backend.base_url={server.url}"
        more = ("+backend.extra.max_completion_tokens=50", "+backend.extra.max_tokens=null")
        engine = remote(tmp_path / "log", url, *more)
        answers(engine, "x")
        plain = remote(tmp_path / "log", url)
    assert server.requests[0].body["max_completion_tokens"] == 50
    assert "max_tokens" not in server.requests[0].body
    assert engine.identity() != plain.identity()


@pytest.mark.parametrize(
    ("owner", "sent"),
    [
        ("vllm", {"top_k": -1, "min_p": 0.0, "repetition_penalty": 1.05}),
        ("llamacpp", {"top_k": -1, "min_p": 0.0, "repeat_penalty": 1.05}),
    ],
)
def test_servers_with_defaults_of_their_own_are_told_everything(
    owner: str, sent: dict[str, float], tmp_path: Path
) -> None:
    with ScriptedServer(first(), facts={"owned_by": owner}) as server:
        engine = remote(tmp_path / "log", f"backend.base_url={server.url}")
        answers(engine, "x", sampling=replace(GREEDY, repetition_penalty=1.05))
    assert server.requests[0].body.items() >= sent.items()


def test_other_services_are_not_sent_what_they_may_refuse(tmp_path: Path) -> None:
    wants_more = replace(GREEDY, top_k=20)
    with ScriptedServer(first()) as server:
        url = f"backend.base_url={server.url}"
        with pytest.raises(UserError, match=r"protocol\.top_k=20: .*backend\.send_extended=true"):
            answers(remote(tmp_path / "log", url), "x", sampling=wants_more)
        answers(remote(tmp_path / "log", url, "backend.send_extended=true"), "x", sampling=wants_more)
    (request,) = server.requests
    assert request.body["top_k"] == 20
    assert "min_p" not in request.body


@pytest.mark.parametrize(
    "fault",
    [
        *(Reply("try later", status=status) for status in (408, 409, 425, 429, 500, 502, 503, 504, 529)),
        Reply(reset=True),
        Reply("a long enough answer", cut=20),
        Reply(body=b"{half"),
        Reply(body=b"<html>bad gateway</html>"),
        Reply(body=b'{"error": {"message": "upstream"}}'),
        Reply(delay=3.0),
    ],
)
def test_what_may_pass_is_tried_again(fault: Reply, tmp_path: Path) -> None:
    with ScriptedServer(first(fault, fault)) as server:
        engine = remote(tmp_path / "log", f"backend.base_url={server.url}", "backend.timeout=0.5")
        (answer,) = answers(engine, "x")
        assert (answer.text, answer.error) == ("42", None)
        assert len(server.requests) == 3
        assert engine.description()["retries"] == 2
        assert (tmp_path / "log").read_text().count("again in") == 2


@pytest.mark.parametrize("status", [400, 403, 404, 413, 422])
def test_a_refusal_is_not_tried_again(status: int, tmp_path: Path) -> None:
    def handler(request: Request) -> Reply:
        return Reply("no such\nthing", status=status) if request.text == "bad" else Reply("42")

    async def story(engine: Remote) -> list[str | None]:
        return [answer.error for text in ("good", "bad") for answer in await ask(engine, [text])]

    with ScriptedServer(handler) as server:
        engine = remote(tmp_path / "log", f"backend.base_url={server.url}")
        assert asyncio.run(story(engine)) == [None, f"engine_error: HTTP {status}: no such thing"]
        assert len(server.requests) == 2


def test_a_prompt_that_is_too_long_is_not_the_engines_failure(tmp_path: Path) -> None:
    too_long = Reply("This model's maximum context length is 4096 tokens", status=400)
    with ScriptedServer(first(too_long)) as server:
        (answer,) = answers(remote(tmp_path / "log", f"backend.base_url={server.url}"), "x")
    assert answer.error == "context_overflow"


@pytest.mark.parametrize(
    "headers",
    [
        {"Retry-After": "1"},
        {"retry-after-ms": "1000"},
        {
            "Retry-After": "Wed, 21 Oct 2015 07:28:01 GMT",
            "Date": "Wed, 21 Oct 2015 07:28:00 GMT",
        },
        {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1s"},
    ],
)
def test_the_wait_that_a_service_asks_for_is_kept_by_all_requests(
    headers: dict[str, str], tmp_path: Path
) -> None:
    arrived: list[float] = []

    def handler(request: Request) -> Reply:
        arrived.append(time.monotonic())
        return Reply("slow down", status=429, headers=headers) if request.number == 0 else Reply("42")

    with ScriptedServer(handler) as server:
        engine = remote(tmp_path / "log", f"backend.base_url={server.url}", "backend.slots=1")
        assert [answer.text for answer in answers(engine, "x", "y")] == ["42", "42"]
    assert all(later - arrived[0] >= 0.99 for later in arrived[1:])


def test_tries_are_bounded_and_the_failure_is_recorded(tmp_path: Path) -> None:
    def handler(request: Request) -> Reply:
        return Reply("overloaded", status=503) if request.text == "bad" else Reply("42")

    with ScriptedServer(handler) as server:
        engine = remote(tmp_path / "log", f"backend.base_url={server.url}", "backend.attempts=4")
        good, bad = answers(engine, "good", "bad")
    assert good.text == "42"
    assert (bad.text, bad.error) == (None, "engine_error: HTTP 503: overloaded (4 attempts)")
    assert len(server.requests) == 5
    assert engine.description()["given_up"] == 1


def test_what_one_replica_does_not_answer_the_other_is_asked(tmp_path: Path) -> None:
    with ScriptedServer(lambda _: Reply("busy", status=429)) as busy, ScriptedServer(first()) as other:
        urls = f"backend.urls=[{busy.url},{other.url}]"
        engine = remote(tmp_path / "log", urls, "backend.attempts=3", "backend.slots=1")
        (answer,) = answers(engine, "x")
    assert (answer.text, len(busy.requests), len(other.requests)) == ("42", 3, 1)
    assert engine.description()["replicas"][0]["departures"] == 0  # it is alive and only has enough


def test_a_service_that_wants_a_longer_wait_than_we_have_patience_for(tmp_path: Path) -> None:
    tomorrow = Reply("quota", status=429, headers={"Retry-After": "86400"})
    with ScriptedServer(first(tomorrow)) as server:
        (answer,) = answers(remote(tmp_path / "log", f"backend.base_url={server.url}"), "x")
    assert answer.error == "engine_error: HTTP 429: quota (1 attempt)"


def test_a_service_that_answers_nothing_any_more_ends_the_run(tmp_path: Path) -> None:
    with ScriptedServer(lambda _: Reply("down", status=500)) as server:
        engine = remote(tmp_path / "log", f"backend.base_url={server.url}", "backend.slots=1")
        with pytest.raises(EngineUnusable) as caught:
            answers(engine, *"abcdefgh")
        assert str(caught.value) == (
            f"{server.url} answers nothing any more: 3 requests in a row failed: HTTP 500: down (6 attempts)"
        )
        assert len(server.requests) <= 8 * 6


def test_a_service_that_refuses_everything_ends_the_run(tmp_path: Path) -> None:
    with ScriptedServer(lambda _: Reply("use max_completion_tokens", status=400)) as server:
        engine = remote(tmp_path / "log", f"backend.base_url={server.url}", "backend.slots=1")
        with pytest.raises(EngineUnusable, match=r"backend\.extra .*HTTP 400: use max_completion_tokens"):
            answers(engine, *"abcdefgh")


@pytest.mark.parametrize("status", [401, 402, 404])
def test_the_first_request_shows_what_the_list_of_models_did_not(status: int, tmp_path: Path) -> None:
    with ScriptedServer(lambda _: Reply("no", status=status)) as server:
        engine = remote(tmp_path / "log", f"backend.base_url={server.url}")
        with pytest.raises(UserError, match=rf"HTTP {status}: no.*backend\.api_model"):
            answers(engine, "x")


@pytest.mark.parametrize("quota", [Reply("no credit", status=402), Reply("who are you?", status=401)])
def test_a_key_that_is_worth_nothing_any_more_ends_the_run_at_once(quota: Reply, tmp_path: Path) -> None:
    async def story(engine: Remote) -> None:
        await ask(engine, ["good"])
        await ask(engine, ["late"])

    with ScriptedServer(lambda request: Reply("42") if request.text == "good" else quota) as server:
        engine = remote(tmp_path / "log", f"backend.base_url={server.url}")
        with pytest.raises(NoAccess, match=quota.text.rstrip("?")):
            asyncio.run(story(engine))
        assert len(server.requests) == 2


def test_an_openai_quota_is_no_matter_of_waiting(tmp_path: Path) -> None:
    body = b'{"error": {"message": "You exceeded your current quota", "code": "insufficient_quota"}}'
    with ScriptedServer(lambda _: Reply(status=429, body=body)) as server:
        with pytest.raises(UserError, match="no credit left"):
            answers(remote(tmp_path / "log", f"backend.base_url={server.url}"), "x")
        assert len(server.requests) == 1


def test_no_more_requests_in_flight_than_slots(tmp_path: Path) -> None:
    with ScriptedServer(lambda _: Reply("42", delay=0.05)) as server:
        engine = remote(tmp_path / "log", f"backend.base_url={server.url}", "backend.slots=3")
        answers(engine, *map(str, range(20)))
    assert server.requests_in_flight_peak == 3


def test_the_ceiling_holds_and_what_is_paid_for_is_kept(tmp_path: Path) -> None:
    # 100 tokens of answer at a dollar each; the prompt is free.
    money = ("backend.prices.input=0", "backend.prices.output=1000000", "backend.max_cost=250")
    with ScriptedServer(lambda _: Reply("42", usage=(10, 40), delay=0.02)) as server:
        engine = remote(tmp_path / "log", f"backend.base_url={server.url}", *money)

        async def story() -> list[object]:
            await engine.start(None)
            calls = (engine.complete([], GREEDY, 0) for _ in range(12))
            done = await asyncio.gather(*calls, return_exceptions=True)
            await engine.stop()
            return [getattr(one, "text", str(one)) for one in done]

        done = asyncio.run(story())
    # 40 each: when four are paid for, 90 are left, less than a fifth could cost.
    assert done.count("42") == len(server.requests) == 4
    assert engine.budget.spent == 160
    assert done[-1] == (
        "160.0000 USD spent of backend.max_cost=250, and the next request could cost 100.0000 more: "
        "give a higher backend.max_cost"
    )


def test_half_an_answer_may_have_been_billed_and_a_refusal_was_not(tmp_path: Path) -> None:
    faults = (Reply("some text", cut=10), Reply("busy", status=429))
    money = ("backend.prices.input=0", "backend.prices.output=1000000")
    with ScriptedServer(lambda r: faults[r.number] if r.number < 2 else Reply("42", usage=(9, 7))) as server:
        engine = remote(tmp_path / "log", f"backend.base_url={server.url}", *money)
        answers(engine, "x")
    assert engine.description()["cost"] == {"currency": "USD", "spent": 107.0, "uncertain": 100.0}


def test_the_key_is_in_no_error_log_or_description(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    key = "sk-very-secret-key"
    monkeypatch.setenv("OPENAI_API_KEY", key)

    def handler(request: Request) -> Reply:
        echo = request.headers["authorization"]
        return [Reply("42"), Reply(echo, status=400), Reply(echo, status=503)][min(request.number, 2)]

    async def story(engine: Remote) -> list[str]:
        return [repr(answer) for text in "abc" for answer in await ask(engine, [text])]

    with ScriptedServer(handler, key=key) as server:
        engine = remote(tmp_path / "log", f"backend.base_url={server.url}")
        shown = asyncio.run(story(engine))
        assert "Bearer ***" in shown[1]
        assert "Bearer ***" in shown[2]
        told = (repr(engine), engine.identity(), engine.description(), (tmp_path / "log").read_text())
        assert key not in f"{shown} {told}"
