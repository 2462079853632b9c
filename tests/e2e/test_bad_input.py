"""Each wrong request: one clear line, exit code 2, no traceback, nothing left behind."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.conftest import MODEL, evalkit

SAMPLE = "data=sample"


def refused(cwd: Path, *arguments: str) -> str:
    """The one line with which a command is refused."""
    before = sorted(cwd.rglob("*"))
    done = evalkit(*arguments, cwd=cwd)
    assert done.returncode == 2, (done.stdout, done.stderr)
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, done.stderr
    assert lines[0].startswith("evalkit: ")
    assert sorted(cwd.rglob("*")) == before
    return lines[0]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["run"], "no model given"),
        (["run", "+model=fin-r1-q4k"], "Did you mean fin-r1-q4_k?"),
        (["run", MODEL, "benchmark=finqaa", SAMPLE], "Did you mean finqa?"),
        (["run", MODEL, SAMPLE, "nosuchkey=3"], "nosuchkey"),
        (["run", MODEL, SAMPLE, "limit=-1"], "limit=-1"),
        (["run", "+model=fin-r1-sft", SAMPLE], "not released"),
        (["run", MODEL, "data=local"], "data.dir is missing"),
        (["run", MODEL, "data=local", "data.dir=nowhere"], "no such directory"),
        (["run", "+model=gguf", SAMPLE], "model.path is missing"),
        (["run", "+model=gguf", "model.path=nowhere.gguf", SAMPLE], "does not exist"),
        (["run", "+model=replay", "model.path=nowhere.jsonl", SAMPLE], "nowhere.jsonl"),
        (["run", MODEL, SAMPLE, "backend.binary=nowhere"], "no executable 'nowhere'"),
        (["run", MODEL, SAMPLE, "model.sha256=" + "0" * 64], "sha256"),
        (["run", MODEL, SAMPLE, "model.chat_template=nowhere.jinja"], "nowhere.jinja"),
        (["score"], "give the run's folder"),
        (["score", "nowhere"], "not a run folder"),
        (["score", "nowhere", "rule=all"], "'rule'"),
        (["run", "-m", "+model=fin-r1-q4k,fin-r1-q8_0", SAMPLE], "Did you mean fin-r1-q4_k?"),
        (["rnu"], "Did you mean run?"),
        (["models", "all"], "takes no arguments"),
    ],
)
def test_one_line(arguments: list[str], says: str, tmp_path: Path) -> None:
    assert says in refused(tmp_path, *arguments)


@pytest.mark.parametrize(
    ("content", "says"),
    [(b"", "too short"), (b"GGUFxxxx", "too short"), (b"PK\x03\x04" + bytes(64), "does not begin with GGUF")],
)
def test_a_file_that_is_no_model(content: bytes, says: str, tmp_path: Path) -> None:
    (tmp_path / "model.gguf").write_bytes(content)
    assert says in refused(tmp_path, "run", "+model=gguf", "model.path=model.gguf", SAMPLE)


def write_model(path: Path, template: str | None, architecture: str = "llama") -> None:
    """A GGUF file that is complete and holds no usable model."""
    import gguf
    import numpy as np

    writer = gguf.GGUFWriter(path, architecture)
    writer.add_context_length(128)
    if template is not None:
        writer.add_string("tokenizer.chat_template", template)
    writer.add_tensor("token_embd.weight", np.zeros((4, 32), dtype=np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def test_a_model_without_a_chat_template(tmp_path: Path) -> None:
    write_model(tmp_path / "model.gguf", template=None)
    line = refused(tmp_path, "run", "+model=gguf", "model.path=model.gguf", SAMPLE)
    assert "has no chat template: give one with model.chat_template=FILE.jinja" in line


def test_a_model_that_llama_cpp_does_not_know(tmp_path: Path) -> None:
    write_model(tmp_path / "model.gguf", "{{ messages }}", architecture="nosucharch")
    arguments = ("run", "+model=gguf", "model.path=model.gguf", SAMPLE, "run_dir=run")
    done = evalkit(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert "unknown model architecture: 'nosucharch'" in done.stderr.splitlines()[-1]
    assert not (tmp_path / "run" / "config.yaml").exists(), "the folder is free for the mended command"


def test_a_download_that_does_not_fit_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVALKIT_CACHE", str(tmp_path / "cache"))
    here = tmp_path / "here"
    here.mkdir()
    line = refused(here, "run", MODEL, SAMPLE, "model.size_bytes=900000000000000")
    assert "900" in line
    assert "EVALKIT_CACHE" in line


def test_a_malformed_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "tfns").mkdir()
    (tmp_path / "tfns" / "sent_valid.csv").write_text("text,label\nfine,1\nbroken,7\n")
    line = refused(tmp_path, "run", MODEL, "data=local", f"data.dir={tmp_path}", "benchmark=tfns")
    assert "sent_valid.csv" in line
    assert "label" in line
    assert "3" in line or "2" in line


@pytest.fixture
def taken_port() -> Iterator[int]:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        yield taken.getsockname()[1]


def test_a_taken_port(taken_port: int, tmp_path: Path) -> None:
    line = refused(tmp_path, "run", MODEL, SAMPLE, f"backend.port={taken_port}")
    assert f"port {taken_port} is taken" in line


def test_a_run_folder_made_by_another_config(undisturbed: Path, tmp_path: Path) -> None:
    line = refused(tmp_path, "run", MODEL, SAMPLE, "benchmark=[finqa,tfns]", f"run_dir={undisturbed}")
    assert "was made by another config" in line


def test_a_folder_of_something_else(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("precious")
    assert "not a run folder" in refused(tmp_path, "run", MODEL, SAMPLE, "run_dir=thesis")
