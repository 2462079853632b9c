"""Every command of the documents runs, or means something where it needs a hub or a server."""

from __future__ import annotations

import importlib.util
import json
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from evalkit.config.settings import run_settings
from evalkit.config.words import read_words
from evalkit.files import BENCHMARKS
from evalkit.run.named import run_overrides
from evalkit.run.runner import check
from evalkit.stats.paired import required_items
from evalkit.sweep.plan import plan
from tests.distill.helpers import APART, teacher_run
from tests.e2e.conftest import evalkit, records
from tests.judge.runs import free_text_run
from tests.readme import table, with_table

ROOT = Path(__file__).parents[2]
DOCS = sorted((ROOT / "docs").glob("*.md"))
DOCUMENTS = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *DOCS, *sorted(BENCHMARKS.glob("*/README.md"))]
# Of the hub, of a server, or of two files, which tests/e2e/test_own_files.py sweeps.
ELSEWHERE = re.compile(
    r"^(run|sweep) .*(\bfin-r1|deepseek-r1|qwen|hf:|https?://|[A-B]\.gguf)|^sweep .*my\.gguf"
)
CARD = "run +model=fin-r1-q4_k"  # as Fin-R1's card has it
QUANTIZER = importlib.util.find_spec("llama_cpp") is not None
COMMAND = re.compile(r"^(?:python -m )?(?:evalkit |(?=bench ))(.+)$")


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


@pytest.mark.parametrize("command", [c for c in commands() if ELSEWHERE.search(c)])
def test_commands_that_need_something_else_mean_something(command: str) -> None:
    name, *words = shlex.split(command)
    if name == "sweep":
        for member in plan(words).members:
            check(member.settings)
        return
    given = read_words("run", [word for word in words if word != "-m"])
    for model in given.models:
        alone = replace(given, models=(model,), name=given.name or ("m" if "://" in model else None))
        check(run_settings(run_overrides(alone)))


@pytest.mark.parametrize("command", [c for c in commands() if not ELSEWHERE.search(c)])
def test_commands_that_can_run_here_run(
    command: str, undisturbed: Path, model_file: Path, tmp_path: Path
) -> None:
    words = shlex.split(command)
    if words[0] == "quantize" or "smollm2-ladder" in command:
        if not QUANTIZER:
            pytest.skip("needs llama.cpp's quantizer: pip install -e '.[quantize]'")
        words += ["limit=1", "benchmark=tfns", "sweep.recipes=q4_0,q8_0"] * (words[0] == "sweep")
    kept = [f"results/runs/smollm2-135m/{name}" for name in ("earlier", "later")]
    for folder in ("RUN_DIR", "REFERENCE_DIR", "CANDIDATE_DIR", *kept):
        shutil.copytree(undisturbed, tmp_path / folder)
    sweep = tmp_path / "results" / "sweeps" / "example" / "ladder"
    sweep.mkdir(parents=True)
    shutil.copy(
        ROOT / "results" / "records" / "sweeps" / "qwen2.5-coder-1.5b-ladder.json", sweep / "sweep.json"
    )
    for benchmark in BENCHMARKS.iterdir():
        shutil.copytree(benchmark / "sample", tmp_path / "DIR" / benchmark.name)
    texts = [{"id": r["id"], "text": r["text"]} for r in records(undisturbed) if r["benchmark"] == "finqa"]
    (tmp_path / "OUT.jsonl").write_text("".join(f"{json.dumps(text)}\n" for text in texts))
    (tmp_path / "inference.json").write_text('[{"question_id": "sample-0", "output": "It is 243,633."}]')
    shutil.copy(BENCHMARKS / "questions" / "sample" / "questions.csv", tmp_path)
    shutil.copy(
        ROOT / "tests" / "importers" / "logs" / "lm_eval_0.4.13_finqa.jsonl", tmp_path / "SAMPLES.jsonl"
    )
    module = "bench" if words[0] == "bench" else "evalkit"
    if module == "bench":
        words = words[1:]
    if words[0] == "judge":
        words = [word for word in words if not word.startswith("n=")]
        words += ["judge.canaries=1"] if words[1] == "run" else ["n=1"]
        for folder in ("RUN_A", "RUN_B") if words[1] == "pairwise" else ():
            shutil.move(free_text_run(tmp_path / "made" / folder, folder), tmp_path / folder)
    if words[0] == "distill" and "RUN_DIR" in words:
        shutil.rmtree(tmp_path / "RUN_DIR")
        shutil.move(teacher_run(tmp_path / "taught"), tmp_path / "RUN_DIR")
        words = [word for word in words if not word.startswith("judge")] + [APART, "unjudged=true"]
    if words[0] == "statistics":
        words += ["repeats=100"]
    if module == "evalkit" and words[0] in ("fidelity", "loglikelihood", "perplexity"):
        if not QUANTIZER:
            pytest.skip("needs llama.cpp's library: pip install 'evalkit-finance[quantize]'")
        few = ["limit=1", "benchmark=[tfns]"]
        words += ["chunks=1", "context=32"] if words[0] == "perplexity" else few
    if words[0] == "overlap":
        words += ["data=sample"]
    if words[0] == "noise":
        words = [word for word in words if "slots" not in word]
        words += ["slots=1", "limit=1", "protocol.max_tokens=2"]
    if words[0] == "faults":
        pytest.skip("runs in tests/e2e/test_campaign.py")
    if words[0] in ("run", "order"):
        words += ["limit=1"] + (["protocol.max_tokens=4"] if ".jsonl" not in command else [])
        words += [] if "data=" in command else ["data=sample"]
    (tmp_path / "TRAIN.jsonl").write_text('{"text": "Net revenue rose by four percent in the year."}\n')
    (tmp_path / "TEXT.txt").write_text("Net revenue rose by four percent in the year. " * 20)
    for file in ("FILE.gguf", "SOURCE.gguf", "my.gguf"):
        (tmp_path / file).symlink_to(model_file)
    done = evalkit(*words, cwd=tmp_path, module=module)
    # With so few samples a simulation may miss its bounds.
    assert done.returncode in ((0, 1) if words[0] == "statistics" else (0,)), done.stderr


