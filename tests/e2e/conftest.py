"""Running the real command line on the real small model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from evalkit.config.settings import run_settings
from evalkit.weights.fetch import resolve_weights
from tests.cores import own_core

__all__ = ["own_core"]

MODEL = "+model=smollm2-135m"


def command(*arguments: str, module: str = "evalkit") -> list[str]:
    return [sys.executable, "-m", module, *arguments]


def evalkit(
    *arguments: str,
    cwd: Path,
    timeout: float = 1200,
    env: Mapping[str, str] | None = None,
    module: str = "evalkit",
) -> subprocess.CompletedProcess[str]:
    """Run one command in `cwd` without input; `env` is added to the environment, `module` may be bench."""
    return subprocess.run(
        command(*arguments, module=module),
        cwd=cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        env={**os.environ, **(env or {})},
    )


def records(run_dir: Path) -> list[dict[str, Any]]:
    lines = (run_dir / "generations.jsonl").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def answers(run_dir: Path) -> dict[str, str]:
    """Text by key; fails if a key occurs twice."""
    found = records(run_dir)
    texts = {record["key"]: record["text"] for record in found}
    assert len(texts) == len(found)
    return texts


def small_run(run_dir: Path, *more: str) -> Sequence[str]:
    """A few real questions on several pages, with short answers: some seconds on two cores."""
    return [
        "run",
        MODEL,
        "data=sample",
        "benchmark=[finqa,tfns]",
        "limit=5",
        "protocol.max_tokens=24",
        "backend.slots=1",
        f"run_dir={run_dir}",
        *more,
    ]


@pytest.fixture(scope="session", autouse=True)
def model_file() -> Path:
    """The small model, fetched once before anything else: its download says so on standard error."""
    return resolve_weights(run_settings([MODEL, "data=sample"]).model).path


@pytest.fixture(scope="session")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a small run that nothing disturbed."""
    run_dir = tmp_path_factory.mktemp("undisturbed") / "run"
    done = evalkit(*small_run(run_dir), cwd=run_dir.parent)
    assert done.returncode == 0, done.stderr
    return run_dir


@pytest.fixture
def llama_server(tmp_path: Path) -> Path:
    binary = tmp_path / "llama-server"
    script = Path(__file__).with_name("llama_server.py")
    binary.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{script}" "$@"\n')
    binary.chmod(0o755)
    return binary
