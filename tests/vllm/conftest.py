"""A stand-in for vLLM that needs nothing installed, and a checkpoint with nothing in it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from evalkit.config.settings import RunSettings, run_settings
from evalkit.engines.needs import VllmSettings
from evalkit.engines.vllm import Vllm, open_engine
from evalkit.schema import GenerationSettings

GREEDY = GenerationSettings(0.0, 1.0, 0, 0.0, 1.0, 12, 0)


@pytest.fixture
def executable(tmp_path: Path) -> Path:
    """A `vllm` command: the stand-in."""
    command = tmp_path / "bin" / "vllm"
    command.parent.mkdir()
    script = Path(__file__).with_name("stand_in.py")
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
    command.chmod(0o755)
    return command


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """A folder with the files of a checkpoint; the stand-in does not read the weights."""
    folder = tmp_path / "checkpoint"
    folder.mkdir()
    config = {
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "hidden_size": 64,
        "max_position_embeddings": 2048,
        "torch_dtype": "bfloat16",
    }
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "tokenizer_config.json").write_text(json.dumps({"chat_template": "{{ messages }}"}))
    (folder / "model.safetensors").write_bytes(b"weights")
    return folder


def config(checkpoint: Path, executable: Path | str, *overrides: str) -> RunSettings:
    """The settings of a run of `checkpoint`."""
    given = [
        "+model=fin-r1",
        f"model.path={checkpoint}",
        "data=sample",
        f"backend.executable={executable}",
        "backend.start_timeout=60",
        *overrides,
    ]
    return run_settings(given)


def engine(checkpoint: Path, executable: Path | str, log: Path, *overrides: str) -> Vllm:
    """The engine of such a run, not started."""
    composed = config(checkpoint, executable, *overrides)
    assert isinstance(composed.backend, VllmSettings)
    return open_engine(composed.model, composed.backend, GREEDY.max_tokens, log)


def real_vllm() -> str:
    """The executable of a real vLLM; skips the test without one."""
    found = os.environ.get("EVALKIT_VLLM")
    if not found:
        pytest.skip("EVALKIT_VLLM does not name a vllm executable")
    return found


@pytest.fixture(scope="session")
def small_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The small model as a checkpoint that vLLM can serve (0.5 GB). Only for tests with a real vLLM."""
    from evalkit.weights.fetch import resolve_weights
    from tests.vllm.checkpoint_of_gguf import make_checkpoint

    real_vllm()
    gguf = resolve_weights(run_settings(["+model=smollm2-135m", "data=sample"]).model).path
    return make_checkpoint(gguf, tmp_path_factory.mktemp("small"))
