"""Every command in README and the data cards runs, or at least means something where it needs the hub."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from evalkit.config import compose, to_dict
from evalkit.paths import BENCHMARKS
from evalkit.runner.settings import check
from tests.e2e.conftest import evalkit, records

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted(BENCHMARKS.glob("*/README.md"))]
COMMAND = re.compile(r"^(?:python -m )?evalkit (.+)$")


def blocks(document: Path) -> list[str]:
    """The lines of the document's code blocks, fenced or indented, without comments."""
    text = document.read_text(encoding="utf-8")
    found = [*re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL), *re.findall(r"(?m)^    (\S.*)$", text)]
    lines = [line.partition("  #")[0].strip() for block in found for line in block.splitlines()]
    return [line for line in lines if line]


def commands() -> list[str]:
    """Every evalkit command of every document, once."""
    found = [
        match[1] for document in DOCUMENTS for line in blocks(document) if (match := COMMAND.match(line))
    ]
    return list(dict.fromkeys(found))


def test_there_are_commands_to_test() -> None:
    assert len(commands()) >= 10


@pytest.mark.parametrize("command", [c for c in commands() if "fin-r1" in c])
def test_commands_that_need_the_hub_mean_something(command: str) -> None:
    overrides = [word for word in shlex.split(command)[1:] if word != "-m"]
    for model in re.findall(r"fin-r1[-\w]*", next(word for word in overrides if "model=" in word)):
        chosen = [f"+model={model}" if "model=" in word else word for word in overrides]
        check(to_dict(compose(chosen)))


@pytest.mark.parametrize("command", [c for c in commands() if "fin-r1" not in c])
def test_commands_that_can_run_here_run(
    command: str, undisturbed: Path, model_file: Path, tmp_path: Path
) -> None:
    words = shlex.split(command)
    shutil.copytree(undisturbed, tmp_path / "RUN_DIR")
    for benchmark in BENCHMARKS.iterdir():
        shutil.copytree(benchmark / "sample", tmp_path / "DIR" / benchmark.name)
    texts = [{"id": r["id"], "text": r["text"]} for r in records(undisturbed) if r["benchmark"] == "finqa"]
    (tmp_path / "OUT.jsonl").write_text("".join(f"{json.dumps(text)}\n" for text in texts))
    shutil.copy(
        ROOT / "tests" / "importers" / "logs" / "lm_eval_0.4.13_finqa.jsonl", tmp_path / "SAMPLES.jsonl"
    )
    if words[0] in ("run", "bench"):
        words += ["limit=1"] + (["protocol.max_tokens=4"] if "replay" not in command else [])
        words += [] if "data=" in command else ["data=sample"]
    if "FILE.gguf" in command:
        (tmp_path / "FILE.gguf").symlink_to(model_file)
    done = evalkit(*words, cwd=tmp_path)
    assert done.returncode == 0, done.stderr


def test_the_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = {
        target for document in DOCUMENTS for target in re.findall(r"`?make ([a-z]+)`?", document.read_text())
    }
    assert {"run", "test", "help"} <= named <= targets
