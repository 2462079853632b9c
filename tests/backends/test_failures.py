"""What services say when they fail, in the shapes and words of real ones, through the `openai` package."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from evalkit.engines.client import (
    NO_KEY,
    NoAccess,
    Refused,
    Transient,
    chat,
    connect,
    is_loopback,
    parameters,
)
from evalkit.schema import Completion, UserError
from tests.backends.helpers import GREEDY, answers, question, remote
from tests.backends.scripted_server import Reply, Request, ScriptedServer

OVERFLOWS = {
    "OpenAI": (400, {"error": {"message": "too long", "code": "context_length_exceeded"}}),
    "llama-server": (400, {"error": {"code": 400, "message": "…", "type": "exceed_context_size_error"}}),
    "vLLM": (400, {"object": "error", "message": "This model's maximum context length is 4096 tokens."}),
    "vLLM, newer": (
        400,
        {"error": {"message": "The decoder prompt (length 9) is longer than the maximum model length of 4."}},
    ),
    "SGLang": (
        400,
        {"message": "The input (9 tokens) is longer than the model's context length (4 tokens)."},
    ),
    "Ollama": (400, {"error": {"message": "input length exceeds the context length", "type": "api_error"}}),
    "Ollama, text": (500, {"error": "the input length exceeds maximum context length"}),
    "LM Studio": (
        400,
        {"error": "The number of tokens to keep from the initial prompt is greater than the context length."},
    ),
    "LM Studio, older": (400, {"error": "Trying to keep the first 9 tokens when context the overflows."}),
    "TGI": (422, {"error": "Input validation error: `inputs` must have less than 4 tokens. Given: 9"}),
    "TGI, both": (
        422,
        {"error": "Input validation error: `inputs` tokens + `max_new_tokens` must be <= 4. Given: 9 + 1"},
    ),
    "Anthropic": (400, {"type": "error", "error": {"message": "prompt is too long: 9 tokens > 4 maximum"}}),
    "Anthropic, both": (
        400,
        {"error": {"message": "input length and `max_tokens` exceed context limit: 9 + 1 > 4"}},
    ),
    "Mistral": (
        400,
        {
            "object": "error",
            "message": "Prompt contains 9 tokens and 0 draft tokens, too large for model with 4 maximum "
            "context length",
        },
    ),
    "Moonshot": (400, {"error": {"message": "Your request exceeded model token limit: 4"}}),
}
NO_OVERFLOWS = {
    "answer too long": (400, {"error": {"message": "max_tokens is too large: 100000."}}),
    "pace": (413, {"error": {"message": "Request too large on tokens per minute (TPM): Limit 6000"}}),
    "FastAPI": (422, {"detail": [{"loc": ["body", "messages"], "msg": "field required"}]}),
    "another status": (410, {"error": {"message": "maximum context length"}}),
    "no text": (400, {"error": {"message": {"a": [1]}}}),
    "deep": (400, {"error": {"error": {"error": {"message": "x"}}}}),
}


def reply(status: int, content: Any) -> Reply:
    return Reply(status=status, body=json.dumps(content).encode())


def asked(answer: Reply, key: str = NO_KEY) -> Completion:
    """What becomes of one request that is answered so."""

    async def ask(url: str) -> Completion:
        async with connect(url, key, 5.0) as client:
            return (await chat(client, "model", question("x"), parameters(GREEDY), 5.0))[0]

    with ScriptedServer(lambda _: answer) as server:
        return asyncio.run(ask(server.url))


@pytest.mark.parametrize("name", OVERFLOWS)
def test_every_wording_of_an_overflow(name: str) -> None:
    assert asked(reply(*OVERFLOWS[name])).error == "context_overflow"


@pytest.mark.parametrize("name", NO_OVERFLOWS)
def test_other_errors_are_no_overflow(name: str) -> None:
    with pytest.raises(Refused):
        asked(reply(*NO_OVERFLOWS[name]))


def test_an_overflow_inside_a_success() -> None:
    content = {"error": {"code": 400, "message": "This model's maximum context length is 4 tokens"}}
    assert asked(reply(200, content)).error == "context_overflow"


@pytest.mark.parametrize(
    ("status", "content", "said"),
    [
        (400, {"error": "model runner has unexpectedly stopped"}, "model runner has unexpectedly stopped"),
        (400, {"detail": "Not authenticated"}, "Not authenticated"),
        (422, {"object": "error", "message": {"detail": [{"msg": "no such role"}]}}, "no such role"),
        (400, "plain words", "plain words"),
        (400, {"error": {"message": "tool_choice must be none or auto"}}, "must be none or auto"),
        (200, {"error": {"code": 400, "message": "no such parameter"}}, "no such parameter"),
    ],
)
def test_the_words_of_a_refusal_are_kept(status: int, content: Any, said: str) -> None:
    with pytest.raises(Refused, match=said):
        asked(reply(status, content))


def test_a_key_is_hidden() -> None:
    with pytest.raises(Refused, match=r"the key \*\*\* may not"):
        asked(reply(400, {"error": "the key sk-1 may not"}), key="sk-1")


@pytest.mark.parametrize(
    "content",
    [
        {"error": "model runner has unexpectedly stopped"},
        {"error": {"code": 503, "message": "upstream"}},
        {"choices": [{"error": {"code": 502, "message": "upstream"}, "message": {"content": ""}}]},
        {"choices": [{"message": {"content": "half an ans"}, "finish_reason": "error"}]},
        {"choices": [{"text": "x", "finish_reason": "stop"}]},
    ],
)
def test_a_failure_inside_a_success_is_tried_again(content: Any, tmp_path: Path) -> None:
    def handler(request: Request) -> Reply:
        return Reply("42") if request.number else reply(200, content)

    with ScriptedServer(handler) as server:
        (answer,) = answers(remote(tmp_path / "log", f"backend.base_url={server.url}"), "x")
    assert (answer.text, answer.error) == ("42", None)
    assert len(server.requests) == 2


def test_a_pace_inside_a_success_is_a_pace() -> None:
    with pytest.raises(Transient) as error:
        asked(reply(200, {"error": {"code": 429, "message": "slower"}}))
    assert error.value.limited
    assert error.value.billed


def test_no_credit_inside_a_success_ends_it() -> None:
    with pytest.raises(NoAccess, match="no credit"):
        asked(reply(200, {"error": {"code": 402, "message": "Insufficient credits"}}))


@pytest.mark.parametrize("name", ["http_proxy", "HTTP_PROXY", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("scheme", ["http", "socks5", "nonsense"])
def test_a_server_on_this_machine_is_asked_without_a_proxy(
    name: str, scheme: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer(lambda _: Reply("from the proxy")) as proxy:
        monkeypatch.setenv(name, proxy.url.removesuffix("/v1").replace("http:", f"{scheme}:"))
        assert asked(Reply("from the server")).text == "from the server"
        assert not proxy.requests


def test_a_service_elsewhere_is_asked_through_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    async def ask() -> Completion:
        async with connect("http://service.invalid/v1", NO_KEY, 5.0) as client:
            return (await chat(client, "model", question("x"), parameters(GREEDY), 5.0))[0]

    with ScriptedServer(lambda _: Reply("through it"), root="http://service.invalid/v1") as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("http://service.invalid/v1"))
        assert asyncio.run(ask()).text == "through it"


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "nonsense://127.0.0.1:9"])
def test_a_proxy_that_cannot_be_used_is_one_line(proxy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("all_proxy", proxy)
    with pytest.raises(UserError, match="proxy that the environment names"):
        connect("https://service.invalid/v1", "key", 5.0)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost", "LOCALHOST.", "a.localhost"])
def test_this_machine(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "128.0.0.1", "localhost.example.org", "10.0.0.1"])
def test_another_machine(host: str) -> None:
    assert not is_loopback(host)
