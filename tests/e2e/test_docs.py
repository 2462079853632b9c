"""Every command in README and the data cards runs, or at least means something where it needs the hub."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
from pathlib import Path

import pytest

from evalkit.config import compose, to_dict
from evalkit.paths import BENCHMARKS
from evalkit.runner.settings import check
from evalkit.sweep.plan import plan
from tests.e2e.conftest import evalkit, records
from tests.judge.runs import free_text_run
from tests.readme import table, with_table

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted(BENCHMARKS.glob("*/README.md"))]
NEEDS_THE_HUB = re.compile(r"(model|sweep)=(fin-r1|deepseek-r1|endpoint)")
QUANTIZER = importlib.util.find_spec("llama_cpp") is not None
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


@pytest.mark.parametrize("command", [c for c in commands() if NEEDS_THE_HUB.search(c)])
def test_commands_that_need_the_hub_mean_something(command: str) -> None:
    name, *overrides = (word for word in shlex.split(command) if word != "-m")
    if name == "sweep":
        for member in plan(overrides).members:
            check(member.config)
        return
    named = next(word for word in overrides if "model=" in word)
    for model in re.findall(r"(?:fin-r1|deepseek-r1|endpoint)[-\w]*", named):
        chosen = [f"+model={model}" if "model=" in word else word for word in overrides]
        check(to_dict(compose(chosen)))


@pytest.mark.parametrize("command", [c for c in commands() if not NEEDS_THE_HUB.search(c)])
def test_commands_that_can_run_here_run(
    command: str, undisturbed: Path, model_file: Path, tmp_path: Path
) -> None:
    words = shlex.split(command)
    if words[0] == "quantize" or "smollm2-ladder" in command:
        if not QUANTIZER:
            pytest.skip("needs llama.cpp's quantizer: pip install 'evalkit[quantize]'")
        words += ["limit=1", "benchmark=[tfns]", "sweep.recipes=[q4_0,q8_0]"] * (words[0] == "sweep")
    for folder in ("RUN_DIR", "REFERENCE_DIR", "CANDIDATE_DIR"):
        shutil.copytree(undisturbed, tmp_path / folder)
    sweep = tmp_path / "results" / "sweeps" / "example" / "ladder"
    sweep.mkdir(parents=True)
    shutil.copy(ROOT / "results" / "records" / "sweeps" / "smollm2-ladder.json", sweep / "sweep.json")
    for benchmark in BENCHMARKS.iterdir():
        shutil.copytree(benchmark / "sample", tmp_path / "DIR" / benchmark.name)
    texts = [{"id": r["id"], "text": r["text"]} for r in records(undisturbed) if r["benchmark"] == "finqa"]
    (tmp_path / "OUT.jsonl").write_text("".join(f"{json.dumps(text)}\n" for text in texts))
    shutil.copy(
        ROOT / "tests" / "importers" / "logs" / "lm_eval_0.4.13_finqa.jsonl", tmp_path / "SAMPLES.jsonl"
    )
    if words[0] == "judge":
        words = [word for word in words if not word.startswith("n=")]
        words += ["judge.canaries=1"] if words[1] == "run" else ["n=1"]
        for folder in ("RUN_A", "RUN_B") if words[1] == "pairwise" else ():
            shutil.move(free_text_run(tmp_path / "made" / folder, folder), tmp_path / folder)
    if words[0] == "statistics":
        words += ["repeats=100"]
    if words[0] == "overlap":
        words += ["data=sample"]
    if words[0] in ("run", "bench"):
        words += ["limit=1"] + (["protocol.max_tokens=4"] if "replay" not in command else [])
        words += [] if "data=" in command else ["data=sample"]
    (tmp_path / "TRAIN.jsonl").write_text('{"text": "Net revenue rose by four percent in the year."}\n')
    for file in ("FILE.gguf", "SOURCE.gguf"):
        (tmp_path / file).symlink_to(model_file)
    done = evalkit(*words, cwd=tmp_path)
    # With so few samples a simulation may miss its bounds.
    assert done.returncode in ((0, 1) if words[0] == "statistics" else (0,)), done.stderr


def test_readme_shows_the_committed_results() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert with_table(text, table(ROOT / "results")) == text
    pictures = re.findall(r"!\[[^\]]*\]\(([^)]+)\)", text)
    assert len(pictures) >= 2
    assert all((ROOT / picture).is_file() for picture in pictures)


def test_the_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    named = {
        target for document in DOCUMENTS for target in re.findall(r"`?make ([a-z]+)`?", document.read_text())
    }
    assert {"run", "test", "help"} <= named <= targets
