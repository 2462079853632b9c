"""What deployments vary of llama.cpp: what is refused, what it is part of, and what it takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from bench.synthetic import BUILDS, Geometry
from evalkit.config.checks import identity
from evalkit.config.settings import run_settings
from evalkit.engines.llama_cpp import Settings
from evalkit.engines.llama_options import (
    check_deployment,
    check_draft,
    deployment_arguments,
    deployment_identity,
    deployment_options,
    draft_arguments,
    loading_words,
)
from evalkit.run.folder import run_id
from evalkit.schema import UserError
from evalkit.weights.memory import predicted_memory
from tests.gguf.synthetic_headers import header_of

WORDS = ["+model=smollm2-135m", "benchmark=tfns", "data=sample"]


def backend(*words: str) -> Settings:
    found = run_settings([*WORDS, *words]).backend
    assert isinstance(found, Settings)
    return found


def check(settings: Settings) -> None:
    check_deployment(settings, binary=settings.binary, flash_attention=settings.flash_attention)


@pytest.fixture
def adapter(tmp_path: Path) -> Path:
    path = tmp_path / "adapter.gguf"
    path.write_bytes(b"GGUF and the rest of it")
    return path


def test_what_is_not_set_changes_nothing() -> None:
    plain = run_settings(WORDS)
    written = run_settings([*WORDS, "backend.cache_type_k=f16", "backend.cache_type_v=f16"])
    assert run_id(plain) == run_id(written)
    assert deployment_identity(backend()) == {}
    assert deployment_arguments(backend()) == []


@pytest.mark.parametrize(
    ("words", "known"),
    [
        (["backend.cache_type_k=q8_0"], {"cache_type_k": "q8_0"}),
        (["backend.rope.scaling=yarn", "backend.rope.factor=4"], {"rope": {"scaling": "yarn", "factor": 4}}),
        (["backend.extra_args=[--defrag-thold,0.1]"], {"extra_args": ["--defrag-thold", 0.1]}),
    ],
)
def test_what_is_set_makes_another_run(words: list[str], known: dict[str, Any]) -> None:
    assert run_id(run_settings([*WORDS, *words])) != run_id(run_settings(WORDS))
    assert deployment_identity(backend(*words)) == known


def test_an_adapter_is_known_by_its_content(adapter: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    same, other = elsewhere / "adapter.gguf", elsewhere / "other.gguf"
    same.write_bytes(adapter.read_bytes())
    other.write_bytes(b"GGUF and something else")
    known = [deployment_identity(backend(f"backend.lora={path}")) for path in (adapter, same, other)]
    assert known[0] == known[1] != known[2]
    settings = [identity(run_settings([*WORDS, f"backend.lora={path}"])) for path in (adapter, same, other)]
    assert settings[0] == settings[1] != settings[2]
    half = deployment_identity(backend(f"backend.lora={adapter}", "backend.lora_scale=0.5"))
    assert half != known[0]


def test_a_servers_command_line(adapter: Path) -> None:
    settings = backend(
        "backend.cache_type_k=q8_0",
        "backend.cache_type_v=q4_0",
        "backend.rope.scaling=yarn",
        "backend.rope.factor=2",
        "backend.rope.original_context=8192",
        f"backend.lora={adapter}",
        "backend.lora_scale=0.5",
        "backend.extra_args=[--numa,distribute]",
    )
    assert deployment_arguments(settings) == [
        *("--cache-type-k", "q8_0", "--cache-type-v", "q4_0"),
        *("--rope-scaling", "yarn", "--rope-scale", "2.0", "--yarn-orig-ctx", "8192"),
        *("--lora-scaled", f"{adapter}:0.5", "--numa", "distribute"),
    ]
    options = deployment_options(settings)
    assert (options["lora"], options["lora_scale"], options["rope_factor"]) == (str(adapter), 0.5, 2.0)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["backend.cache_type_k=q9"], "backend.cache_type_k=q9: must be f32, bf16, q8_0"),
        (["backend.rope.scaling=ntk"], "backend.rope.scaling=ntk: must be none, linear or yarn, or null"),
        (["backend.rope.factor=-1"], "backend.rope.factor=-1: must be a number above 0, or null"),
        (["backend.cache_type_v=q8_0"], "quantized values need backend.flash_attention=on"),
        (["backend.extra_args=[--mlock]"], "name it with backend.binary=PATH"),
        (["backend.extra_args=[-c,64]", "backend.binary=x"], "-c is evalkit's to set: use backend.context"),
        (
            ["backend.extra_args=['--api_key=k']", "backend.binary=x"],
            "--api_key is evalkit's to set: leave it out",
        ),
        (["backend.lora_scale=2"], "backend.lora_scale belongs to an adapter"),
        (["backend.draft_tokens=4"], "backend.draft_tokens belong to a draft model: backend.draft=FILE.gguf"),
        (["backend.draft=nowhere.gguf"], "backend.draft=nowhere.gguf: No such file or directory"),
        (["backend.extra_args=[-md,x]", "backend.binary=x"], "-md is evalkit's to set: use backend.draft"),
        (["backend.lora=nowhere.gguf"], "backend.lora=nowhere.gguf: No such file or directory"),
    ],
)
def test_what_cannot_be_meant_is_one_line(words: list[str], said: str) -> None:
    with pytest.raises(UserError) as error:
        check(backend(*words))
    assert said in str(error.value)


def test_an_adapter_and_a_draft_must_be_gguf_files(tmp_path: Path) -> None:
    path = tmp_path / "adapter.safetensors"
    path.write_bytes(b"\x00\x01\x02\x03")
    with pytest.raises(UserError, match=r"no GGUF file: llama\.cpp's convert_lora"):
        check(backend(f"backend.lora={path}"))
    with pytest.raises(UserError, match="no GGUF file: give a smaller model of the same family"):
        check(backend(f"backend.draft={path}"))


def test_a_draft_is_known_by_its_content(adapter: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.gguf"
    other.write_bytes(b"GGUF and something else")
    plain, first, second = backend(), backend(f"backend.draft={adapter}"), backend(f"backend.draft={other}")
    assert "draft_sha256" not in deployment_identity(plain)
    assert deployment_identity(first) != deployment_identity(second)
    ids = {run_id(run_settings([*WORDS, *more])) for more in ([], [f"backend.draft={adapter}"])}
    assert len(ids) == 2
    assert backend("backend.slots=1").is_exact
    assert not backend("backend.slots=1", f"backend.draft={adapter}").is_exact
    assert deployment_options(first)["draft"] == str(adapter)


def _server(folder: Path, help_text: str) -> str:
    """A program that says this when it is asked for help."""
    path = folder / "llama-server"
    path.write_text(f"#!/bin/sh\necho '{help_text}'\n")
    path.chmod(0o755)
    return str(path)


def test_the_words_for_a_draft_are_those_of_the_server(adapter: Path, tmp_path: Path) -> None:
    settings = backend(f"backend.draft={adapter}", "backend.draft_tokens=6")
    today = ["--model-draft", str(adapter), "--spec-type", "draft-simple", "--spec-draft-n-max", "6"]
    assert draft_arguments(settings, -1, None) == today
    assert draft_arguments(settings, 9, None) == [*today, "--n-gpu-layers-draft", "9"]
    for name, help_text, words in (
        ("new", "--spec-type none,draft-simple", today),
        ("old", "--draft-max N", ["--model-draft", str(adapter), "--draft-max", "6"]),
    ):
        (tmp_path / name).mkdir()
        assert draft_arguments(settings, -1, _server(tmp_path / name, help_text)) == words
    assert draft_arguments(backend(), -1, None) == []


def test_a_draft_must_have_the_models_vocabulary() -> None:
    model, other = header_of(BUILDS["q8_0"], Geometry(vocabulary=1000)), Geometry(vocabulary=2000)
    check_draft(header_of(BUILDS["q4_0"], Geometry(vocabulary=1128, layers=2)), model)
    with pytest.raises(UserError, match=r"x\.gguf: it has another vocabulary than x\.gguf: give a smaller"):
        check_draft(header_of(BUILDS["q4_0"], other), model)


def test_memory_of_a_draft_is_added() -> None:
    model, small = header_of(BUILDS["q8_0"], Geometry()), header_of(BUILDS["q4_0"], Geometry(layers=4))
    shape: dict[str, Any] = {"context": 4096, "slots": 2, "flash_attention": False}
    alone, beside = predicted_memory(model, **shape), predicted_memory(small, **shape)
    both = predicted_memory(model, **shape, draft=small)
    assert both.weights == alone.weights + beside.weights
    assert both.kv == alone.kv + beside.kv
    assert alone.total + beside.total > both.total > alone.total + beside.weights + beside.kv


@pytest.mark.parametrize(
    ("types", "bytes_per_value"),
    [
        (("f16", "f16"), (2, 2)),
        (("q8_0", "q8_0"), (34 / 32, 34 / 32)),  # 32 values of a byte, and a scale of two
        (("q8_0", "f16"), (34 / 32, 2)),
        (("q4_0", "q4_0"), (18 / 32, 18 / 32)),  # 32 values of half a byte, and a scale of two
        (("f32", "bf16"), (4, 2)),
    ],
)
def test_memory_of_the_cache(types: tuple[str, str], bytes_per_value: tuple[float, float]) -> None:
    """Qwen2.5-7B's shape: 28 layers, 4 KV heads of 128 values for keys and as many for values."""
    header = header_of(BUILDS["q8_0"], Geometry())
    found = predicted_memory(header, context=4096, slots=2, flash_attention=True, cache_types=types)
    assert found.kv == 28 * 4 * 128 * sum(bytes_per_value) * 4096 * 2


@pytest.mark.parametrize(
    ("says", "words"),
    [
        ("--mmap, --no-mmap   whether to memory-map model", ["--no-mmap"]),
        ("-lm, --load-mode MODE   model loading mode (default: auto)", ["--load-mode", "none"]),
    ],
)
def test_a_file_is_read_in_the_words_that_the_server_knows(
    says: str, words: list[str], tmp_path: Path
) -> None:
    server = tmp_path / "llama-server"
    server.write_text(f"#!/bin/sh\necho '{says}'\n")
    server.chmod(0o755)
    assert loading_words(str(server), mmap=False) == words
    assert loading_words(str(server), mmap=True) == []
