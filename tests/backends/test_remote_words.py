"""A model by the URL of its server: Ollama, LM Studio, llama-server, vLLM."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from evalkit.__main__ import main
from evalkit.run.named import chosen
from tests.backends.scripted_server import Reply, Request, ScriptedServer


def good(request: Request) -> Reply:
    return Reply("neutral")


@pytest.fixture(autouse=True)
def alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def ran(url: str, *more: str) -> int:
    return main(["run", url, "data=sample", "benchmark=tfns", "limit=1", *more])


def test_a_service_with_one_model_says_its_name(tmp_path: Path) -> None:
    with ScriptedServer(good, models=["Qwen/Qwen2.5-7B"]) as server:
        assert ran(server.url) == 0
    [run] = (tmp_path / "results" / "runs" / "Qwen-Qwen2.5-7B").iterdir()
    info = json.loads((run / "run.json").read_text(encoding="utf-8"))
    assert info["model"]["title"] == "Qwen/Qwen2.5-7B"


def test_of_several_models_one_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedServer(good, models=["qwen2.5:0.5b", "llama3"]) as server:
        assert ran(server.url) == 2
        line = capsys.readouterr().err
        assert line == f"evalkit: {server.url}: say which model, name=NAME: it has qwen2.5:0.5b, llama3\n"
        assert ran(server.url, "name=llama3") == 0
        assert ran(server.url, "name=llama4") == 2
        assert "Did you mean llama3?" in capsys.readouterr().err
    assert [folder.name for folder in (tmp_path / "results" / "runs").iterdir()] == ["llama3"]


def test_a_server_that_is_not_running(capsys: pytest.CaptureFixture[str]) -> None:
    with ScriptedServer(good) as server:
        url = server.url
    assert ran(url, "backend.backoff=0.001") == 2
    line = capsys.readouterr().err
    assert line.startswith(f"evalkit: {url} cannot be reached (connection refused): is the server running")


@pytest.mark.parametrize(
    ("word", "overrides"),
    [
        ("http://localhost:11434", ["+model=endpoint", "backend.base_url='http://localhost:11434/v1'"]),
        ("https://h/api/v3", ["+model=endpoint", "backend.base_url='https://h/api/v3'"]),
    ],
)
def test_the_usual_path_may_be_left_out(word: str, overrides: list[str]) -> None:
    assert chosen(word, None, ["backend.api_model=m"]) == overrides


def test_pages_of_the_hub_are_files_of_it() -> None:
    source = "{hf: 'a/b', file: 'c-q4.gguf', revision: 'main'}"
    expected = ["+model=gguf", "model.path=null", f"model.source={source}"]
    for word in ("hf:a/b/c-q4.gguf", "hf://a/b/c-q4.gguf", "https://huggingface.co/a/b/blob/main/c-q4.gguf"):
        assert chosen(word, None, []) == expected
    assert chosen("https://huggingface.co/a/b/resolve/main/c-q4.gguf?download=true", None, []) == expected
