"""Services that read only a part of the prompt, and say so in nothing but their usage."""

from __future__ import annotations

from pathlib import Path

import pytest

from evalkit.engines.client import fewest_tokens
from evalkit.engines.service import place_of
from evalkit.schema import EngineUnusable
from tests.backends.helpers import answers, question, remote
from tests.backends.scripted_server import Reply, ScriptedServer

LONG = "Net revenue of 2017 was 1,318 million dollars. " * 50  # 400 words


@pytest.mark.parametrize(
    ("text", "fewest"),
    [
        ("", 0),
        ("Net revenue, 1,318.5 (million)", 4),
        ("| --- | --- |\n\n| a | b |", 2),
        ("营业收入同比增长百分之四点二", 3),
        ("déjà-vu", 1),
        ("x" * 10_000, 1),
    ],
)
def test_fewest_tokens(text: str, fewest: int) -> None:
    assert fewest_tokens(question(text)) == fewest


def test_a_cut_prompt_has_no_answer(tmp_path: Path) -> None:
    with ScriptedServer(lambda _: Reply("42", usage=(64, 5), exact=True)) as server:
        engine = remote(tmp_path / "log", f"backend.base_url={server.url}")
        short, long = answers(engine, "short", LONG)
    assert (short.text, short.error) == ("42", None)
    assert long.text is None
    assert long.error is not None
    assert long.error.startswith("engine_error: the service read 64 tokens of a prompt of at least 400")
    assert len(server.requests) == 2


def test_a_service_that_cuts_every_prompt_ends_the_run(tmp_path: Path) -> None:
    with ScriptedServer(lambda _: Reply("42", usage=(64, 5), exact=True)) as server:
        engine = remote(tmp_path / "log", f"backend.base_url={server.url}", "backend.slots=1")
        with pytest.raises(EngineUnusable, match="cuts every prompt: 3 requests in a row failed"):
            answers(engine, *[LONG] * 3)


@pytest.mark.parametrize("usage", [(400, 5), (700, 5), None])
def test_a_whole_prompt_and_an_unknown_one_are_answered(
    usage: tuple[int, int] | None, tmp_path: Path
) -> None:
    with ScriptedServer(lambda _: Reply("42", usage=usage)) as server:
        (answer,) = answers(remote(tmp_path / "log", f"backend.base_url={server.url}"), LONG)
    assert (answer.text, answer.error) == ("42", None)


def test_a_service_that_counts_otherwise_can_be_used(tmp_path: Path) -> None:
    with ScriptedServer(lambda _: Reply("42", usage=(64, 5), exact=True)) as server:
        settings = (f"backend.base_url={server.url}", "backend.refuse_cut_prompts=false")
        (answer,) = answers(remote(tmp_path / "log", *settings), LONG)
    assert answer.text == "42"


def test_usage_of_nothing_costs_the_worst_case(tmp_path: Path) -> None:
    with ScriptedServer(lambda _: Reply("42", usage=(0, 0))) as server:
        prices = ("backend.prices.input=0", "backend.prices.output=10000")
        engine = remote(tmp_path / "log", f"backend.base_url={server.url}", *prices)
        answers(engine, "x")
    cost = engine.budget.as_json()
    assert cost is not None
    assert cost["spent"] == cost["uncertain"] == pytest.approx(1.0)  # 100 tokens at a cent


def test_another_port_or_path_of_one_host_is_another_service(tmp_path: Path) -> None:
    services = []
    for root in ("/v1", "/deployments/a/v1", "/deployments/b/v1"):
        with ScriptedServer(lambda _: Reply("42"), root=root) as server:
            services.append(remote(tmp_path / "log", f"backend.base_url={server.url}").identity()["service"])
            place = server.url.removeprefix("http://").removesuffix(root)
        expected = place + (root if root != "/v1" else "")
        assert services[-1] == [expected]
    with ScriptedServer(lambda _: Reply("42")) as one, ScriptedServer(lambda _: Reply("42")) as other:
        urls = (one.url, other.url)
        identities = [remote(tmp_path / "log", f"backend.base_url={url}").identity() for url in urls]
    assert identities[0] != identities[1]


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("https://api.openai.com/v1", "api.openai.com"),
        ("https://API.openai.com:443/v1/", "api.openai.com"),
        ("http://localhost:80/v1", "localhost"),
        ("http://localhost:8000/v1", "localhost:8000"),
        ("https://gate.example/deployments/a/v1", "gate.example/deployments/a/v1"),
        ("https://user:secret@host:8443/v1?key=secret#x", "host:8443"),
    ],
)
def test_where_a_service_is_says_no_secret(url: str, place: str) -> None:
    assert place_of(url) == place
