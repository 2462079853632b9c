"""A backend is one module plus one config: a copy of evalkit with two more files runs with it."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import pytest

from tests.extension import copy_of_evalkit, run_copy

MODULE = """
from array import array
from typing import Annotated, Literal

from pydantic import Field

from evalkit.config.checks import Immaterial, Whole
from evalkit.config.settings import BackendSettings
from evalkit.schema import Completion, UserError


class Settings(BackendSettings):
    kind: Literal["echo"]
    slots: Immaterial[Whole]
    word: str


class Echo:
    def __init__(self, word, slots):
        self.word, self.slots = word, slots

    def identity(self):
        return {"engine": "echo", "word": self.word}

    def description(self):
        return {"slots": self.slots}

    async def tokenize(self, prompts):
        return [array("i", range(sum(len(m.content) for m in prompt))) for prompt in prompts]

    async def complete(self, messages, sampling, slot):
        return Completion(self.word, "stop", prompt_tokens=1, completion_tokens=1)

    async def start(self, longest_prompt): pass
    async def revive(self): pass
    async def stop(self): pass
    async def probe(self): pass
    def peak_memory_bytes(self): pass
    def peak_gpu_memory_bytes(self): pass


def preflight(model, backend, max_tokens):
    if backend.word == "nothing":
        raise UserError("backend.word=nothing: there must be something to say")


def stated_needs(model, backend):
    return "a voice"


def open_engine(model, backend, max_tokens, log):
    return Echo(backend.word, backend.slots)
"""
CONFIG = """# @package backend
kind: echo
slots: 3
word: positive
"""
MODEL = """# @package _global_
defaults:
  - override /backend@_global_.backend: echo
model:
  name: parrot
  title: Parrot
  path: null
"""


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """evalkit and its data, with a backend called echo and a model for it."""
    tree = copy_of_evalkit(tmp_path_factory.mktemp("tree"))
    (tree / "evalkit" / "engines" / "echo.py").write_text(MODULE)
    (tree / "configs" / "backend" / "echo.yaml").write_text(CONFIG)
    (tree / "configs" / "model" / "parrot.yaml").write_text(MODEL)
    return tree


RUN = ("run", "+model=parrot", "data=sample", "benchmark=tfns", "limit=4")


def test_it_runs(tree: Path, tmp_path: Path) -> None:
    done = run_copy(tree, *RUN, f"run_dir={tmp_path / 'run'}")
    assert done.returncode == 0, done.stderr
    lines = (tmp_path / "run" / "generations.jsonl").read_text().splitlines()
    assert [json.loads(line)["text"] for line in lines] == ["positive"] * 4
    engine = json.loads((tmp_path / "run" / "run.json").read_text())["engine"]
    assert (engine["engine"], engine["slots"]) == ("echo", 3)


def test_its_settings_are_its_own(tree: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    for wrong, words in {
        "backend.word=nothing": "there must be something to say",
        "backend.slots=0": "backend.slots=0: must be a whole number, 1 or more",
        "+backend.wrod=x": "no such setting: 'backend.wrod'. Did you mean backend.word?",
    }.items():
        done = run_copy(tree, *RUN, wrong, f"run_dir={run_dir}")
        assert done.returncode == 2, done.stderr
        assert words in done.stderr
        assert not run_dir.exists()


def test_what_takes_no_part_in_identity_is_its_own_to_say(tree: Path, tmp_path: Path) -> None:
    run_dir = f"run_dir={tmp_path / 'run'}"
    assert run_copy(tree, *RUN, run_dir).returncode == 0
    again = run_copy(tree, *RUN, run_dir, "backend.slots=1")
    assert again.returncode == 0, again.stderr
    other = run_copy(tree, *RUN, run_dir, "backend.word=negative")
    assert other.returncode == 2
    assert "backend.word was 'positive', now 'negative'" in other.stderr


def test_what_it_needs_is_listed(tree: Path) -> None:
    listed = run_copy(tree, "models").stdout
    (line,) = (line for line in listed.splitlines() if "parrot" in line)
    assert "echo" in line
    assert "a voice" in line


@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed")
def test_it_runs_on_a_cluster(tree: Path, tmp_path: Path) -> None:
    run_dir = tmp_path / "run"
    done = run_copy(tree, *RUN, "+executor=ray", "executor.workers=1", f"run_dir={run_dir}")
    assert done.returncode == 0, done.stderr
    assert len((run_dir / "generations.jsonl").read_text().splitlines()) == 4