def test_readme_shows_the_committed_results() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    assert with_table(text, table(ROOT / "results")) == text


def links(document: Path) -> list[str]:
    """The files that a document links to or shows, without addresses of the web."""
    text = document.read_text(encoding="utf-8")
    found = [link.partition("#")[0] for link in re.findall(r"\]\(([^)\s]+)\)", text)]
    return [link for link in found if link and "://" not in link]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_pictures_are_there(document: Path) -> None:
    assert [link for link in links(document) if not (document.parent / link).exists()] == []


def test_every_page_is_in_the_index_and_the_picture_in_readme() -> None:
    listed = {document.name for document in DOCS if document.name != "index.md"}
    assert listed <= set(links(ROOT / "docs" / "index.md"))
    assert "results/pictures/site.png" in links(ROOT / "README.md")


def test_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").split()) <= 900


def shell_lines(document: Path) -> list[str]:
    """The lines of a document's shell blocks, as they stand there."""
    text = document.read_text(encoding="utf-8")
    found = re.findall(r"```sh\n(.*?)```", text, flags=re.DOTALL)
    return [line for block in found for line in block.splitlines()]


def test_no_document_needs_a_shells_brackets_or_a_plus() -> None:
    """zsh looks for files that match a bracket; a plus is Hydra's. One line is as Fin-R1's card has it."""
    lines = [line.partition("  #")[0] for document in DOCUMENTS for line in shell_lines(document)]
    assert [line for line in lines if re.search(r"[][+?*{}~^!]", line)] == [f"python -m evalkit {CARD}"]
    # An interactive zsh knows no comments.
    assert not [line for line in shell_lines(ROOT / "README.md") if "#" in line]


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_readmes_commands_arrive_as_written(shell: str) -> None:
    if shutil.which(shell) is None:
        pytest.skip(f"needs {shell}")
    lines = [line for line in shell_lines(ROOT / "README.md") if COMMAND.match(line)]
    assert len(lines) >= 8
    heard = r"""evalkit() { printf '%s\n' evalkit "$@"; }; python() { printf '%s\n' python "$@"; }"""
    script = "\n".join([heard, *lines])
    done = subprocess.run([shell, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.split("\n")[:-1] == [word for line in lines for word in shlex.split(line)]


def test_readme_says_how_much_is_enough() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"(?m)^\| ([\d,]+) \| (\d+) points \| ([\d.]+) \|$", text)
    assert len(rows) == 4
    for items, points, hours in rows:
        count = int(items.replace(",", ""))
        assert required_items(int(points) / 100, 0.10) == count
        assert float(hours) == pytest.approx(count * 500 / 10 / 3600, rel=0.03)


def test_the_make_targets_exist() -> None:
    targets = set(re.findall(r"^([a-z0-9]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    texts = [document.read_text(encoding="utf-8") for document in DOCUMENTS]
    named = {target for text in texts for target in re.findall(r"(?m)(?:`|^)make ([a-z0-9]+)", text)}
    assert {"run", "test", "help"} <= named <= targets


def test_the_places_that_contributing_names_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = {place for place in re.findall(r"`([\w./-]+(?:\.py|\.yaml|/))`", text) if "NAME" not in place}
    homes = (ROOT, ROOT / "evalkit", ROOT / "evalkit/scoring", ROOT / "configs", ROOT / "tests")
    assert len(named) > 40
    assert not [place for place in named if not any((home / place).exists() for home in homes)]
    for module, name in re.findall(r"`([\w/]+\.py)`: `(\w+)", text):
        assert re.search(
            rf"(?m)^(def|class|    def) {name}\b", (ROOT / "evalkit" / module).read_text(encoding="utf-8")
        )
