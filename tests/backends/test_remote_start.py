"""Before anything is generated: one line for each thing that can be wrong, and who the model is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.__main__ import main
from evalkit.schema import UserError
from tests.backends.helpers import answers, remote
from tests.backends.scripted_server import Reply, Request, ScriptedServer

KEY = "sk-right-key-123"


def good(request: Request) -> Reply:
    return Reply("42")


@pytest.fixture(autouse=True)
def no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def complaint(run_dir: Path, capsys: pytest.CaptureFixture[str], *overrides: str) -> str:
    """The one line of `evalkit run`, which must end with exit code 2 and leave nothing behind."""
    given = ("data=sample", "benchmark=tfns", "limit=2", f"run_dir={run_dir}", "backend.backoff=0.001")
    assert main(["run", *given, *overrides]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    line = shown.err.strip()
    assert line.startswith("evalkit: ")
    assert "\n" not in line
    assert not run_dir.exists()
    return line


def test_deepseek_r1_without_a_service(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = complaint(tmp_path / "run", capsys, "+model=deepseek-r1")
    for word in ("OPENAI_BASE_URL", "backend.base_url", "deepseek-ai/DeepSeek-R1", "OPENAI_API_KEY"):
        assert word in line


def test_without_a_key_and_with_a_wrong_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with ScriptedServer(good, models=["deepseek-ai/DeepSeek-R1"], key=KEY) as server:
        monkeypatch.setenv("OPENAI_BASE_URL", server.url)
        line = complaint(tmp_path / "run", capsys, "+model=deepseek-r1")
        assert (
            line == f"evalkit: {server.url} wants a key: OPENAI_API_KEY is not set: export OPENAI_API_KEY=KEY"
        )
        monkeypatch.setenv("OPENAI_API_KEY", "sk-wrong-key-456")
        line = complaint(tmp_path / "run", capsys, "+model=deepseek-r1")
        assert line.endswith("check the key in OPENAI_API_KEY")
        assert "HTTP 401" in line
        assert "sk-wrong" not in line


def test_openais_own_service_is_not_even_asked_without_a_key(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = complaint(tmp_path / "run", capsys, "+model=endpoint")
    assert line == (
        "evalkit: OPENAI_API_KEY is not set: export OPENAI_API_KEY=KEY, or name a server of your own: "
        "evalkit run http://localhost:11434/v1"
    )


def test_a_url_where_nothing_is(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedServer(good) as server:
        url = server.url
    line = complaint(tmp_path / "run", capsys, "+model=endpoint", f"backend.base_url={url}")
    assert line == f"evalkit: {url} cannot be reached (connection refused): check backend.base_url"


def test_a_url_of_something_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedServer(good, models=None) as server:
        wrong = server.url.removesuffix("/v1")
        line = complaint(tmp_path / "run", capsys, "+model=endpoint", f"backend.base_url={wrong}")
        assert "give backend.api_model=NAME" in line
        asked = ("+model=endpoint", f"backend.base_url={wrong}", "backend.api_model=m")
        assert main(["run", "data=sample", "benchmark=tfns", f"run_dir={tmp_path / 'run'}", *asked]) == 2
    assert "HTTP 404: no such path: check the URL, backend.api_model" in capsys.readouterr().err
    assert not (tmp_path / "run" / "generations.jsonl").exists()


def test_a_model_that_the_service_lacks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedServer(good, models=["qwen-7b", "qwen-14b\n\x1b[31m"]) as server:
        asked = ("+model=endpoint", f"backend.base_url={server.url}", "backend.api_model=qwen-8b")
        line = complaint(tmp_path / "run", capsys, *asked)
        assert "has no model 'qwen-8b'. Did you mean qwen-7b?" in line
        assert "it has qwen-7b, qwen-14b [31m" in line
        line = complaint(tmp_path / "run", capsys, *asked[:2])
        assert "give backend.api_model=NAME, it has qwen-7b" in line
    assert server.requests == []


@pytest.mark.parametrize(
    ("override", "word"),
    [
        ("backend.base_url=ftp://host/v1", "must be a URL"),
        ("backend.base_url=http://host:99999/v1", "must be a URL"),
        ("backend.base_url=http://user:geheim@host/v1", "leave user, password"),
        ("backend.base_url=http://host/v1?token=geheim", "leave user, password"),
        ("backend.api_key_env=sk-geheim-123", "name of an environment variable"),
        ("backend.api_key_env=geheim", "not set"),
        ("backend.attempts=0", "backend.attempts"),
        ("backend.timeout=.inf", "backend.timeout"),
        ("backend.requests_per_minute=1.5", "backend.requests_per_minute"),
        ("backend.max_cost=1", "backend.prices.input"),
        ("+backend.extra.stream=true", "backend.extra.stream"),
        ("backend.urls=[http://a/v1,http://a/v1/]", "twice"),
    ],
)
def test_settings_that_cannot_be_meant(override: str, word: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=word) as caught:
        remote(tmp_path / "log", override)
    assert "geheim" not in str(caught.value)


def test_a_key_with_a_line_break_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-geheim\nX-Evil: 1")
    with pytest.raises(UserError, match="characters that no key has") as caught:
        remote(tmp_path / "log", "backend.base_url=http://127.0.0.1:9/v1")
    assert "geheim" not in str(caught.value)


def test_a_service_without_a_list_of_models_needs_the_name(tmp_path: Path) -> None:
    with ScriptedServer(good, models=None) as server:
        url = f"backend.base_url={server.url}"
        with pytest.raises(UserError, match=r"backend\.api_model=NAME, the service does not list"):
            remote(tmp_path / "log", url)
        engine = remote(tmp_path / "log", url, "backend.api_model=mine")
        assert answers(engine, "x")[0].text == "42"
    assert server.requests[0].body["model"] == "mine"


def test_among_many_models_the_published_name_is_found(tmp_path: Path) -> None:
    with ScriptedServer(good, models=["a", "deepseek-ai/DeepSeek-R1", "z"]) as server:
        engine = remote(tmp_path / "log", f"backend.base_url={server.url}", model="deepseek-r1")
    assert engine.identity()["model"]["id"] == "deepseek-ai/DeepSeek-R1"


def test_who_answers_is_part_of_the_identity_and_the_time_of_asking_is_not(tmp_path: Path) -> None:
    facts = {
        "owned_by": "vllm",
        "root": "/weights/fin-r1",
        "max_model_len": 8192,
        "created": 1,
        "permission": [{"id": "modelperm-random"}],
    }
    with ScriptedServer(good, models=["fin-r1"], facts=facts) as server:
        url = f"backend.base_url={server.url}"
        engine = remote(tmp_path / "log", url, "backend.states.revision=abc")
        plain = remote(tmp_path / "log", url)
        server.facts["created"] = 2
        later = remote(tmp_path / "log", url)
        server.facts["root"] = "/weights/other"
        other = remote(tmp_path / "log", url)
    assert engine.identity() == {
        "engine": "remote",
        "service": [server.url.removeprefix("http://").removesuffix("/v1")],
        "model": {"id": "fin-r1", "owned_by": "vllm", "root": "/weights/fin-r1", "max_model_len": 8192},
        "states": {"revision": "abc"},
        "extra": {},
        "extended": True,
    }
    assert json.dumps(engine.identity())
    assert plain.identity() == later.identity()
    assert plain.identity() not in (engine.identity(), other.identity())
    assert plain.description()["created"] == 1


@pytest.mark.parametrize(
    "listing",
    [b"[" * 100_000, b'{"data": 7}', b"<html>hello</html>", b'{"data": [{"id": 5}, 7, {"id": ""}]}', b""],
)
def test_a_hostile_list_of_models(listing: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ScriptedServer, "listing", lambda self: listing)
    with ScriptedServer(good) as server, pytest.raises(UserError) as caught:
        remote(tmp_path / "log", f"backend.base_url={server.url}")
    assert "\n" not in str(caught.value)
